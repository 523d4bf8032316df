"""An application that has bad luck: each path is one kind, or makes the machine refuse
something from here on."""

import ctypes
import faulthandler
import os
import pathlib
import resource
import signal
import sys
import threading
import time
from urllib.parse import parse_qs

from life import refuse  # noqa: F401
from shapes import PLAIN, work

LIBRARIES = pathlib.Path(__file__).resolve().parents[2] / os.environ.get("BUILD", "build")
LIBRARIES = LIBRARIES / "tests" / "faults"


def answer(start_response, text):
    body = str(text).encode("utf-8", "surrogatepass")
    start_response("200 OK", PLAIN + [("Content-Length", str(len(body)))])
    return [body]


def asked(environ, name, usual="0"):
    return parse_qs(environ["QUERY_STRING"]).get(name, [usual])[0]


def well(environ, start_response):
    return answer(start_response, "well")


def pid(environ, start_response):
    return answer(start_response, os.getpid())


def works(environ, start_response):
    work(60)
    return answer(start_response, "worked")


def short(environ, start_response):
    work(5)
    return answer(start_response, "worked")


def long(environ, start_response):
    for _ in range(20):
        work(50)
        time.sleep(0.05)
    return answer(start_response, "long")


def endless(environ, start_response):
    time.sleep(60)
    return answer(start_response, "endless")


def memory(environ, start_response):
    """Resident now, in KiB."""
    pages = int(pathlib.Path("/proc/self/statm").read_text().split()[1])
    return answer(start_response, pages * resource.getpagesize() // 1024)


# ---- what the application does ------------------------------------------------------


def takes_sigprof(environ, start_response):
    """Its own timer, as another profiler would have: how many signals came."""
    came = []
    before = signal.signal(signal.SIGPROF, lambda *_: came.append(1))
    signal.setitimer(signal.ITIMER_PROF, 0.004, 0.004)
    begun = time.process_time()
    work(100)
    used = time.process_time() - begun
    signal.setitimer(signal.ITIMER_PROF, 0)
    signal.signal(signal.SIGPROF, before)
    start_response("200 OK", PLAIN + [("X-Came", str(len(came))), ("X-Used", f"{used:.3f}")])
    return [b"signals"]


def exits(environ, start_response):
    work(20)
    sys.exit(0)


def in_child():
    work(20)


def forks(environ, start_response):
    child = os.fork()
    if not child:
        try:
            in_child()
        finally:
            os._exit(3)
    status = os.waitpid(child, 0)[1]
    work(60)
    return answer(start_response, os.WEXITSTATUS(status))


def descend(levels):
    return descend(levels - 1) if levels else work(60)


def as_deep_as_it_goes():
    """From 3.11 on Python calls of Python need no stack of C."""
    levels = 200_000 if sys.version_info >= (3, 11) else 8_000
    before = sys.getrecursionlimit()
    sys.setrecursionlimit(levels + 1000)
    try:
        descend(levels)
    finally:
        sys.setrecursionlimit(before)


def deep(environ, start_response):
    as_deep_as_it_goes()
    return answer(start_response, "deep")


def named(name, file="afflicted.py"):
    """A function of that name, which works."""
    made = {"work": work}
    exec("def function():\n    return work(30)\n", made)
    code = made["function"].__code__.replace(co_name=name, co_filename=file)
    if sys.version_info >= (3, 11):
        code = code.replace(co_qualname=name)
    return type(works)(code, made)


def large_name(environ, start_response):
    named("n" * (1 << 20))()
    return answer(start_response, "named")


def every_byte(environ, start_response):
    """All of Latin-1, every lone surrogate that stands for a byte, what XML forbids, in
    names and in files."""
    texts = [bytes(range(i, i + 32)).decode("latin-1") for i in range(0, 256, 32)]
    texts += [bytes(range(128, 256)).decode("utf-8", "surrogateescape"),
              "\ufffe\uffff\ud800\U0010ffff\u2028\u202e", "]]></script>&amp;<!--", ""]
    for text in texts:
        named(text)()
        named("plain", text)()
    return answer(start_response, "named")


# ---- faults of memory, and who else handles them ------------------------------------


def install(which):
    """faulthandler, or a sampler that reads under a handler of its own."""
    if which == "faulthandler":
        faulthandler.enable()
    elif which == "sampler":
        ctypes.CDLL(str(LIBRARIES / "segv.so")).other_sampler_install()


def installs(environ, start_response):
    work(20)
    install(asked(environ, "which"))
    work(20)
    return answer(start_response, "installed")


def other_reads(environ, start_response):
    """The other sampler's own faults are its own: how many of a hundred it had."""
    install(asked(environ, "which"))
    library = ctypes.CDLL(str(LIBRARIES / "segv.so"))
    had = 0
    for _ in range(100):
        had += library.other_sampler_reads()
        work(0.3)
    start_response("200 OK", PLAIN + [("X-Had", str(had))])
    return [b"read"]


def crashes(environ, start_response):
    work(10)
    ctypes.CDLL(str(LIBRARIES / "segv.so")).crash()


# ---- a machine that refuses ---------------------------------------------------------


def refusing(environ, start_response):
    """what=BITS, at=N and from=1 as refuse.c has them; without what: how many there were."""
    library = ctypes.CDLL(None)
    library.refuse_end.restype = ctypes.c_long
    seen = library.refuse_end()
    if int(asked(environ, "what")):
        library.refuse_begin(int(asked(environ, "what")), ctypes.c_long(int(asked(environ, "at"))),
                             int(asked(environ, "from")))
    return answer(start_response, seen)


def steps_clock(environ, start_response):
    """The clock on the wall goes to another day while this request runs, and back."""
    seconds = int(asked(environ, "seconds"))
    step = ctypes.CDLL(None).refuse_step_clock
    begun = time.monotonic()
    work(60)
    before = time.time()
    step(ctypes.c_long(seconds))
    stepped = time.time() - before
    work(60)
    time.sleep(0.1)
    step(ctypes.c_long(0))
    took = time.monotonic() - begun
    start_response("200 OK", PLAIN + [("X-Stepped", f"{stepped:.0f}"), ("X-Took", f"{took:.6f}")])
    return [b"stepped"]


def set_clock(environ, start_response):
    ctypes.CDLL(None).refuse_step_clock(ctypes.c_long(int(asked(environ, "seconds"))))
    return answer(start_response, "set")


taken = []


def descriptors(environ, start_response):
    """All are in use but `left` of them, or given back again."""
    for file in taken:
        os.close(file)
    taken.clear()
    left = int(asked(environ, "left", "-1"))
    if left >= 0:
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, 200), hard))
        try:
            while True:
                taken.append(os.open("/dev/null", os.O_RDONLY))
        except OSError:
            for _ in range(left):
                os.close(taken.pop())
    else:
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    return answer(start_response, len(taken))


