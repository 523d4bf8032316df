"""What the sanitizers watch: sessions and profiled requests on several threads.

    workload.py KIND SECONDS SEED   prints the counts; KIND as run.py's
    workload.py KIND planted        the faults of planted.c instead
"""

import ctypes
import io
import os
import random
import sys
import threading
import time
import warnings
import wsgiref.util

import _flameprof
import flameprof

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
import soak  # noqa: E402

QUERIES = [
    "flamegraph=1",
    "flamegraph=1&flamegraph_format=folded&flamegraph_lines=1",
    "flamegraph=1&flamegraph_repeat=3",  # with pauses
    "flamegraph=1&flamegraph_threads=1&flamegraph_children=1",
    "",
    "",
]


def application(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain")])
    rng = random.Random(environ["seed"])
    soak.request(rng, 0.01, soak.WORK)

    def body():
        for _ in range(3):
            soak.request(rng, 0.003, soak.PLAIN)
            yield b"part"

    return body()


def ask(app, rng):
    """One request as a server makes it: "profiled" or the status."""
    environ = {}
    wsgiref.util.setup_testing_defaults(environ)
    environ.update(
        QUERY_STRING=rng.choice(QUERIES) + "&interval=0.0002",
        REMOTE_ADDR="127.0.0.1",
        SERVER_PROTOCOL="HTTP/1.1",
        seed=rng.randrange(1 << 30),
        **{"wsgi.errors": io.StringIO()}
    )
    seen = []

    def start_response(status, headers, exc_info=None):
        plain = ("Content-Type", "text/plain") in headers
        seen.append("profiled" if status == "200 OK" and not plain else status)

    parts = app(environ, start_response)
    try:
        for _ in parts:
            pass
    finally:
        if hasattr(parts, "close"):
            parts.close()
    return seen[-1]


def serve(seed, until, totals):
    """Those that ask for no profile are watched, and most of them are slow by this."""
    rng = random.Random(seed)
    app = flameprof.Middleware(
        application, slower_than=0.01, slow_interval=0.001, on_error=True, slow_per_minute=1000000,
        at_once=256, worker_at_once=64, per_minute=1000000,
    )
    while time.monotonic() < until:
        status = ask(app, rng)
        # 503: as many profiles run as can.
        assert status == "profiled" or status.startswith(("200", "503")), status
        name = "requests %s" % status.split()[0]
        totals[name] = totals.get(name, 0) + 1
    soak.leave_hub()


def starts_and_stops(seed, until, totals):
    """Short ones, so that the ticker's thread comes and goes."""
    rng = random.Random(seed)
    while time.monotonic() < until:
        soak.profile(rng, 0.001, totals, [soak.recursion])
        time.sleep(rng.random() * 0.003)


def everybody(seed, until, totals):
    """One of all threads beside the others."""
    rng = random.Random(seed)
    session = _flameprof.Session(everybody=True, interval=0.0005)
    while time.monotonic() < until:
        try:
            session.start()
        except RuntimeError as error:
            soak.only_too_many(error)
            continue
        for _ in range(rng.randrange(20)):
            time.sleep(rng.random() * 0.01)
            session.pause()
            session.resume()
            _flameprof.admit()
        session.stop()
        session.snapshot().folded()
    totals["of everybody"] = session.quality()["samples"]


def work(seconds, seed):
    faults = []
    threading.excepthook = lambda args: faults.append("a thread raised %r" % args.exc_value)
    warnings.simplefilter("ignore", DeprecationWarning)  # of a fork beside threads
    until = time.monotonic() + seconds
    parts = []
    threads = []
    for number, target in enumerate(
        [serve, serve, starts_and_stops, soak.rounds, everybody]
    ):
        parts.append({})
        threads.append(
            threading.Thread(target=target, args=(seed + number, until, parts[-1]))
        )
    for thread in threads:
        thread.start()
    soak.rounds(seed + 100, until, parts[0])
    for thread in threads:
        thread.join()
    totals = {}
    for part in parts:
        for key, value in part.items():
            totals[key] = totals.get(key, 0) + value
    print(", ".join("%s %d" % item for item in sorted(totals.items())))
    wanted = ("requests profiled", "samples", "children", "profiles", "of everybody")
    few = [key for key in wanted if totals.get(key, 0) < 10]
    if few:
        faults.append("too few of %s to say anything" % ", ".join(few))
    for fault in faults:
        print(fault, file=sys.stderr)
    if not faults:
        print("done")
    return 1 if faults else 0


def planted():
    library = ctypes.CDLL(_flameprof.__file__)
    threads = [
        threading.Thread(target=library.planted_race, args=(1000000,)) for _ in range(2)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    library.planted_overflow(1)
    library.planted_undefined(2)
    print("done")
    return 0


if __name__ == "__main__":
    if sys.argv[2] == "planted":
        sys.exit(planted())
    if sys.argv[1] == "thread":
        soak.WAYS_OF_CHILDREN = 1  # its runtime allows a forked child no threads
    else:
        soak.WORK.remove(soak.forks)  # its runtime forks with its allocator locked
        # A switch copies a stack to where another one lay, whose redzones still stand
        # there: its runtime reports that, and crashes as it unwinds a stack half switched.
        soak.greenlet = soak.gevent = None
    sys.exit(work(float(sys.argv[2]), int(sys.argv[3])))
