"""Two uWSGI servers under a mix of profiled and other requests: nothing may grow.

Both are as in production: every request is watched for slow ones, profiles are kept in a
folder that both share, and pushed to a server that is there most of the time.

    soak.py [--minutes N] [--every SECONDS]

One of them is reloaded again and again, in the middle of its requests; the other never
is. Between two stretches of load nobody asks, and what every worker has is counted: its
memory, descriptors, threads and timers. Exits 0, or 1 and says what grew or went wrong.
"""

import argparse
import concurrent.futures
import http.server
import pathlib
import random
import re
import signal
import socket
import statistics
import sys
import tempfile
import threading
import time

from server import Server, exchange
from shapes import SHAPES
from test_crowd import resources, workers_of

CLIENTS = 6  # of each server
FORMATS = ("svg", "folded", "json", "pprof", "speedscope", "gecko", "html")
RASTER = "png"  # seconds for a large one
PATIENCE = 300
EXTRAS = ("", "&flamegraph_threads=1", "&flamegraph_children=1", "&flamegraph_repeat=3",
          "&flamegraph_lines=1", "&flamegraph_clock=cpu", "&interval=0.0001",
          "&flamegraph_callers=1", "&interval=nonsense", "&flamegraph_keep=1")
SLOW = ("--flameprof-slower-than", "25ms", "--flameprof-on-error",
        "--flameprof-slow-interval", "5ms", "--flameprof-slow-per-minute", "100000")
# A worker reaches its size when each kind of request has been there a few times, and in
# which order they come is chance.
GROWTH, CHANCE_KIB = 1.02, 3072
COUNTED = ("descriptors", "threads", "memory", "timers", "descriptors of the ticker")
SETTLED = 0.2  # of the time


def timers_of(pid):
    return len(re.findall(r"^ID: ", pathlib.Path(f"/proc/{pid}/timers").read_text(), re.M))


def own_descriptors(pid):
    """Of the thread that has a table of its own."""
    tasks = pathlib.Path(f"/proc/{pid}/task").iterdir()
    return sum(len(list((task / "fd").iterdir())) for task in tasks
               if (task / "comm").read_text() == "flameprof\n")


class Taker(http.server.ThreadingHTTPServer):
    """Takes what is pushed, and refuses some of it."""

    class Handler(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self):
            self.rfile.read(int(self.headers["Content-Length"]))
            self.server.taken += 1
            self.send_response(503 if self.server.taken % 50 == 0 else 200)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *arguments):
            pass

    def handle_error(self, *arguments):
        """A worker that was reloaded meanwhile."""

    def __init__(self):
        super().__init__(("127.0.0.1", 0), self.Handler)
        self.taken, self.daemon_threads = 0, True
        threading.Thread(target=self.serve_forever, daemon=True).start()


class Clients:
    """Threads that ask until they are told to rest."""

    def __init__(self, server, seed):
        self.server, self.over, self.rest = server, threading.Event(), threading.Event()
        self.asked, self.profiles, self.faults, self.lock = 0, 0, [], threading.Lock()
        self.resting = threading.Barrier(CLIENTS + 1)
        self.threads = [
            threading.Thread(target=self.run, args=(random.Random(seed + i),), daemon=True)
            for i in range(CLIENTS)
        ]
        for thread in self.threads:
            thread.start()

    def run(self, rng):
        while not self.over.is_set():
            if self.rest.is_set():
                self.resting.wait()  # all are here
                self.resting.wait()  # all go on
            try:
                self.one(rng)
            except (OSError, AssertionError) as error:
                with self.lock:
                    self.faults.append(repr(error))

    def one(self, rng):
        shape = rng.choice(list(SHAPES))
        kind = rng.choice(("plain", "plain", "profile", "profile", "gone", "refused"))
        target = f"/{shape}"
        if kind != "plain":
            name = RASTER if rng.random() < 0.02 else rng.choice(FORMATS)
            target += f"?flamegraph=1&flamegraph_format={name}{rng.choice(EXTRAS)}"
        head = f"GET {target} HTTP/1.1\r\nHost: localhost\r\n"
        if kind == "refused":
            head += "X-Forwarded-For: 192.0.2.1\r\n"
        head = (head + "\r\n").encode()
        if kind == "gone":
            with socket.create_connection(("127.0.0.1", self.server.port), timeout=30) as sock:
                sock.sendall(head)
                time.sleep(rng.random() * 0.03)
        else:
            self.check(kind, target, self.exchange(target, head))
        with self.lock:
            self.asked += 1

    def exchange(self, target, head):
        try:
            return exchange(self.server.port, head, PATIENCE)
        except OSError as error:
            raise AssertionError(f"{target}: {error}") from error

    def check(self, kind, target, raw):
        first, _, rest = raw.partition(b"\r\n")
        if not raw and "raises" in target and kind != "profile":
            return  # uWSGI ends such a connection without an answer
        if kind == "profile" and "nonsense" not in target:
            if "flamegraph_keep" in target:
                assert b"X-Flameprof-Kept" in rest or "raises" in target, (target, raw[:200])
            else:
                assert first == b"HTTP/1.1 200 OK", (target, raw[:200])
                assert b"X-Flameprof-Status" in rest, (target, raw[:200])
            with self.lock:
                self.profiles += 1
        elif kind == "profile":
            assert first.startswith(b"HTTP/1.1 400"), (target, raw[:200])
        else:
            assert first.startswith(b"HTTP/1.1 "), (target, raw[:200])
            assert b"X-Flameprof" not in rest, (target, raw[:200])

    def pause(self):
        self.rest.set()
        self.resting.wait(PATIENCE)
        time.sleep(0.5)  # those whose client has gone

    def go_on(self):
        self.rest.clear()
        self.resting.wait(PATIENCE)

    def stop(self):
        self.over.set()
        for thread in self.threads:
            thread.join(60)