def limit_threads(environ, start_response):
    soft, hard = resource.getrlimit(resource.RLIMIT_NPROC)
    wanted = 1 if asked(environ, "on") == "1" else hard
    resource.setrlimit(resource.RLIMIT_NPROC, (wanted, hard))
    return answer(start_response, wanted)


def page(environ, start_response):
    work(20)
    start_response("200 OK", [("Content-Type", "text/html")])
    return [b"<html><body><p>a page</p></body></html>"]


# ---- bodies -------------------------------------------------------------------------


def sends(environ, start_response):
    """A body of so many MiB."""
    start_response("200 OK", PLAIN)
    piece = bytes(1 << 20)
    for _ in range(int(asked(environ, "mib"))):
        yield piece
    work(30)


def receives(environ, start_response):
    """Reads what is sent: how many bytes that was."""
    left = int(environ.get("CONTENT_LENGTH") or 0)
    read = 0
    while left:
        piece = environ["wsgi.input"].read(min(left, 1 << 20))
        if not piece:
            break
        read += len(piece)
        left -= len(piece)
    work(30)
    start_response("200 OK", PLAIN + [("X-Read", str(read))])
    return [b"received"]


def drawn_large(environ, start_response):
    """Many functions: a picture that no socket takes at once."""
    made = {"work": work}
    for i in range(150):
        exec(f"def function_{i}_{'x' * 3000}(): work(1)", made)
    for name in list(made):
        if name.startswith("function_"):
            made[name]()
    return answer(start_response, "many")


def threads_now(environ, start_response):
    return answer(start_response, f"{len(os.listdir('/proc/self/task'))} "
                                  f"{len(os.listdir('/proc/self/fd'))} "
                                  f"{threading.active_count()}")


def application(environ, start_response):
    return globals()[environ["PATH_INFO"].strip("/")](environ, start_response)
