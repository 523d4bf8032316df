"""Eight profiles at once among twenty-four other requests, in each mode.

FLAMEPROF_CROWD says how many requests per mode (1000, a quarter of them profiled).
"""

import concurrent.futures
import json
import os
import pathlib
import re
import sys
import time
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))

from checks import Checks  # noqa: E402
from measuring import NotSeen  # noqa: E402
from server import Server  # noqa: E402

REQUESTS = int(os.environ.get("FLAMEPROF_CROWD", "1000"))
PROFILES_AT_ONCE, OTHERS_AT_ONCE = 8, 24
INTERVAL = 0.001
ASK = f"flamegraph=1&interval={INTERVAL}&flamegraph_format=folded"

def workers_of(server):
    master = server.process.pid
    text = pathlib.Path(f"/proc/{master}/task/{master}/children").read_text()
    return [int(word) for word in text.split()]


def resources(pid):
    """(descriptors, threads, resident KiB)"""
    status = pathlib.Path(f"/proc/{pid}/status").read_text()
    number = {key: int(re.search(rf"^{key}:\s*(\d+)", status, re.M).group(1))
              for key in ("Threads", "VmRSS")}
    return len(os.listdir(f"/proc/{pid}/fd")), number["Threads"], number["VmRSS"]


class Crowd(Checks):
    def in_crowd(self, server, profiled, others):
        """Each client has its own requests; the answers of both kinds, in order."""
        def client(targets):
            return [(target, server.get(target)) for target in targets]

        with concurrent.futures.ThreadPoolExecutor(32) as pool:
            futures = [[pool.submit(client, targets[i::clients]) for i in range(clients)]
                       for targets, clients in ((profiled, PROFILES_AT_ONCE),
                                                (others, OTHERS_AT_ONCE))]
            return [[pair for future in kind for pair in future.result()] for kind in futures]

    def check_frames(self, n, folded):
        """Its own functions, the application's part for profiled requests, and gevent's."""
        stacks = [line.rpartition(" ")[0].split(";") for line in folded.decode().splitlines()]
        frames = {frame for stack in stacks for frame in stack[1:]}
        if not any(frame.startswith(f"own_{n} ") for frame in frames):
            self.off.append((n, folded))
        for frame in frames:
            self.assertRegex(frame, rf"\(own_{n}\.py:|\(crowd\.py:|\(gevent/|^\[garbage")
            self.assertNotRegex(frame, "neighbour|pieces")

    def check_profile(self, n, answer, took, log):
        self.assertEqual(answer.status, "200 OK", answer.raw[:300])
        self.assertEqual(answer.header("X-Flameprof-Status"), "200 OK")
        self.check_frames(n, answer.body)
        line = re.search(rf"^\[flameprof\] \S+&n={n}: ([\d.]+) s, .* (\d+) missed", log, re.M)
        weights = [line.rpartition(" ") for line in answer.body.decode().splitlines()]
        # Between the parts of its body no function of the application runs. What its
        # generator spends by itself may be a wait for the GIL beside its clock.
        framed = sum(int(weight) for stack, _, weight in weights if "(crowd.py:" in stack)
        inner = sum(int(weight) for stack, _, weight in weights if f"(own_{n}.py:" in stack)
        allowed = 0.05 * took + (int(line.group(2)) + 2) * INTERVAL * 1e6
        if inner > took + allowed or framed < took - allowed:
            self.off.append((n, weights, took, line.group()))
        whole = sum(int(weight) for _, _, weight in weights)
        self.assertLessEqual(abs(whole - float(line.group(1)) * 1e6), 2000, line.group())

    def check_log(self, log, profiles):
        lines = log.splitlines()
        ours = [line for line in lines if line.startswith("[flameprof]")]
        self.assertEqual(len(ours), profiles)
        for line in lines:
            self.assertRegex(line, r"^\[pid: \d+\|app: 0\||^\[flameprof\] /\S+: [\d.]+ s, \d+ "
                                   r"samples, ")

    def check_resources(self, before, after):
        self.assertEqual(set(before), set(after), "a worker died")
        for pid, (files, threads, resident) in before.items():
            self.assertEqual(after[pid][:2], (files, threads), "descriptors, threads")
            # The tables of sessions are touched page by page, fewer with each profile.
            self.assertLess(after[pid][2] - resident, 8 * 1024, "KiB resident")

    def crowd(self, *args, how="sleep", rests=None, **kwargs):
        """`rests`: how the first of the eight clients rests; else as the others."""
        self.off = []  # profiles whose weights or functions are not those that were
        app = ("--module", "crowd", "--need-app")
        others = [f"/{how}?n={n}" for n in range(OTHERS_AT_ONCE)]
        with Server(*args, app=app, plugin=None, **kwargs) as plain:
            expected = {target: plain.get(target).raw for target in others}

        def profiled(first, count):
            return [f"/{rests if rests and i % PROFILES_AT_ONCE == 0 else how}?{ASK}"
                    f"&n={first + i}" for i in range(count)]

        count = max(REQUESTS // 4, PROFILES_AT_ONCE)
        rounds = -(-(REQUESTS - count) // OTHERS_AT_ONCE)
        with Server(*args, app=app, **kwargs) as server:
            self.in_crowd(server, profiled(10000, 24), others * 2)  # all is there once
            time.sleep(0.3)
            before = {pid: resources(pid) for pid in workers_of(server)}
            start, begun = len(server.log()), time.monotonic()
            ours, theirs = self.in_crowd(server, profiled(20000, count),
                                         (others * rounds)[:REQUESTS - count])
            seconds = time.monotonic() - begun
            time.sleep(0.3)
            self.check_resources(before, {pid: resources(pid) for pid in workers_of(server)})
            log = server.log()[start:]
            for target, answer in theirs:
                self.assertEqual(answer.raw, expected[target], target)
            times = json.loads(server.get("/times").body)
            for target, answer in ours:
                n = int(target.rpartition("n=")[2])
                self.check_profile(n, answer, times[n], log)
            self.check_log(log, count)
            # A machine that is busy elsewhere may have been so when one of them was.
            if len(self.off) > max(1, count // 50):
                raise NotSeen(f"{len(self.off)} of {count}: {self.off}")
        print(f"crowd: {' '.join(args)}: {len(ours) + len(theirs)} requests, {len(ours)} of "
              f"them profiled, {seconds:.1f} s", flush=True)

    def test_prefork(self):
        self.crowd("--processes", "4")

    def test_threads(self):
        self.crowd("--threads", "32")

    def test_gevent(self):
        self.crowd("--gevent", "40", "--gevent-monkey-patch",
                   before=("--plugin", "python3,gevent_python3"))

    def test_bare_async(self):
        self.crowd("--async", "40", how="yield")

    def test_ugreen(self):
        """One client whose requests leave their stack: two that come back in another
        order crash ugreen under CPython 3.11 and later, without us as well."""
        if sys.version_info >= (3, 12):
            self.skipTest("no profile under ugreen with this Python: see test_plugin.py")
        self.crowd("--async", "40", "--ugreen", rests="suspend",
                   before=("--plugin", "python3,ugreen"))


if __name__ == "__main__":
    unittest.main()
