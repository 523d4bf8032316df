"""An adversarial workload under profiles at 10 to 20 kHz: nothing may crash or grow.

    soak.py [--seconds N] [--seed N]

Runs short profiles one after another over code that changes under the sampler:
exec'd functions, deep recursion, generators, exceptions, imports, forks, execs,
threads, profiles inside profiles, forgotten ones, greenlets. What a profile is asked
for (lines, threads, children, its interval) is random. Exits 0 and prints one line
of figures, or 1 and says what was wrong.
"""

import argparse
import gc
import importlib
import os
import random
import resource
import signal
import sys
import threading
import time
import warnings

import _flameprof

try:
    import greenlet
except ImportError:
    greenlet = None
try:
    import gevent
except ImportError:
    gevent = None

# All of them, for as long as sampler.h says so; nobody else profiles here.
SESSIONS_MAX = 64
TOO_MANY = "Too many profiles"

MODULES = ["colorsys", "this_does_not_exist", "stringprep", "sndhdr_missing", "quopri"]


def exec_churn(rng):
    number = rng.randrange(3000)  # 3.12 and later keep interned names for ever
    source = "def f_%d(n):\n    return sum(i * %d for i in range(n))\n" % (number, number)
    names = {}
    exec(compile(source, "churn_%d.py" % (number % 50), "exec"), names)
    return names["f_%d" % number](rng.randrange(300))


def recursion(rng, depth=None):
    if depth is None:
        depth = rng.randrange(1, 800)
    return 0 if depth == 0 else 1 + recursion(rng, depth - 1)


def countdown(n):
    while n:
        yield n
        n -= 1


def nested(n):
    if n:
        yield from nested(n - 1)
    yield n


def generators(rng):
    started = [countdown(rng.randrange(50)) for _ in range(20)]
    total = sum(next(g, 0) for g in started) + sum(nested(30))
    del started[::2]
    return total + sum(sum(g) for g in started)


def exceptions(rng):
    try:
        recursion_then_raise(rng.randrange(1, 60))
    except ValueError as error:
        return str(error)


def recursion_then_raise(depth):
    if depth == 0:
        raise ValueError("at the bottom")
    try:
        recursion_then_raise(depth - 1)
    finally:
        depth += 1


def imports(rng):
    name = rng.choice(MODULES)
    sys.modules.pop(name, None)
    try:
        importlib.import_module(name)
    except (ImportError, KeyError):
        pass  # KeyError: another thread popped it while it was being imported


def waits(rng):
    time.sleep(rng.random() * 0.002)


def c_calls(rng):
    return sorted(bytes(rng.randrange(256) for _ in range(200)))[0], sum(range(20000))


WAYS_OF_CHILDREN = 3


def forks(rng):
    if rng.random() > 0.05:
        return
    way = rng.randrange(WAYS_OF_CHILDREN)
    child = os.fork()
    if child == 0:
        in_child(rng, way)
    ended = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    assert ended == (0 if way == 2 else 3), "a child ended with %d" % ended


def in_child(rng, way):
    """Ends as it is, after a profile of its own, or in the middle of one by exec."""
    signal.alarm(60)
    try:
        recursion(rng, 50)
        session = _flameprof.Session(interval=0.00005)
        if way > 0:
            session.start()
            recursion(rng, 200)
        if way == 1:
            session.stop()
        if way == 2:
            os.execv("/bin/true", ["true"])
    except BaseException as error:
        if TOO_MANY in str(error):  # of the threads that are not here any more
            os._exit(0 if way == 2 else 3)
        os._exit(4)
    os._exit(3)


def thread_churn(rng):
    threads = [
        threading.Thread(target=a_thread, args=(rng.randrange(1 << 30),))
        for _ in range(rng.randrange(1, 4))
    ]
    for thread in threads:
        thread.start()
    if rng.random() < 0.5:
        countdowns = [countdown(30) for _ in range(20)]
        assert sum(map(sum, countdowns)) == 20 * 465
    for thread in threads:
        thread.join()


def a_thread(seed):
    """Some are over before anybody can have seen them."""
    rng = random.Random(seed)
    if rng.random() < 0.5:
        rng.choice([exec_churn, recursion, generators, waits])(rng)


def inner_profile(rng):
    if rng.random() < 0.1:
        profile(rng, 0.01, {})


FORGOTTEN = []


def forgotten(rng):
    """Nobody stops it; it ends with its object, here or on another thread."""
    if rng.random() > 0.05:
        return
    session = _flameprof.Session(interval=0.0001, lines=rng.random() < 0.5)
    try:
        session.start()
        recursion(rng, 100)
    except RuntimeError as error:
        only_too_many(error)
    FORGOTTEN.append(session)
    del session
    while len(FORGOTTEN) > 3:
        FORGOTTEN.pop(0)


