"""An application of what no application should do: each path is one."""

import os
import sys
import time

PLAIN = [("Content-Type", "text/plain")]
closed = []


def well(environ, start_response):
    start_response("200 OK", PLAIN)
    return [b"well"]


def exits(environ, start_response):
    time.sleep(0.02)
    sys.exit(0)


def exits_in_close(environ, start_response):
    class Body:
        def __iter__(self):
            return iter([b"body"])

        def close(self):
            sys.exit(0)

    start_response("200 OK", PLAIN)
    return Body()


def forks_and_exits(environ, start_response):
    if not os.fork():
        sys.exit(0)
    os.wait()
    start_response("200 OK", PLAIN)
    return [b"forked"]


def disconnects(environ, start_response):
    """Lets its client go and works on, as uWSGI's manual shows it."""
    import uwsgi
    start_response("200 OK", PLAIN)
    yield b""
    uwsgi.disconnect()
    time.sleep(0.6)


def waits(environ, start_response):
    time.sleep(1)
    start_response("200 OK", PLAIN)
    return [b"waited"]


def never_ends(environ, start_response):
    start_response("200 OK", PLAIN)
    try:
        while True:
            time.sleep(0.05)
            yield b"tick\n"
    finally:
        closed.append("never_ends")


def was_closed(environ, start_response):
    start_response("200 OK", PLAIN)
    return [repr(closed).encode()]


def application(environ, start_response):
    return globals()[environ["PATH_INFO"].strip("/")](environ, start_response)
