"""One application, many shapes of answer: each path is one.

SHAPES says per path what a profile of it must show: the application's status
(what X-Flameprof-Status says), the name of a function on its stack, and the
type of the exception it lets through.
"""

import gzip
import io
import os
import resource
import tempfile
import threading
import time

FILE = tempfile.TemporaryFile()  # without a name, so that no kill leaves it behind
FILE_PATH = "/proc/self/fd/%d" % FILE.fileno()
FILE.write(b"line of a file\n" * 4096)
FILE.flush()

PLAIN = [("Content-Type", "text/plain")]
closed = []
request = threading.local()


def work(ms=8):
    """CPU-bound for some milliseconds: what the picture has to show. More in a
    profiled request: a busy machine may not let the ticker in for ten of them."""
    end = time.perf_counter() + ms / 1000 * getattr(request, "effort", 1)
    n = 0
    while time.perf_counter() < end:
        n += sum(i * i for i in range(200))
    return n


def plain(environ, start_response):
    work()
    start_response("200 OK", PLAIN + [("Content-Length", "5")])
    return [b"plain"]


def chunks(environ, start_response):
    work()
    start_response("200 OK", PLAIN)
    return [b"one", b"", b"two", b"three"]


def empty(environ, start_response):
    work()
    start_response("200 OK", PLAIN + [("Content-Length", "0")])
    return []


def stream(environ, start_response):
    start_response("200 OK", PLAIN)
    for i in range(5):
        work(2)
        yield b"piece %d\n" % i


def write(environ, start_response):
    send = start_response("200 OK", PLAIN)
    work()
    send(b"written ")
    return [b"and returned"]


def echo(environ, start_response):
    body = environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
    work()
    start_response("200 OK", PLAIN)
    return [body, environ["QUERY_STRING"].encode()]


def real_file(environ, start_response):
    work()
    start_response("200 OK", [("Content-Type", "application/octet-stream"),
                              ("Content-Length", str(os.stat(FILE_PATH).st_size)),
                              ("Last-Modified", "Mon, 01 Jan 2024 00:00:00 GMT"),
                              ("Accept-Ranges", "bytes")])
    return environ["wsgi.file_wrapper"](open(FILE_PATH, "rb"), 1024)


def memory_file(environ, start_response):
    work()
    start_response("200 OK", PLAIN)
    return environ["wsgi.file_wrapper"](io.BytesIO(b"from memory" * 100), 64)


def sendfile(environ, start_response):
    import uwsgi
    work()
    start_response("200 OK", PLAIN)
    # By its name: a file's descriptor uWSGI closes, and then Python does once more, which
    # closes another request's where there are threads.
    return uwsgi.sendfile(FILE_PATH)


def no_content(environ, start_response):
    work()
    start_response("204 No Content", [("X-Kept", "yes")])
    return []


def not_modified(environ, start_response):
    work()
    start_response("304 Not Modified", [("ETag", '"abc"'), ("Expires", "0")])
    return []


def redirect(environ, start_response):
    work()
    start_response("302 Found", [("Location", "/elsewhere"), ("Refresh", "0; /x")])
    return [b""]


def not_found(environ, start_response):
    work()
    start_response("404 Not Found", PLAIN)
    return [b"nothing here"]


def server_error(environ, start_response):
    work()
    start_response("500 Our Own Words", PLAIN)
    return [b"said by the application"]


def compressed(environ, start_response):
    work()
    body = gzip.compress(b"squeezed" * 100, mtime=0)
    start_response("200 OK", PLAIN + [("Content-Encoding", "gzip"), ("Vary", "Accept"),
                                      ("Content-Length", str(len(body)))])
    return [body]


def cookies(environ, start_response):
    work()
    start_response("200 OK", PLAIN + [("Set-Cookie", "a=1; Path=/"), ("Set-Cookie", "b=2"),
                                      ("X-Own", "kept")])
    return [b"cookies"]


def guarded(environ, start_response):
    work()
    start_response("200 OK", [("Content-Type", "text/html"), ("Cache-Control", "public"),
                              ("Content-Security-Policy", "default-src 'none'"),
                              ("Content-Security-Policy-Report-Only", "img-src 'self'"),
                              ("Content-Disposition", "attachment"), ("Pragma", "x"),
                              ("Age", "3"), ("X-Sendfile", "/etc/hostname"),
                              ("X-Accel-Redirect", "/internal"), ("Link", "</x>"),
                              ("Access-Control-Allow-Origin", "*")])
    return [b"<p>guarded</p>"]


def raises(environ, start_response):
    work()
    raise ValueError("before any header")


def raises_late(environ, start_response):
    start_response("200 OK", PLAIN)
    work()
    raise LookupError("after start_response")


def raises_midway(environ, start_response):
    start_response("200 OK", PLAIN)
    yield b"so far so good"
    work()
    raise KeyError("in the middle")


class Closing:
    def __init__(self, environ):
        self.name = environ["QUERY_STRING"]

    def __iter__(self):
        work(2)
        yield b"an iterable "
        yield b"with close()"

    def close(self):
        work()
        closed.append(self.name)


def closing(environ, start_response):
    start_response("200 OK", PLAIN)
    return Closing(environ)


