"""Limits and numbers that the workers of real uWSGI servers share."""

import concurrent.futures
import contextlib
import json
import os
import pathlib
import re
import signal
import socket
import sys
import time
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))

from server import Server, free_port  # noqa: E402

ASK = "flamegraph=1&flamegraph_format=folded"
GEVENT = {"before": ("--plugin", "python3,gevent_python3")}
# How many run at once there is told by the rest of the server only while one waits: bare
# async has one stack.
MODES = ((("--processes", "2"), "wait", {}), (("--processes", "2", "--lazy-apps"), "wait", {}),
         (("--processes", "1", "--threads", "3"), "wait", {}),
         (("--gevent", "10", "--gevent-monkey-patch"), "wait", GEVENT),
         (("--async", "4"), "yield", {}))


def serve(*args, **more):
    return Server(*args, app=("--module", "limited", "--need-app"), **more)


def stats(server):
    return json.loads(server.get("/stats").body)


def wait_until(holds, what):
    end = time.monotonic() + 15
    while not holds():
        if time.monotonic() > end:
            raise AssertionError(what)
        time.sleep(0.02)


def answers(port):
    with contextlib.suppress(OSError):
        socket.create_connection(("127.0.0.1", port), 1).close()
        return True
    return False


class Limits(unittest.TestCase):
    def ask(self, server, path, status, body=b""):
        answer = server.get(f"{path}?{ASK}")
        self.assertEqual((answer.status or "")[:3], status, answer.raw[:300])
        self.assertIn(body, answer.body)
        return answer

    def test_at_once_in_each_mode(self):
        for mode, path, more in MODES:
            with self.subTest(mode=mode), concurrent.futures.ThreadPoolExecutor(1) as pool, \
                    serve(*mode, "--flameprof-at-once", "1", **more) as server:
                slow = pool.submit(server.get, f"/{path}/2?{ASK}")
                wait_until(lambda: stats(server)["running"] == 1, "it does not run")
                for _ in range(3):
                    answer = self.ask(server, "/stats", "429", b"(at-once)")
                    self.assertGreater(int(answer.header("Retry-After")), 0)
                # Who may not ask learns nothing.
                stranger = [("X-Forwarded-For", "192.0.2.1")]
                answer = server.get(f"/raise?{ASK}", headers=stranger)
                self.assertEqual(answer.raw, server.get("/raise", headers=stranger).raw)
                self.assertEqual(slow.result().status, "200 OK")
                self.ask(server, "/stats", "200")
                numbers = stats(server)
                self.assertEqual((numbers["running"], numbers["profiles"],
                                  numbers["refused_at_once"], numbers["refused_caller"]),
                                 (0, 2, 3, 1))
                self.assertTrue(numbers["shared"])

    def test_worker_at_once(self):
        with concurrent.futures.ThreadPoolExecutor(1) as pool, \
                serve("--processes", "1", "--threads", "3", "--flameprof-worker-at-once",
                      "1") as server:
            slow = pool.submit(server.get, f"/wait/2?{ASK}")
            wait_until(lambda: stats(server)["running"] == 1, "it does not run")
            self.ask(server, "/stats", "429", b"(worker-at-once)")
            slow.result()
            self.ask(server, "/stats", "200")

    def test_per_minute_without_a_master(self):
        with serve("--processes", "2", "--flameprof-per-minute", "3") as server:
            for status in ("200", "200", "200", "429", "429"):
                self.ask(server, "/stats", status)
            self.assertEqual(stats(server)["refused_per_minute"], 2)

    def test_every_way_out_gives_the_place_back(self):
        with serve("--processes", "1", "--flameprof-at-once", "1") as server:
            for path in ("raise", "exit", "wait/0", "raise", "yield/0"):
                server.get(f"/{path}?{ASK}")
                wait_until(lambda: stats(server)["running"] == 0, path)
            # Its client has gone.
            with socket.create_connection(("127.0.0.1", server.port)) as client:
                client.sendall(f"GET /wait/0.3?{ASK} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
            self.ask(server, "/stats", "200")

    def test_a_worker_that_is_killed_gives_its_place_back(self):
        with concurrent.futures.ThreadPoolExecutor(4) as pool, \
                serve("--processes", "2", "--flameprof-at-once", "1") as server:
            for _ in range(3):
                before = {stats(server)["pid"] for _ in range(20)}
                slow = pool.submit(server.get, f"/wait/30?{ASK}")
                wait_until(lambda: stats(server)["running"] == 1, "it does not run")
                busy = before - {stats(server)["pid"]}
                for pid in busy or before:
                    os.kill(pid, signal.SIGKILL)
                wait_until(lambda: stats(server)["running"] == 0, "it still counts")
                self.ask(server, "/stats", "200")
                slow.result()

    def test_a_reload_keeps_what_is_shared_whole(self):
        with serve("--processes", "2", "--lazy-apps", "--flameprof-at-once", "1") as server:
            self.wait_for_workers(server, set())
            for _ in range(2):
                self.ask(server, "/stats", "200")
                before = self.workers(server)
                server.process.send_signal(signal.SIGHUP)
                self.wait_for_workers(server, before)
            self.ask(server, "/stats", "200")
            self.assertTrue(stats(server)["shared"])

    def workers(self, server):
        master = server.process.pid
        return set(pathlib.Path(f"/proc/{master}/task/{master}/children").read_text().split())

    def wait_for_workers(self, server, before):
        """A SIGHUP while one of them loads its application is lost on that one."""
        def are_ready():
            ready = set(re.findall(r"ready in .* pid: (\d+)", server.log()))
            workers = self.workers(server)
            return len(workers) == 2 and not workers & before and workers <= ready

        wait_until(are_ready, "not all workers are ready")

    def test_options_that_are_none(self):
        for option, value, accepted in (
                ("at-once", "0", "a number from 1 to 256"),
                ("worker-at-once", "65", "a number from 1 to 64"),
                ("per-minute", "-1", "a number from 1 to 1000000"),
                ("min-interval", "0.00001", "seconds from 0.00005 to 1"),
                ("max-profile-bytes", "15M", "bytes from 16M to 1G"),
                ("max-picture-bytes", "63K", "bytes from 64K to 1G")):
            server = serve(f"--flameprof-{option}", value, start=False)
            try:
                self.assertEqual(server.wait(), 1)
                self.assertIn(f'--flameprof-{option}: "{value}" is not {accepted}', server.log())
            finally:
                server.stop()


class Metrics(unittest.TestCase):
    def read(self, port):
        wait_until(lambda: answers(port), "no stats server")
        with socket.create_connection(("127.0.0.1", port), 5) as connection:
            with connection.makefile("rb") as stream:
                return json.load(stream)["metrics"]

    def shown(self, port, **expected):
        metrics = self.read(port)
        return {name: metrics["flameprof." + name]["value"] for name in expected} == expected

    def test_the_stats_server_has_them(self):
        port = free_port()
        with serve("--processes", "2", "--enable-metrics", "--stats", f"127.0.0.1:{port}",
                   "--flameprof-per-minute", "2") as server:
            for _ in range(4):
                server.get(f"/stats?{ASK}")
            server.get("/stats?flamegraph=1&interval=nonsense")
            server.get(f"/stats?{ASK}", headers=[("X-Forwarded-For", "192.0.2.1")])
            expected = {"profiles": 2, "refused_per_minute": 2, "refused_malformed": 1,
                        "refused_caller": 1, "pictures": 2, "running": 0}
            wait_until(lambda: self.shown(port, **expected), str(self.read(port)))
            numbers = stats(server)
            metrics = self.read(port)
            self.assertEqual({name[len("flameprof."):] for name in metrics
                              if name.startswith("flameprof.")},
                             set(numbers) - {"worker", "pid", "since", "shared"})
            for name, value in expected.items():
                self.assertEqual(numbers[name], value, name)

    def test_they_are_not_registered_where_it_is_off(self):
        port = free_port()
        with serve("--enable-metrics", "--stats", f"127.0.0.1:{port}", "--flameprof-disable"):
            self.assertFalse([name for name in self.read(port) if name.startswith("flameprof.")])


if __name__ == "__main__":
    unittest.main()
