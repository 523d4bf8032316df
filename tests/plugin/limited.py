"""An application for test_limits.py: waits for the seconds in its path, as /wait/0.5, or
says what was counted."""

import json
import os
import sys
import time

import _flameprof
import uwsgi

PLAIN = [("Content-Type", "text/plain")]


def application(environ, start_response):
    kind, _, rest = environ["PATH_INFO"].strip("/").partition("/")
    if kind == "wait":
        time.sleep(float(rest))
    if kind == "exit":
        sys.exit(1)
    if kind == "raise":
        raise ValueError
    start_response("200 OK", PLAIN)
    if kind == "yield":
        return leave(float(rest))
    answer = {"worker": uwsgi.worker_id(), "pid": os.getpid(), **_flameprof.stats()}
    return [json.dumps(answer).encode()]


def leave(seconds):
    """Comes back to a bare async loop again and again, which serves others meanwhile."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        time.sleep(0.005)
        yield b""
    yield b"done"