def was_closed(environ, start_response):
    start_response("200 OK", PLAIN)
    return [repr(closed).encode()]


def bare_bytes(environ, start_response):
    work()
    start_response("200 OK", PLAIN)
    return b"no list around it"


def headerful(environ, start_response):
    work()
    start_response("200 OK", PLAIN + [("X-Many-%d" % i, "v" * 20) for i in range(60)])
    return [b"many headers"]


def latin(environ, start_response):
    work()
    start_response("200 Gr\xfc\xdfe", PLAIN + [("X-Latin", "\xe9t\xe9")])
    return [b"latin"]


def deep(environ, start_response):
    def descend(n):
        return descend(n - 1) if n else work()
    descend(200)
    start_response("200 OK", PLAIN)
    return [b"deep"]


def sleeps(environ, start_response):
    time.sleep(0.03)
    start_response("200 OK", PLAIN)
    return [b"slept"]


def big(environ, start_response):
    start_response("200 OK", PLAIN)
    piece = bytes(1 << 20)
    for _ in range(96):
        yield piece


def slow(environ, start_response):
    start_response("200 OK", PLAIN)
    end = time.monotonic() + 3
    while time.monotonic() < end:
        work(50)
    return [b"slow"]


def hangs(environ, start_response):
    time.sleep(25)
    return slow(environ, start_response)


def starts_threads(environ, start_response):
    thread = threading.Thread(target=work, args=(100,), name="helper")
    thread.start()
    thread.join()
    start_response("200 OK", PLAIN)
    return [b"joined"]


def switches(environ, start_response):
    import uwsgi
    work(20)
    uwsgi.async_sleep(1)
    uwsgi.suspend()  # others run on this thread meanwhile
    work(20)
    start_response("200 OK", PLAIN)
    return [b"switched"]


def starters(environ, start_response):
    start_response("200 OK", PLAIN)
    names = ("_start_new_thread", "_start_joinable_thread")
    found = [getattr(threading, name) for name in names if hasattr(threading, name)]
    return [repr([starter.__name__ for starter in found]).encode()]


class Slow:
    """A body that takes its time for each part, and for its end."""

    def __init__(self, count):
        self.left = count

    def __iter__(self):
        return self

    def __next__(self):
        if self.left == 0:
            raise StopIteration
        self.left -= 1
        time.sleep(0.05)
        return b"part"

    def close(self):
        time.sleep(0.1)


def phases(environ, start_response):
    time.sleep(0.2)
    start_response("200 OK", PLAIN)
    return Slow(4)


def core(environ, start_response):
    time.sleep(0.3)
    start_response("200 OK", PLAIN + [("X-Core", str(environ.get("uwsgi.core", 0)))])
    work(20)
    return [b"core"]


def memory(environ, start_response):
    start_response("200 OK", PLAIN)
    return [str(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss).encode()]


def pid(environ, start_response):
    start_response("200 OK", PLAIN)
    return [str(os.getpid()).encode()]


def mark(environ, start_response):
    try:
        os.stat("/flameprof-test-mark-" + environ["QUERY_STRING"])
    except FileNotFoundError:
        pass
    start_response("200 OK", PLAIN)
    return [b"marked"]


def module(environ, start_response):
    import _flameprof
    start_response("200 OK", PLAIN)
    return [repr(_flameprof.__spec__.origin).encode()]


def behind_both(environ, start_response):
    import flameprof
    return flameprof.Middleware(raises)(environ, start_response)


# path: (status, function that must be on the picture, exception or None)
SHAPES = {
    "plain": ("200 OK", "work", None),
    "chunks": ("200 OK", "work", None),
    "empty": ("200 OK", "work", None),
    "stream": ("200 OK", "stream", None),
    "write": ("200 OK", "work", None),
    "echo": ("200 OK", "echo", None),
    "real_file": ("200 OK", "work", None),
    "memory_file": ("200 OK", "work", None),
    "sendfile": ("200 OK", "work", None),
    "no_content": ("204 No Content", "work", None),
    "not_modified": ("304 Not Modified", "work", None),
    "redirect": ("302 Found", "work", None),
    "not_found": ("404 Not Found", "work", None),
    "server_error": ("500 Our Own Words", "work", None),
    "compressed": ("200 OK", "work", None),
    "cookies": ("200 OK", "work", None),
    "guarded": ("200 OK", "work", None),
    "raises": ("500", "raises", "ValueError"),
    "raises_late": ("200 OK", "raises_late", "LookupError"),
    "raises_midway": ("200 OK", "raises_midway", "KeyError"),
    "closing": ("200 OK", "Closing.close", None),
    "bare_bytes": ("200 OK", "work", None),
    "headerful": ("200 OK", "work", None),
    "latin": ("200 Gr\xfc\xdfe", "work", None),
    "deep": ("200 OK", "deep.<locals>.descend", None),
    "sleeps": ("200 OK", "sleeps", None),
}


def application(environ, start_response):
    name = environ["PATH_INFO"].strip("/").split("/")[-1]
    request.effort = 5 if environ["QUERY_STRING"].startswith("flamegraph=1&") else 1
    return globals()[name](environ, start_response)
