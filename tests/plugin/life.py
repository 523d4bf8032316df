"""An application whose requests outlive, leave or change the process they run in."""

import atexit
import ctypes
import os
import pathlib
import resource
import struct
import subprocess
import sys
import tempfile
import threading
import time

from shapes import PLAIN, work

forgotten = []


def answer(start_response, text):
    start_response("200 OK", PLAIN)
    return [str(text).encode()]


def pid(environ, start_response):
    return answer(start_response, os.getpid())


def long(environ, start_response):
    """Two seconds, half of them on the CPU."""
    for _ in range(20):
        work(50)
        time.sleep(0.05)
    return answer(start_response, "long")


def endless(environ, start_response):
    time.sleep(60)
    return answer(start_response, "endless")


def exits(environ, start_response):
    """And the process takes its time to end."""
    atexit.register(time.sleep, 1)
    work(100)
    sys.exit()


def stuck(environ, start_response):
    """In C code that never gives the GIL up."""
    ctypes.PyDLL(None).usleep(900_000)
    while True:
        ctypes.PyDLL(None).usleep(900_000)


def seen(name, function):
    """What a function returns, and its folded stacks with a name. Called anew if that is not
    among them: a busy machine may not let the ticker in."""
    import _flameprof
    for _ in range(20):
        session = _flameprof.Session(interval=0.001)
        session.start()
        returned = function()
        session.stop()
        folded = session.folded()
        if name in folded:
            return returned, folded
    raise AssertionError(f"no sample of {name}")


def in_child():
    work(100)


def inspected_child(file):
    """The child takes a profile of its own: it starts from nothing."""
    _, folded = seen("in_child", in_child)
    patience = time.monotonic() + 5  # a joined thread is listed for a moment
    while (threads := len(os.listdir("/proc/self/task"))) > 1 and time.monotonic() < patience:
        time.sleep(0.01)
    os.write(file.fileno(), f"{threads} {folded}".encode())


def forks(environ, start_response):
    # No pipe: where gevent has patched os.close(), the parent's copy of the
    # writing end lives until its loop turns, and the parent would read for ever.
    with tempfile.TemporaryFile() as file:
        child = os.fork()
        if not child:
            try:
                inspected_child(file)
            finally:
                os._exit(0)
        work(100)
        os.waitpid(child, 0)
        file.seek(0)
        said = file.read()
    subprocess.run(["true"], check=True)
    work(100)
    assert said.startswith(b"1 ") and b"in_child" in said, said
    assert b"forks" not in said, said
    return answer(start_response, "forked")


def forks_on(environ, start_response):
    """Forks all the time, and sees that all of them end."""
    while True:
        child = os.fork()
        if not child:
            os._exit(0)
        os.waitpid(child, 0)


def leave_a_profile():
    import _flameprof
    session = _flameprof.Session(interval=0.001)
    session.start()
    work(100)
    forgotten.append(session)


def thread_ends(environ, start_response):
    """A thread of the request's starts a profile and ends under it."""
    thread = threading.Thread(target=leave_a_profile)
    thread.start()
    thread.join()
    work(100)
    forgotten.clear()
    work(100)
    return answer(start_response, "ended")


def tickers():
    names = [path.read_text() for path in pathlib.Path("/proc/self/task").glob("*/comm")]
    return names.count("flameprof\n")


def inner_door():
    work(100)
    return tickers()


def both_doors(environ, start_response):
    """A profile of the other door's inside this one's."""
    found, folded = seen("work", inner_door)
    assert found == 1, found
    assert "both_doors" not in folded
    return answer(start_response, found)


def limit_threads(environ, start_response):
    """As many as there are, or as allowed: soft limit, for the whole user."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NPROC)
    wanted = 1 if environ["QUERY_STRING"] == "on" else hard
    resource.setrlimit(resource.RLIMIT_NPROC, (wanted, hard))
    return answer(start_response, wanted)


def contended(environ, start_response):
    """Waits for the GIL, which another thread holds all the time, and sleeps."""
    over = threading.Event()

    def holds():
        while not over.is_set():
            sum(range(20000))

    thread = threading.Thread(target=holds)
    thread.start()
    waits_for_gil(0.4)
    over.set()
    thread.join()
    sleeps()
    return answer(start_response, os.geteuid())


def waits_for_gil(seconds):
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        sum(range(2000))
        time.sleep(0)


def sleeps():
    time.sleep(0.2)


# Numbers of system calls that a strict filter may refuse, on x86-64.
REFUSABLE = {"sched_yield": 24, "setitimer": 38, "getpriority": 140,
             "sched_setscheduler": 144, "prctl": 157, "sched_setaffinity": 203,
             "sched_getaffinity": 204, "timer_create": 222, "timer_settime": 223,
             "timer_delete": 226, "timerfd_create": 283, "timerfd_settime": 286,
             "rt_tgsigqueueinfo": 297, "sched_setattr": 314, "sched_getattr": 315,
             "clone3": 435, "close_range": 436}
PR_SET_NO_NEW_PRIVS, PR_SET_SECCOMP, SECCOMP_MODE_FILTER = 38, 22, 2
RETURN_ERRNO, RETURN_ALLOW = 0x00050000, 0x7fff0000


def refuse(environ, start_response):
    """From here on these system calls fail: the query names them, with an errno each."""
    rules = [(REFUSABLE[name], int(errno)) for name, errno in
             (pair.split("=") for pair in environ["QUERY_STRING"].split("&"))]
    code = [(0x20, 0, 0, 0)]  # load the number
    for number, errno in rules:
        code += [(0x15, 0, 1, number), (0x06, 0, 0, RETURN_ERRNO | errno)]
    code.append((0x06, 0, 0, RETURN_ALLOW))
    program = ctypes.create_string_buffer(b"".join(struct.pack("HBBI", *line) for line in code))
    header = struct.pack("HxxxxxxP", len(code), ctypes.addressof(program))
    libc = ctypes.CDLL(None, use_errno=True)
    assert libc.prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0
    if libc.prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, ctypes.c_char_p(header), 0, 0):
        return answer(start_response, os.strerror(ctypes.get_errno()))
    return answer(start_response, "refused")


def application(environ, start_response):
    return globals()[environ["PATH_INFO"].strip("/")](environ, start_response)
