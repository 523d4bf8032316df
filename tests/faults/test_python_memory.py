"""Every allocation of Python's fails once under the Middleware: the request ends with an
answer or with MemoryError, and the next one is as good as ever."""

import os
import pathlib
import subprocess
import sys
import unittest

HERE = pathlib.Path(__file__).resolve().parent
LIBRARY = HERE.parents[1] / os.environ.get("BUILD", "build") / "tests/faults/no_python_memory.so"
LIFTED = HERE.parent / "middleware"
MOST = 5000

# In a process of its own, which may not survive. The application itself allocates nothing
# that could fail for other reasons; what a server does around it is not ours.
CODE = """
import ctypes, os, sys, time
sys.path.insert(0, sys.argv[5])
import lifted

library = ctypes.PyDLL(sys.argv[1])
library.no_memory_end.restype = ctypes.c_long
query, options, most = sys.argv[2], eval(sys.argv[3]), int(sys.argv[4])
HEADERS = [("Content-Type", "text/html"), ("X-Own", "kept")]
BODY = [b"<html><body>a page</body></html>"]

def application(environ, start_response):
    start_response("200 OK", HEADERS)
    return BODY

profiled = lifted.Middleware(application, **options)

# A request's parts, before memory ends: Python 3.13 itself does not survive a def then.
def prepare():
    said = []
    environ = {"REQUEST_METHOD": "GET", "PATH_INFO": "/", "QUERY_STRING": query,
               "REMOTE_ADDR": "127.0.0.1", "HTTP_HOST": "localhost", "HTTP_ACCEPT": "text/html",
               "SERVER_PROTOCOL": "HTTP/1.1", "wsgi.url_scheme": "http"}
    def start_response(status, headers, exc_info=None):
        said[:] = [status, headers]
        return said.append
    return said, environ, start_response

def whole():
    said, environ, start_response = prepare()
    body = profiled(environ, start_response)
    parts = list(body)
    getattr(body, "close", lambda: None)()
    return said[0], len(b"".join(parts)) > 20

def end():
    try:
        return library.no_memory_end()
    except MemoryError:  # this call's own
        return library.no_memory_end()

good = whole()
refused = 0
for at in range(1, most):
    error = body = None
    said, environ, start_response = prepare()
    begin_at = ctypes.c_long(at)
    try:
        library.no_memory_begin(begin_at)
        body = profiled(environ, start_response)
        for part in body:
            pass
        if hasattr(body, "close"):
            body.close()
    except MemoryError as caught:
        error = caught
    finally:
        seen = end()
        body = None
    if seen < at:
        break
    refused += error is not None
    if at % 16 == 0:
        assert whole() == good, (at, whole(), good)
assert whole() == good
patience = time.monotonic() + 5  # a joined thread is listed for a moment
while len(os.listdir("/proc/self/task")) > 1 and time.monotonic() < patience:
    time.sleep(0.01)
assert len(os.listdir("/proc/self/task")) == 1, os.listdir("/proc/self/task")
print(at, refused)
"""


class PythonMemory(unittest.TestCase):
    def check(self, query, options="{}"):
        result = subprocess.run(
            [sys.executable, "-B", "-X", "faulthandler", "-c", CODE, str(LIBRARY), query,
             options, str(MOST), str(LIFTED)],
            capture_output=True, text=True, timeout=120)  # fmt: skip
        self.assertEqual(result.returncode, 0, result.stdout + result.stderr[-3000:])
        made, refused = map(int, result.stdout.split())
        self.assertLess(made, MOST - 1)
        self.assertGreater(made, 10)
        self.assertGreater(refused, 3)

    def test_a_picture(self):
        self.check("flamegraph=1")

    def test_a_repeated_one(self):
        self.check("flamegraph=1&flamegraph_repeat=3&flamegraph_format=folded")

    def test_one_with_its_threads(self):
        self.check("flamegraph=1&flamegraph_threads=1")

    def test_a_page_with_a_badge(self):
        self.check("", "dict(panel=True)")

    def test_one_the_application_allows(self):
        self.check("flamegraph=1", "dict(authorize=lambda environ: True)")

    def test_nonsense(self):
        self.check("flamegraph=1&interval=9")


if __name__ == "__main__":
    unittest.main()
