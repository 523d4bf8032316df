"""Profiles that the plugin pushes: from each worker, at its end, and after a reload."""

import os
import pathlib
import signal
import sys
import time
import unittest

HERE = pathlib.Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parent), str(HERE.parent / "middleware")]

import pyroscope  # noqa: E402
from checks import ASK  # noqa: E402
from measuring import Seeing  # noqa: E402
from server import Server  # noqa: E402


def maps_curl(pid):
    return "libcurl" in pathlib.Path(f"/proc/{pid}/maps").read_text()


def workers(server):
    """The children of the master."""
    master = server.process.pid
    return [int(pid) for pid in
            pathlib.Path(f"/proc/{master}/task/{master}/children").read_text().split()]


class Push(Seeing):
    def serve(self, *args, answers=()):
        taker = pyroscope.Server(answers)
        self.addCleanup(taker.__exit__)
        server = Server("--flameprof-push", taker.url, "--flameprof-push-service", "shapes",
                        "--flameprof-per-minute", "100000", *args)
        self.addCleanup(server.stop)
        return taker, server

    def ask(self, server, path="/sleeps"):
        answer = server.get(f"{path}?{ASK}&flamegraph_format=folded")
        self.assertEqual(answer.status, "200 OK", answer.body)

    def test_what_arrives(self):
        taker, server = self.serve("--processes", "2")
        self.ask(server)
        labels, profile, _, _ = taker.wait(1)[0]
        self.assertEqual((labels[""], labels["path"]), ("shapes", "/sleeps"))
        self.assert_seen(["sleeps"], {name for name, _ in profile.functions.values()})
        self.assertNotIn(str(HERE), "".join(profile.strings))

    def test_a_master_and_idle_workers_load_nothing(self):
        taker, server = self.serve("--processes", "4")
        server.get("/plain")
        self.assertFalse(any(map(maps_curl, [server.process.pid, *workers(server)])))
        self.ask(server)
        taker.wait(1)
        self.assertFalse(maps_curl(server.process.pid))
        self.assertEqual(sum(map(maps_curl, workers(server))), 1)

    def test_modes(self):
        for args in (("--threads", "2"), ("--enable-threads", "--lazy-apps"), ("--async", "4")):
            taker, server = self.serve(*args)
            self.ask(server)
            taker.wait(1)

    def test_sent_before_a_worker_ends(self):
        taker, server = self.serve()
        self.ask(server)
        begun = time.monotonic()
        server.stop()
        self.assertLess(time.monotonic() - begun, 10)
        self.assertEqual(len(taker.wait(1)), 1)

    def test_reload(self):
        """While the server does not answer; then the new worker pushes, too."""
        taker, server = self.serve(answers=[lambda handler: time.sleep(20)])
        self.ask(server)
        before = workers(server)
        time.sleep(0.3)
        begun = time.monotonic()
        os.kill(server.process.pid, signal.SIGHUP)
        while set(workers(server)) & set(before) or not workers(server):
            self.assertLess(time.monotonic() - begun, 15)
            time.sleep(0.05)
        for _ in range(50):
            try:
                self.ask(server)
                break
            except OSError:
                time.sleep(0.1)
        taker.wait(1)

    def test_what_makes_no_sense(self):
        server = Server("--flameprof-push", "http://ann:hunter2@/", start=False)
        self.addCleanup(server.stop)
        self.assertEqual(server.process.wait(20), 1)
        self.assertIn('[flameprof] --flameprof-push: "(hidden)" is not an address', server.log())
        self.assertNotIn("hunter2@/\" is", server.log())


if __name__ == "__main__":
    unittest.main()
