"""A busy server, of whose requests some are profiled: does one fail, do the others wait?

wrk asks uWSGI for a page of the Django example; 0, 1, 10 and 100 of a hundred requests
ask for a profile. Each load is put on the server with the plugin and on the same one
without, in turn, in each mode. Then ten thousand profiles, one after another: does a
worker grow?
"""

import argparse
import concurrent.futures
import re
import shutil
import statistics
import subprocess
import sys
import threading
import time

import serving
from conditions import Conditions

TARGET = 1.02  # of the others' p50 and p99, where one of a hundred is profiled
JUDGED_SHARE = 1
GROWTH = 1.01  # of a worker's memory, the last thousand profiles beside the second
SHARES = (0, 1, 10, 100)
PATH = "/catalogue.json"
QUERY = "flamegraph=1&interval=0.001"
CLIENTS = 4
# Options that lift what keeps a small machine safe.
LIFTED = ["--flameprof-at-once", "256", "--flameprof-worker-at-once", "64",
          "--flameprof-per-minute", "1000000"]
MODES = {
    "prefork": ["--processes", "2"],
    "threads": ["--threads", "8"],
    "gevent": ["--plugin", "gevent_python3", "--gevent", "16", "--gevent-monkey-patch"],
}
LINE = re.compile(r"^load (others|profiled|failed) (\d+) ([\d.]+) ([\d.]+)$", re.M)


def uwsgi(mode, plugin):
    port = serving.free_port()
    command = [
        *[serving.UWSGI, "--plugin", str(serving.PLUGIN) if plugin else "python3", *MODES[mode]],
        *["--pythonpath", str(serving.ROOT / "examples" / "django"), "--module", "shop.wsgi"],
        *["--need-app", "--master", "--die-on-term", "--http-socket", f"127.0.0.1:{port}"],
        # wrk opens a connection for each request then, as it would have to.
        *["--add-header", "Connection: close", "--disable-logging", "--listen", "64"],
        *(LIFTED if plugin else []),
    ]
    return serving.Server(command, port)


def put_load(server, share, seconds):
    """{kind: (requests, p50, p99)}, times in ms"""
    url = f"http://127.0.0.1:{server.port}{PATH}"
    threads = ["-t", str(CLIENTS), "-c", str(CLIENTS), "-d", f"{seconds}s", "--timeout", "30s"]
    done = subprocess.run(
        ["wrk", *threads, "-s", str(serving.HERE / "load.lua"), url, "--", str(share), QUERY],
        stdout=subprocess.PIPE, timeout=seconds + 60, check=True, text=True,
    )  # fmt: skip
    found = {
        kind: (int(count), float(p50), float(p99))
        for kind, count, p50, p99 in LINE.findall(done.stdout)
    }
    if len(found) != 3:
        raise SystemExit(f"wrk said something else:\n{done.stdout}")
    for line in re.findall(r"^load why .*", done.stdout, re.M):
        print(f"  {line}", flush=True)
    return found


def ratio(ours, theirs, which):
    return ours["others"][which] / theirs["others"][which] if theirs["others"][which] else None


def measure(mode, share, seconds, rounds):
    """Prints a row; (failed requests, the ratios of p50 and p99 or None)."""
    ratios, failed, counts = ([], []), 0, [0, 0]
    for _ in range(rounds):
        found = {}
        for plugin in (False, True):
            with uwsgi(mode, plugin) as server:
                server.get(PATH)
                found[plugin] = put_load(server, share, seconds)
        failed += found[True]["failed"][0]
        for i, kind in enumerate(("others", "profiled")):
            counts[i] += found[True][kind][0]
        for which, kept in enumerate(ratios, 1):
            one = ratio(found[True], found[False], which)
            if one is not None:
                kept.append(one)
    middles = [statistics.median(kept) if kept else None for kept in ratios]
    shown = " | ".join("–" if middle is None else f"**{middle:.3f}**" for middle in middles)
    with_us, without = found[True]["others"], found[False]["others"]
    print(f"| {mode} | {share:g} % | {counts[0]} | {counts[1]} | {failed} "
          f"| {with_us[1]:.1f} / {without[1]:.1f} | {with_us[2]:.1f} / {without[2]:.1f} "
          f"| {shown} |", flush=True)  # fmt: skip
    return failed, middles


def loads(options):
    print("| mode | profiled | other requests | profiles | failed "
          "| others' p50, ms, with / without us | p99 | p50, ratio | p99, ratio |")  # fmt: skip
    print("|---|---|---|---|---|---|---|---|---|", flush=True)
    met = True
    for mode in options.modes:
        for share in options.shares:
            failed, middles = measure(mode, share, options.seconds, options.rounds)
            slower = any(middle is not None and middle > TARGET for middle in middles)
            met = met and failed == 0 and not (share == JUDGED_SHARE and slower)
    return met


class Memory(threading.Thread):
    """A worker's memory in KiB, looked at fifty times a second until it is stopped."""

    def __init__(self, pid):
        super().__init__(daemon=True)
        self.pid, self.over, self.seen = pid, threading.Event(), []

    def run(self):
        while not self.over.wait(0.02):
            with open(f"/proc/{self.pid}/smaps_rollup") as file:
                self.seen.append(int(re.search(r"^Rss:\s+(\d+)", file.read(), re.M).group(1)))


def worker_of(server):
    pid = server.process.pid
    with open(f"/proc/{pid}/task/{pid}/children") as file:
        return int(file.read().split()[0])


def growth(profiles):
    """Prints a row; a worker's memory at the last tenth of the profiles, by the second."""
    tenths = []
    with uwsgi("threads", True) as server:
        begun = time.monotonic()
        for _ in range(10):
            memory = Memory(worker_of(server))
            memory.start()
            with concurrent.futures.ThreadPoolExecutor(CLIENTS) as pool:
                for answer, _ in pool.map(server.get, [f"{PATH}?{QUERY}"] * (profiles // 10)):
                    if not answer.rstrip().endswith(b"</svg>"):
                        raise SystemExit(f"not a picture: {answer[:300]!r}")
            memory.over.set()
            memory.join()
            tenths.append(statistics.fmean(memory.seen))
        seconds = time.monotonic() - begun
    print(f"\n| {profiles} profiles, {seconds:.0f} s: each tenth's memory, MiB | last / second |")
    print("|---|---|")
    shown = ", ".join(f"{tenth / 1024:.2f}" for tenth in tenths)
    print(f"| {shown} | **{tenths[-1] / tenths[1]:.4f}** |", flush=True)
    return tenths[-1] / tenths[1] <= GROWTH


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seconds", type=int, default=60, help="of each load (60)")
    parser.add_argument("--rounds", type=int, default=1, help="of each, medians are shown (1)")
    parser.add_argument("--profiles", type=int, default=10000, help="one after another (10000)")
    parser.add_argument("--modes", nargs="+", choices=MODES, default=list(MODES))
    parser.add_argument("--shares", nargs="+", type=float, default=SHARES, help="percent")
    options = parser.parse_args()
    if not shutil.which("wrk"):
        raise SystemExit("wrk is missing; it is in packages.txt")
    with Conditions():
        met = loads(options)
        met = growth(options.profiles) and met
    print(f"Targets: none failed; where {JUDGED_SHARE} % are profiled the others' p50 and p99 "
          f"at most {TARGET} of those without us; memory at most {GROWTH}: "
          f"{'met' if met else 'MISSED'}.\n")  # fmt: skip
    sys.exit(0 if met else 1)


if __name__ == "__main__":
    main()