def switches(rng):
    """Greenlets that go on in any order, some with a profile of their own."""
    if greenlet is None:
        return
    here = greenlet.getcurrent()

    def run(number):
        session = _flameprof.Session(interval=0.0001, children=rng.random() < 0.5)
        watched = rng.random() < 0.2
        try:
            if watched:
                session.start()
        except RuntimeError as error:
            only_too_many(error)
            watched = False
        for step in range(number):
            recursion_to(here.switch, rng.randrange(40), step)
        if watched:
            session.stop()

    waiting = [greenlet.greenlet(run) for _ in range(rng.randrange(1, 6))]
    for one in waiting:
        one.switch(rng.randrange(5))
    while waiting:
        one = rng.choice(waiting)
        if one.dead:
            waiting.remove(one)
        else:
            one.switch()


def recursion_to(function, depth, value):
    if depth == 0:
        return function(value)
    return recursion_to(function, depth - 1, value)


def hub(rng):
    """A server's way: greenlets of a hub, each a request under a profile or not."""
    if not may_have_hub() or rng.random() > 0.1:
        return

    def serve():
        if rng.random() < 0.5:
            profile(rng, 0.002, {}, PLAIN)
        gevent.sleep(rng.random() * 0.001)
        recursion(rng, 30)

    gevent.joinall([gevent.spawn(serve) for _ in range(rng.randrange(1, 45))], raise_error=True)


PLAIN = [exec_churn, recursion, generators, exceptions, imports, waits, c_calls]
WORK = PLAIN + [forks, thread_churn, inner_profile, forgotten, switches, hub]


def everybody(seconds):
    """A server with a thread for each request, under one profile of all: what is wrong."""

    def serve(seed):
        request(random.Random(seed), 0.002, PLAIN + [thread_churn])

    def serve_until(end):
        number = 0
        while time.monotonic() < end:
            number += 1
            threads = [
                threading.Thread(target=serve, args=(number * 8 + i,)) for i in range(number % 8)
            ]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
            if number % 40 == 0:
                session.pause()
                session.resume()
            if number % 100 == 0:
                session.snapshot()
        return number * 3.5

    def memory():
        """In use, in KiB: the peak may have been somebody else's."""
        with open("/proc/self/statm") as file:
            return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE") // 1024

    session = _flameprof.Session(everybody=True, interval=0.0002)
    session.start()
    served = serve_until(time.monotonic() + seconds / 3)
    warm = (*state(session)[:2], memory())
    served += serve_until(time.monotonic() + seconds * 2 / 3)
    after = (*state(session)[:2], memory())
    session.stop()
    quality = session.quality()
    print(
        "soak: of everybody, %d requests, threads %d, unwatched %d, samples %d, "
        "memory %d -> %d KiB"
        % (served, quality["children"], quality["unwatched"], quality["samples"],
           warm[2], after[2])
    )  # fmt: skip
    faults = []
    if after[:2] != warm[:2]:
        faults.append("of everybody: descriptors, threads: %r -> %r" % (warm[:2], after[:2]))
    if after[2] > warm[2] * 1.25:
        faults.append("of everybody: memory grew: %d -> %d KiB" % (warm[2], after[2]))
    if quality["children"] < served / 4:
        faults.append("of everybody: only %d threads of %d" % (quality["children"], served))
    return faults


def request(rng, seconds, work):
    end = time.perf_counter() + seconds
    while time.perf_counter() < end:
        rng.choice(work)(rng)


def only_too_many(error):
    """As many run as can, which is no fault. (A start in a function of its own would
    have the profile end at a frame that is gone.)"""
    if TOO_MANY not in str(error):
        raise error


def profile(rng, seconds, totals, work=None):
    session = _flameprof.Session(
        interval=rng.choice([0.00005, 0.0001]),
        lines=rng.random() < 0.5,
        threads=rng.random() < 0.3,
        children=rng.random() < 0.3,
    )
    try:
        session.start()
    except RuntimeError as error:
        only_too_many(error)
        totals["refused"] = totals.get("refused", 0) + 1
        return
    try:
        request(rng, seconds, work or WORK)
    finally:
        session.stop()
    quality = session.quality()
    for key in ("samples", "missed", "rejected", "cut", "overflow", "children", "unwatched"):
        totals[key] = totals.get(key, 0) + quality[key]
    totals["profiles"] = totals.get("profiles", 0) + 1
    if rng.random() < 0.05:
        assert session.svg().startswith("<") and session.folded()


def rounds(seed, until, totals):
    rng = random.Random(seed)
    while time.monotonic() < until:
        profile(rng, 0.2, totals)
    leave_hub()


