"""An application for test_limits.py, within the limits that LIMITS names."""

import json
import os
import time

import flameprof


def application(environ, start_response):
    path = environ["PATH_INFO"]
    if path == "/slow":
        time.sleep(float(environ.get("HTTP_X_SECONDS", "1.5")))
    start_response("200 OK", [("Content-Type", "application/json")])
    answer = {"pid": os.getpid(), **(flameprof.stats() if path == "/stats" else {})}
    return [json.dumps(answer).encode()]


application = flameprof.Middleware(application, **json.loads(os.environ["LIMITS"]))
