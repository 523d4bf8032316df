"""Applications that exit, disconnect or never end, in real uWSGI servers."""

import concurrent.futures
import pathlib
import sys
import time
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))

from checks import ASK, FOLDED, Checks  # noqa: E402
from server import Server  # noqa: E402

GEVENT = {"before": ("--plugin", "python3,gevent_python3")}
MODES = ((("--processes", "1"), {}), (("--threads", "2"), {}), (("--gevent", "10"), GEVENT),
         (("--async", "4"), {}))


def serve(*args, **kwargs):
    return Server(*args, app=("--module", "misbehaving", "--need-app"), **kwargs)


class Misbehaving(Checks):
    def in_each_mode(self, check, *args, but=()):
        for mode, more in MODES:
            if mode[0] not in but:
                with self.subTest(mode=mode), serve(*mode, *args, **more) as server:
                    check(server)
                    self.assertNotIn("Segmentation", server.log())

    def test_an_application_that_exits(self):
        def check(server):
            for path in ("exits", "exits_in_close"):
                self.assertEqual(server.get(f"/{path}?{ASK}").raw, b"")
                self.assert_profiled(server.get(f"/well?{FOLDED}"))

        # uWSGI hangs by itself when an application exits on one of several threads.
        self.in_each_mode(check, but=("--threads",))

    def test_a_child_of_the_application_that_exits(self):
        def check(server):
            self.assert_profiled(server.get(f"/forks_and_exits?{FOLDED}"))

        self.in_each_mode(check)

    def test_a_connection_the_application_closed_gets_nothing(self):
        def check(server):
            with concurrent.futures.ThreadPoolExecutor(2) as pool:
                gone = pool.submit(server.get, f"/disconnects?{ASK}")
                time.sleep(0.2)  # the next client gets the descriptor that was closed
                other = pool.submit(server.get, "/waits")
                self.assertEqual(gone.result().raw, b"")
                self.assertEqual(other.result().status, "200 OK")
                self.assertEqual(other.result().body, b"waited")
                self.assertIsNone(other.result().header("X-Flameprof-Status"))

        self.in_each_mode(check, but=("--processes", "--async"))

    def test_a_body_without_an_end_ends_with_the_profile(self):
        def check(server):
            begun = time.monotonic()
            answer = server.get(f"/never_ends?{FOLDED}")
            self.assertLess(time.monotonic() - begun, 4)
            self.assert_profiled(answer, "never_ends")
            self.assertIn(b"never_ends", server.get("/was_closed").body)

        self.in_each_mode(check, "--flameprof-max-seconds", "1")


if __name__ == "__main__":
    unittest.main()