def may_have_hub():
    """The main thread's, each time it is made anew, reaps whatever child just ended."""
    main = threading.main_thread()
    return gevent is not None and threading.current_thread() is not main


def leave_hub():
    """A thread's own; it has descriptors."""
    if may_have_hub():
        gevent.get_hub().destroy(destroy_loop=True)


def fill_all_slots(seed):
    """Their memory is taken as it is used and stays."""
    sessions = [_flameprof.Session(interval=0.001) for _ in range(SESSIONS_MAX)]
    for session in sessions:
        session.start()
    request(random.Random(seed), 1, PLAIN)
    for session in sessions:
        session.stop()


def state(running=None):
    """What must not grow: descriptors, threads, and the peak of memory in KiB; `running`:
    a Session, which has threads and descriptors of its own."""
    FORGOTTEN.clear()
    gc.collect()
    if running is not None:
        running.stop()
        found = state()
        running.start()
        return found
    # A thread that was joined is still listed for a moment.
    patience = time.monotonic() + 2
    while len(os.listdir("/proc/self/task")) > 1 and time.monotonic() < patience:
        time.sleep(0.01)
    return (
        len(os.listdir("/proc/self/fd")),
        len(os.listdir("/proc/self/task")),
        resource.getrusage(resource.RUSAGE_SELF).ru_maxrss,
    )


# The handler of our own signal stays, inert; glibc takes 32 and 33 for itself with
# the first thread of any kind. Everything else is to be put back.
NOT_OURS = 1 << (signal.SIGURG - 1) | 1 << 31 | 1 << 32


def handlers():
    with open("/proc/self/status") as status:
        lines = dict(line.split(":", 1) for line in status)
    return {key: int(lines[key], 16) & ~NOT_OURS for key in ("SigBlk", "SigCgt", "SigIgn")}


def round_of_threads(seed, seconds, totals):
    until = time.monotonic() + seconds
    mine = [{} for _ in range(3)]
    threads = [
        threading.Thread(target=rounds, args=(seed + i, until, mine[i])) for i in range(2)
    ]
    for thread in threads:
        thread.start()
    rounds(seed + 2, until, mine[2])
    for thread in threads:
        thread.join()
    for part in mine:
        for key, value in part.items():
            totals[key] = totals.get(key, 0) + value


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--seconds", type=float, default=10)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    totals = {}
    faults = []
    threading.excepthook = lambda args: faults.append("a thread raised %r" % args.exc_value)
    warnings.simplefilter("ignore", DeprecationWarning)  # of a fork beside threads
    masks_before = handlers()
    slice_seconds = max(2.0, options.seconds / 8)
    fill_all_slots(options.seed)
    round_of_threads(options.seed, slice_seconds, totals)
    seed = options.seed
    before = state()
    # Interned names and imported modules keep growing a little by themselves.
    allowed_kib = before[2] // 4
    # On a machine that stood still meanwhile, nothing is warm yet. What leaks does so
    # each time.
    for again in (True, True, False):
        warm = state()
        until = time.monotonic() + options.seconds - slice_seconds
        while time.monotonic() < until:
            seed += 10
            round_of_threads(seed, slice_seconds, totals)
        after = state()
        if after[2] <= warm[2] + allowed_kib or not again:
            break
        print("MEASURED AGAIN: soak: memory grew: %d -> %d KiB" % (warm[2], after[2]))
    faults.extend(everybody(max(3.0, options.seconds / 6)))
    masks_after = handlers()
    if after[:2] != before[:2]:
        faults.append("descriptors, threads grew: %r -> %r" % (before[:2], after[:2]))
    if after[2] > warm[2] + allowed_kib:
        faults.append("memory grew: %d -> %d KiB" % (warm[2], after[2]))
    if masks_after != masks_before:
        faults.append("signals: %r -> %r" % (masks_before, masks_after))
    attempts = totals["samples"] + totals["rejected"]
    # What is read between a greenlet's switch and the word of it is another's.
    if totals["rejected"] > attempts * (0.001 if greenlet is None else 0.005):
        faults.append("rejected %d of %d samples" % (totals["rejected"], attempts))
    if totals["samples"] < 1000:
        faults.append("only %d samples were taken" % totals["samples"])
    print(
        "soak: Python %s, seed %d, %s, rejected %.4f %%, memory %d -> %d KiB: %s"
        % (
            sys.version.split()[0],
            options.seed,
            ", ".join("%s %d" % item for item in sorted(totals.items())),
            100.0 * totals["rejected"] / max(attempts, 1),
            warm[2],
            after[2],
            "; ".join(faults) or "nothing grew",
        )
    )
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
