"""Quick, slow and failing requests for test_slow.py: FLAMEPROF_TEST_DIR is where the
slow ones are kept. As a script, its own wsgiref server: PORT."""

import os
import sys
import time
import wsgiref.simple_server

import flameprof


def busy(seconds):
    end = time.perf_counter() + seconds
    while time.perf_counter() < end:
        pass


class Streamed:
    """A body that is made while it is sent, and has something to do at its end."""

    def __iter__(self):
        for _ in range(3):
            self.part()
            yield b"part"

    def part(self):
        busy(0.1)

    def close(self):
        busy(0.05)


def respond(environ, start_response):
    path = environ["PATH_INFO"]
    if path == "/fails":
        start_response("503 Service Unavailable", [])
        return [b"failed"]
    if path == "/raises":
        raise LookupError("nothing there")
    if path == "/slow":
        busy(0.4)
    if path == "/sleeps":
        time.sleep(0.4)
    start_response("200 OK", [("Content-Type", "text/plain")])
    return Streamed() if path == "/streams" else [path.encode()]


if "FLAMEPROF_TEST_DIR" in os.environ:
    application = flameprof.Middleware(
        respond, slower_than=0.25, on_error=True, dir=os.environ["FLAMEPROF_TEST_DIR"]
    )

if __name__ == "__main__":
    with wsgiref.simple_server.make_server("127.0.0.1", int(sys.argv[1]), application) as server:
        server.serve_forever()
