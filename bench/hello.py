"""The smallest WSGI application, alone and behind a middleware.

As a script, the loop of calls in plain Python:

    hello.py alone|python|flameprof|watched CALLS QUERY...

getppid() is where callgrind ends one count and begins the next.
"""

import gc
import os
import sys

gc.disable()  # a collection now and then is the heap's cost, not a request's


def application(environ, start_response):
    if environ["PATH_INFO"] == "/mark":
        os.getppid()
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [b"hello"]


class InPython:
    """The least that a middleware written in Python can do to look for our word."""

    def __init__(self, app):
        self.app = app

    def __call__(self, environ, start_response):
        if "flamegraph" in environ.get("QUERY_STRING", ""):
            raise NotImplementedError
        return self.app(environ, start_response)


in_python = InPython(application)


def start_response(status, headers, exc_info=None):
    pass


def call(app, count, environ):
    for _ in range(count):
        app(dict(environ), start_response)


def loop(which, count, queries):
    app = {"alone": application, "python": in_python}.get(which)
    if app is None:
        import flameprof

        watch = {"slower_than": 60, "on_error": True} if which == "watched" else {}
        app = flameprof.Middleware(application, **watch)
    environ = {"REQUEST_METHOD": "GET", "PATH_INFO": "/", "QUERY_STRING": ""}
    call(app, count, environ)
    for query in queries:
        environ["QUERY_STRING"] = query
        os.getppid()
        call(app, 0, environ)
        os.getppid()
        call(app, count, environ)
    os.getppid()


if __name__ == "__main__":
    loop(sys.argv[1], int(sys.argv[2]), sys.argv[3:])
