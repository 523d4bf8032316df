"""Servers for profiles that are not there, or do not do what they should."""

import ctypes.util
import pathlib
import sys
import time
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
sys.path.insert(1, str(pathlib.Path(__file__).resolve().parents[1] / "middleware"))

from doors import (  # noqa: E402
    ASK,
    Row,
    ThroughGunicorn,
    ThroughUwsgi,
    until,
)
from pyroscope import Server  # noqa: E402
from server import free_port  # noqa: E402


def without_end(handler):
    """A body that goes on as long as somebody listens."""
    handler.send_response(200)
    handler.end_headers()
    try:
        while True:
            handler.wfile.write(b"x" * 10000)
    except OSError:
        pass


class Push(Row):
    def serve(self, url, **more):
        return super().serve(options={"push": url}, **more)

    def taker(self, answers=()):
        server = Server(answers)
        self.addCleanup(server.__exit__)
        return server

    def ask(self, served, count=1):
        """Whatever the server for profiles does, the person has the picture, at once."""
        for _ in range(count):
            begun = time.monotonic()
            self.assert_picture(served.get(f"/works?{ASK}"))
            self.assertLess(time.monotonic() - begun, 5)

    def assert_said(self, served, *parts):
        self.assertTrue(until(lambda: "pushing profiles to" in served.log()), served.log()[-500:])
        (line,) = [line for line in served.log().splitlines() if "pushing profiles" in line]
        for part in parts:
            self.assertIn(part, line)

    def assert_ends_soon(self, served):
        """What waits keeps no worker: an attempt takes a second then, at most."""
        pid, begun = self.worker(served), time.monotonic()
        served.process.terminate()
        self.assertTrue(until(lambda: not pathlib.Path(f"/proc/{pid}").exists()))
        self.assertLess(time.monotonic() - begun, 10)

    def test_gone(self):
        """What waits comes when the server is back."""
        port = free_port()
        served = self.serve(f"http://127.0.0.1:{port}")
        ordinary = self.plain(served)
        self.ask(served, 3)
        self.assert_said(served, f"http://127.0.0.1:{port}", "wait", "0 were given up")
        self.assert_alive(served, ordinary)
        self.ask(served)
        self.assert_ends_soon(served)

    def test_an_error_for_ever(self):
        """Tried again ever more rarely; nothing else notices."""
        taker = self.taker([500] * 1000)
        served = self.serve(taker.url)
        ordinary = self.plain(served)
        self.ask(served, 3)
        self.assert_said(served, "it answered 500", "0 were given up")
        time.sleep(4)
        self.assertGreater(len(taker.times), 1)
        self.assertLess(len(taker.times), 7)
        self.assertEqual(taker.got, [])
        self.assert_alive(served, ordinary)
        self.assert_ends_soon(served)

    def test_an_answer_without_end(self):
        """Its status is what counts: the profile is not sent again, and the next one is."""
        taker = self.taker([without_end, 200])
        served = self.serve(taker.url)
        ordinary = self.plain(served)
        self.ask(served)
        self.assertTrue(until(lambda: len(taker.times) == 1))
        self.ask(served)
        taker.wait(1)
        time.sleep(2)
        self.assertEqual(len(taker.times), 2)
        self.assertNotIn("pushing profiles", served.log())
        self.assert_alive(served, ordinary)

    def test_no_library(self):
        """Without libcurl profiles are not pushed, which it says once; nothing waits."""
        wanted = "libcurl.so.4"
        found = {str(path.resolve()) for folder in ("/lib", "/usr/lib", "/usr/local/lib")
                 for path in pathlib.Path(folder).glob(f"**/{wanted}")}
        self.assertTrue(found and ctypes.util.find_library("curl"))
        hidden = (f"mount --bind /dev/null {path}" for path in found)
        served = self.serve("http://127.0.0.1:9", wrap=self.in_namespace(*hidden))
        ordinary = self.plain(served)
        self.ask(served, 3)
        self.assert_said(served, f"{wanted} cannot be loaded; 0 wait")
        self.assert_alive(served, ordinary)
        self.assert_ends_soon(served)

    def test_no_name(self):
        """A host that nobody knows is as one that is gone."""
        served = self.serve("http://profiles.invalid:4040")
        ordinary = self.plain(served)
        self.ask(served, 3)
        self.assert_said(served, "http://profiles.invalid:4040", "0 were given up")
        self.assert_alive(served, ordinary)
        self.ask(served)
        self.assert_ends_soon(served)


class PushThroughUwsgi(ThroughUwsgi, Push):
    pass


class PushThroughGunicorn(ThroughGunicorn, Push):
    pass


del Push  # it has no door

if __name__ == "__main__":
    unittest.main()
