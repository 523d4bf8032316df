"""A process that ends in a signal's handler, wherever that has interrupted it."""

import os
import subprocess
import sys
import tempfile
import time
import unittest

from doors import LIBRARIES

# Its second thread of ours is the keeper or what pushes: the first one is the ticker.
CODE = """
import ctypes, sys
import flameprof

def application(environ, start_response):
    start_response("200 OK", [])
    return [b""]

profiled = flameprof.Middleware(application, **eval(sys.argv[1]))
ctypes.CDLL(None).refuse_begin(8, ctypes.c_long(2), 0)
profiled({"REQUEST_METHOD": "GET", "PATH_INFO": "/", "QUERY_STRING": sys.argv[2],
          "REMOTE_ADDR": "127.0.0.1", "HTTP_HOST": "localhost"}, lambda *said: None)
print("here")
"""


class Exit(unittest.TestCase):
    def seconds_until_it_ends(self, query, **options):
        begun = time.monotonic()
        done = subprocess.run(
            [sys.executable, "-B", "-c", CODE, repr(options), query], timeout=30,
            env={**os.environ, "LD_PRELOAD": str(LIBRARIES / "refuse.so")},
            capture_output=True, text=True)
        self.assertEqual((done.returncode, done.stdout), (0, ""), done.stderr)
        return time.monotonic() - begun

    def test_while_a_profile_is_handed_to_the_archive(self):
        with tempfile.TemporaryDirectory() as folder:
            query = "flamegraph=1&flamegraph_keep=1"
            self.assertLess(self.seconds_until_it_ends(query, dir=folder), 15)

    def test_while_a_profile_is_handed_on_to_be_pushed(self):
        seconds = self.seconds_until_it_ends("flamegraph=1", push="http://127.0.0.1:9")
        self.assertLess(seconds, 10)


if __name__ == "__main__":
    unittest.main()
