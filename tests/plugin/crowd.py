"""An application for many requests at once: each profiled one runs a function that no
other request runs, and notes how long it took; /times tells.

The path says how a request rests: /sleep (as any application), /suspend (off its
stack: ugreen) or /yield (out of its generator: a bare async loop). n= at the end
of the query says which request it is.
"""

import hashlib
import mmap
import time

PLAIN = [("Content-Type", "text/plain")]
# Of each request in microseconds, for all processes; no write gives the GIL away.
TIMES = memoryview(mmap.mmap(-1, 1 << 17)).cast("I")
TURNS = 10  # that all others have while a request rests


def spin(seconds):
    end = time.thread_time() + seconds
    while time.thread_time() < end:
        sum(i * i for i in range(100))


def digest(n):
    return hashlib.sha256(b"%d" % n).hexdigest().encode()


def rest_sleep(seconds):
    time.sleep(seconds)
    return 0


def rest_suspend(seconds):
    import uwsgi
    for _ in range(TURNS):
        uwsgi.suspend()
    return 0


def rest_yield(seconds):
    return TURNS


OWN = """
def own_{n}(spin, seconds):
    spin(seconds)
def rests_{n}(rest, seconds):
    return rest(seconds)
"""


def functions_of(n):
    """Two that no other request has: own_N and rests_N."""
    made = {}
    exec(compile(OWN.format(n=n), f"own_{n}.py", "exec"), made)
    return made[f"own_{n}"], made[f"rests_{n}"]


def profiled(n, rest, start_response):
    took = 0
    begun = time.perf_counter()
    own, rests = functions_of(n)
    own(spin, 0.012)
    for _ in range(rests(rest, 0.04)):
        took += time.perf_counter() - begun
        yield b""
        begun = time.perf_counter()
    own(spin, 0.012)
    start_response("200 OK", PLAIN)
    took += time.perf_counter() - begun
    yield digest(n)
    begun = time.perf_counter()
    own(spin, 0.012)
    took += time.perf_counter() - begun
    TIMES[n] = int(took * 1e6)


def neighbour(n, rest, start_response):
    spin(0.002)
    if n % 3 == 0:
        start_response(f"404 Nothing for {n}", PLAIN + [("X-Number", str(n))])
        return [digest(n)]
    if n % 3 == 1:
        return pieces(n, rest, start_response)
    rest_sleep(0.02)
    body = digest(n) * 500
    start_response("200 OK", PLAIN + [("Content-Length", str(len(body)))])
    return [body]


def pieces(n, rest, start_response):
    start_response(f"200 Pieces of {n}", PLAIN + [("Set-Cookie", f"n={n}")])
    for i in range(4):
        yield digest(n + i)
        if rest is rest_sleep:
            rest_sleep(0.005)


def application(environ, start_response):
    path, query = environ["PATH_INFO"], environ["QUERY_STRING"]
    if path == "/times":
        start_response("200 OK", PLAIN)
        return [repr(TIMES.tolist()).encode()]
    run = profiled if query.startswith("flamegraph=1&") else neighbour
    return run(int(query.rpartition("n=")[2]), globals()["rest_" + path[1:]], start_response)
