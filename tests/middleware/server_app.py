"""An application for test_servers.py, and its own wsgiref server: PORT."""

import os
import sys
import time
import wsgiref.simple_server

import lifted


def slow_helper():
    end = time.perf_counter() + 0.3
    while time.perf_counter() < end:
        pass


def quick_helper():
    time.sleep(0.1)


def waits_and_works(name):
    """A function of that name: a tenth of a second of waiting, a little work."""
    source = """
def %s():
    for _ in range(5):
        time.sleep(0.02)
        sum(range(50000))
"""
    names = {"time": time}
    exec(source % name, names)
    return names[name]


def spawns(name):
    import gevent

    gevent.joinall([gevent.spawn(waits_and_works(name)) for _ in range(2)])


@lifted.Middleware
def application(environ, start_response):
    kind, _, name = environ["PATH_INFO"].strip("/").partition("/")
    if kind in ("waits", "spawns"):
        begun = time.perf_counter()
        (waits_and_works(name) if kind == "waits" else lambda: spawns(name))()
        took = str(time.perf_counter() - begun)
        start_response("200 OK", [("Content-Type", "text/plain"), ("X-Took", took)])
        return [name.encode()]
    begun = time.perf_counter()
    slow_helper()
    between = time.perf_counter()
    quick_helper()
    # What the profile has to say: on a busy machine both take longer than asked.
    share = (between - begun) / (time.perf_counter() - begun)
    headers = [("Content-Type", "text/html"), ("Set-Cookie", "session=1")]
    start_response("200 OK", headers + [("X-Slow-Share", str(share))])
    return [b"<h1>done</h1>"]


def streams(environ, start_response):
    path = environ["PATH_INFO"]
    status = "404 Not Found" if path == "/missing" else "200 OK"
    if path == "/raises":
        raise RuntimeError("as it was asked to")
    start_response(status, [("Content-Type", "text/plain")])
    if path == "/hangs":  # for as long as the server lets it
        time.sleep(60)
    if path == "/long":
        slow_helper()
    for i in range(5):
        time.sleep(0.01)
        yield b"%d\n" % i


kept = lifted.Middleware(streams, dir=os.environ.get("FLAMEPROF_DIR"))


if __name__ == "__main__":
    with wsgiref.simple_server.make_server(
        "127.0.0.1", int(sys.argv[1]), application
    ) as server:
        server.serve_forever()
