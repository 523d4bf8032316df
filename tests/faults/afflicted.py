"""An application that has bad luck: each path is one kind, or makes the machine refuse
something from here on."""

import ctypes
import faulthandler
import os
import pathlib
import resource
import signal
import sys
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


def waits(environ, start_response):
    time.sleep(int(asked(environ, "ms")) / 1000)
    return answer(start_response, "waited")


def endless(environ, start_response):
    time.sleep(60)
    return answer(start_response, "endless")


def memory(environ, start_response):
    """Resident now, in KiB."""
    pages = int(pathlib.Path("/proc/self/statm").read_text().split()[1])
    return answer(start_response, pages * resource.getpagesize() // 1024)


# ---- what the application does ------------------------------------------------------


def send_thirty(number, came):
    """To itself, each when the one before has come: two that wait are one."""
    came.clear()
    for sent in range(1, 31):
        os.kill(os.getpid(), number)
        work(10)
        patience = time.monotonic() + 2
        while len(came) < sent and time.monotonic() < patience:
            work(1)


def takes_sigprof(environ, start_response):
    """Its own timer, as another profiler would have: how many signals came; and how many
    of those it sent itself."""
    came = []
    before = signal.signal(signal.SIGPROF, lambda *_: came.append(1))
    signal.setitimer(signal.ITIMER_PROF, 0.004, 0.004)
    begun = time.process_time()
    while time.process_time() - begun < 0.1:
        work(10)
    used = time.process_time() - begun
    signal.setitimer(signal.ITIMER_PROF, 0)
    by_timer = len(came)
    send_thirty(signal.SIGPROF, came)
    signal.signal(signal.SIGPROF, before)
    start_response("200 OK", PLAIN + [("X-Came", str(by_timer)), ("X-Used", f"{used:.3f}"),
                                      ("X-Sent-Came", str(len(came)))])
    return [b"signals"]


sigurgs = []


def takes_sigurg(environ, start_response):
    """Its own signals, by the one that samples are asked for with: how many came. late=1: it
    begins to handle them only now."""
    work(50)
    if asked(environ, "late") == "1":
        signal.signal(signal.SIGURG, lambda *_: sigurgs.append(1))
    send_thirty(signal.SIGURG, sigurgs)
    start_response("200 OK", PLAIN + [("X-Came", str(len(sigurgs)))])
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
    return descend(levels - 1) if levels else work(300)  # the way down is a small part of it


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


def named(name, file="afflicted.py", run=lambda: work(30)):
    """A function of that name."""
    made = {"run": run}
    exec("def function():\n    return run()\n", made)
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


def after_it():
    work(400)


def disables(environ, start_response):
    """faulthandler goes, and with it what stood above it; crash=1: and then it crashes."""
    work(20)
    faulthandler.disable()
    after_it()
    if asked(environ, "crash") == "1":
        ctypes.CDLL(str(LIBRARIES / "segv.so")).crash()
    return answer(start_response, "disabled")


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


def our_threads(environ, start_response):
    """Those that write what is kept."""
    found = 0
    for path in pathlib.Path("/proc/self/task").glob("*/comm"):
        try:
            found += "keeper" in path.read_text()
        except OSError:
            pass  # it has ended meanwhile
    return answer(start_response, found)


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
    for _ in range(int(asked(environ, "mib"))):
        yield b"x" * (1 << 20)  # each its own
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


def told_at_length(environ, start_response):
    """As folded text some MB, which no socket takes at once: deep stacks of long names."""

    def leaves():
        for i in range(300):
            named(f"leaf_{i}", run=lambda: work(1.5))()

    run = leaves
    for level in range(25):
        run = named(f"level_{level}_{'x' * 900}", run=run)
    run()
    return answer(start_response, "told")


def begin():
    """What a server wants to be so from its first request on: "refuse?setitimer=1"."""
    name, _, query = os.environ.get("FROM_THE_START", "").partition("?")
    if name:
        globals()[name]({"QUERY_STRING": query}, lambda *said: None)


begin()


def application(environ, start_response):
    return globals()[environ["PATH_INFO"].strip("/")](environ, start_response)
