"""An application for test_servers.py, and its own wsgiref server: PORT."""

import sys
import time
import wsgiref.simple_server

import flameprof


def slow_helper():
    end = time.perf_counter() + 0.15
    while time.perf_counter() < end:
        pass


def quick_helper():
    time.sleep(0.05)


@flameprof.Middleware
def application(environ, start_response):
    slow_helper()
    quick_helper()
    start_response("200 OK", [("Content-Type", "text/html"), ("Set-Cookie", "session=1")])
    return [b"<h1>done</h1>"]


if __name__ == "__main__":
    with wsgiref.simple_server.make_server(
        "127.0.0.1", int(sys.argv[1]), application
    ) as server:
        server.serve_forever()
