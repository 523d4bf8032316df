"""A second application, for servers that mount two."""

import shapes


def other_work():
    return shapes.work(20)


def application(environ, start_response):
    other_work()
    start_response("200 Other", [("Content-Type", "text/plain")])
    return [b"the other application"]
