"""An application whose own function says who may have a profile; /seen tells what that
was given, in this interpreter."""

import json
import os
import sys
import time

import shapes

# The interpreter's own, not the module's: uWSGI may load this file under another name.
asked = sys.__dict__.setdefault("flameprof_test_asked", [])


def plain(environ):
    return {key: value if isinstance(value, str) else type(value).__name__
            for key, value in environ.items()}


def may(environ):
    environ["wsgi.input"].read()
    asked.append(plain(environ))
    who = environ.get("HTTP_X_WHO")
    if who == "raises":
        raise ValueError("who is that?")
    if who == "exits":
        sys.exit(3)
    if who == "waits":
        time.sleep(0.1)
    return who in ("staff", "waits")


nobody = "no function"


def judged_work():
    shapes.work(20)


def application(environ, start_response):
    start_response("200 OK", [("Content-Type", "application/json")])
    if environ["PATH_INFO"].endswith("/seen"):
        seen = {"asked": asked, "environ": plain(environ), "pid": os.getpid(),
                "body": environ["wsgi.input"].read().decode()}
        return [json.dumps(seen).encode()]
    judged_work()
    return [b"{}"]
