"""An application for test_servers.py, and its own wsgiref server: PORT."""

import sys
import time
import wsgiref.simple_server

import flameprof


def slow_helper():
    end = time.perf_counter() + 0.3
    while time.perf_counter() < end:
        pass


def quick_helper():
    time.sleep(0.1)


@flameprof.Middleware
def application(environ, start_response):
    begun = time.perf_counter()
    slow_helper()
    between = time.perf_counter()
    quick_helper()
    # What the profile has to say: on a busy machine both take longer than asked.
    share = (between - begun) / (time.perf_counter() - begun)
    headers = [("Content-Type", "text/html"), ("Set-Cookie", "session=1")]
    start_response("200 OK", headers + [("X-Slow-Share", str(share))])
    return [b"<h1>done</h1>"]


if __name__ == "__main__":
    with wsgiref.simple_server.make_server(
        "127.0.0.1", int(sys.argv[1]), application
    ) as server:
        server.serve_forever()
