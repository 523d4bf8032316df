"""Sub-interpreters, as mod_wsgi makes them, that come and go while others profile."""

import os
import subprocess
import sys
import tempfile
import unittest

from served import PACKAGE

# In a process of its own: it might crash.
PROGRAM = '''
import os, sys
sys.path.insert(0, sys.argv[1])
try:
    import _interpreters

    def create():
        return _interpreters.create("legacy")
except ImportError:
    import _xxsubinterpreters as _interpreters

    def create():
        return _interpreters.create(isolated=False)

SITE = """
import sys, threading, time
sys.path.insert(0, {package!r})
import flameprof

def application(environ, start_response):
    thread = threading.Thread(target=time.sleep, args=(0.02,))
    thread.start()
    time.sleep(0.03)
    thread.join()
    start_response("200 OK", [])
    return [b"done"]

environ = dict(REQUEST_METHOD="GET", PATH_INFO="/", SERVER_PROTOCOL="HTTP/1.1",
               REMOTE_ADDR="127.0.0.1", HTTP_HOST="localhost")
middleware = flameprof.Middleware(application, dir={folder!r}, slower_than=0.01, full_paths=True)
picture = b"".join(middleware(dict(environ, QUERY_STRING="flamegraph=1&flamegraph_threads=1"),
                              lambda *said: None))
plain = b"".join(middleware(dict(environ, QUERY_STRING=""), lambda *said: None))
open({folder!r} + "/said", "a").write(repr((b"<svg" in picture, plain)) + chr(10))
""".format(package=sys.argv[1], folder=sys.argv[2])

for turn in range(6):
    pair = [create(), create()]
    for interpreter in pair:
        _interpreters.run_string(interpreter, SITE)
    for interpreter in pair if turn % 2 else reversed(pair):
        _interpreters.destroy(interpreter)
    print(len(os.listdir("/proc/self/fd")), flush=True)
exec(SITE)
'''


class Interpreters(unittest.TestCase):
    def test_they_come_and_go(self):
        with tempfile.TemporaryDirectory(prefix="flameprof-servers-") as folder:
            done = subprocess.run(
                [sys.executable, "-B", "-c", PROGRAM, str(PACKAGE), folder],
                stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=120,
                env={**os.environ, "TMPDIR": folder},
            )  # fmt: skip
            self.assertEqual(done.returncode, 0, done.stderr.decode())
            with open(folder + "/said") as said:
                self.assertEqual(said.read(), "(True, b'done')\n" * 13, done.stderr.decode())
        descriptors = done.stdout.split()
        self.assertEqual(descriptors[1:], descriptors[1:2] * 5)


if __name__ == "__main__":
    unittest.main()