def count(server):
    """The most that a worker has of what is COUNTED. A client that has
    gone may be noticed late: the least of several looks."""
    looks = []
    for _ in range(5):
        each = [(*resources(pid), timers_of(pid), own_descriptors(pid))
                for pid in workers_of(server)]
        looks.append([max(column) for column in zip(*each)])
        time.sleep(0.2)
    return tuple(map(min, zip(*looks)))


def reload(server):
    before = set(workers_of(server))
    server.process.send_signal(signal.SIGHUP)
    end = time.monotonic() + 90
    while time.monotonic() < end:
        now = set(workers_of(server))
        if len(now) == len(before) and not now & before and server.get("/pid").body:
            return
        time.sleep(0.1)
    raise SystemExit("the server was not reloaded:\n" + server.log()[-3000:])


def judge(name, counts):
    """What grew: the later counts beside those before, once it is settled."""
    settled = counts[max(1, int(len(counts) * SETTLED)):]
    half = len(settled) // 2
    if half == 0:
        return [f"{name}: too short to tell"]
    faults = []
    for column, what in enumerate(COUNTED):
        then, now = ([one[column] for one in part] for part in (settled[:half], settled[half:]))
        usual = statistics.median if what == "memory" else max
        most = usual(then) * GROWTH + CHANCE_KIB if what == "memory" else usual(then)
        if usual(now) > most:
            faults.append(f"{name}: {what} grew: {usual(then)} -> {usual(now)}")
    return faults


def warm(server):
    """What is loaded when it is first needed is loaded, in every worker: the libraries of
    pictures; and the largest picture was drawn."""
    def ask(name):
        target = f"/deep?flamegraph=1&flamegraph_format={name}"
        head = f"GET {target} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode()
        answer = exchange(server.port, head, PATIENCE)
        assert answer.startswith(b"HTTP/1.1 200 OK"), answer[:200]

    with concurrent.futures.ThreadPoolExecutor(CLIENTS) as pool:
        list(pool.map(ask, (*[RASTER] * CLIENTS, *FORMATS * 3)))


def production(folder, taker):
    return (*SLOW, "--flameprof-dir", f"{folder}/kept",
            "--flameprof-push", f"http://127.0.0.1:{taker.server_port}")  # fmt: skip


def soak(minutes, every):
    # With threads uWSGI itself leaves connections without an answer when it reloads.
    with Taker() as taker, tempfile.TemporaryDirectory() as folder, \
            Server("--processes", "3", *production(folder, taker)) as reloaded, \
            Server("--threads", "4", *production(folder, taker)) as steady:  # fmt: skip
        servers = {"reloaded": reloaded, "steady": steady}
        for server in servers.values():
            warm(server)
        clients = {name: Clients(server, len(name)) for name, server in servers.items()}
        counts = {name: [] for name in servers}
        pids = set(workers_of(steady))
        end = time.monotonic() + minutes * 60
        while time.monotonic() < end:
            time.sleep(min(every, max(1, end - time.monotonic())))
            for name, server in servers.items():
                clients[name].pause()
                counts[name].append(count(server))
                clients[name].go_on()
                print(f"soak: {name}: descriptors, threads, KiB, timers, ours: {counts[name][-1]}, "
                      f"{clients[name].asked} requests", flush=True)  # fmt: skip
            reload(reloaded)
            warm(reloaded)
        faults = [fault for name in servers for fault in judge(name, counts[name])]
        for name, one in clients.items():
            one.stop()
            faults += [f"{name}: {fault}" for fault in one.faults[:5]]
            for fault in one.faults[:5]:
                for target in re.findall(r"/\w+\?[\w=&.]+", fault):
                    print(*(line for line in servers[name].log().splitlines() if target in line),
                          sep="\n")  # fmt: skip
            if one.profiles < 10:
                faults.append(f"{name}: only {one.profiles} profiles")
        if set(workers_of(steady)) != pids:
            faults.append("steady: a worker ended")
        if taker.taken == 0 or not any(pathlib.Path(folder, "kept").glob("*.pb.gz")):
            faults.append("nothing was pushed, or nothing kept")
        for name, server in servers.items():
            bad = re.findall(r"^.*(?:Segmentation|Fatal Python|died|killed).*$", server.log(), re.M)
            faults += [f"{name}: {line}" for line in bad[:3]]
    asked, profiles = (sum(getattr(one, what) for one in clients.values())
                       for what in ("asked", "profiles"))
    print(f"soak: {minutes:g} minutes, {len(counts['reloaded'])} reloads, {asked} requests, "
          f"{profiles} profiles: {'; '.join(faults) or 'nothing grew'}")  # fmt: skip
    return 1 if faults else 0


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--minutes", type=float, default=60)
    parser.add_argument("--every", type=float, default=60, help="seconds between two reloads")
    options = parser.parse_args()
    return soak(options.minutes, options.every)


if __name__ == "__main__":
    sys.exit(main())
