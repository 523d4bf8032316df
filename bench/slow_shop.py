"""The example's Django site, made to work for about a second for one page.

Django makes the front page PAGES times; the client gets the last one. The
moment it handed out its last piece, on the monotonic clock that the whole
machine shares, goes into the file TIMES, in ns.
"""

import os
import time

from shop.wsgi import application as shop

PAGES = int(os.environ.get("PAGES", "1"))


class Timed:
    """The last page, which remembers when it gave its last piece away."""

    def __init__(self, body):
        self.body = body
        self.last = 0

    def __iter__(self):
        for piece in self.body:
            self.last = time.monotonic_ns()
            yield piece

    def close(self):
        self.body.close()
        with open(os.environ["TIMES"], "w") as times:
            times.write(str(self.last))


def unsent(status, headers, exc_info=None):
    pass


def application(environ, start_response):
    for _ in range(PAGES - 1):
        shop(dict(environ), unsent).close()
    return Timed(shop(environ, start_response))


try:
    import flameprof
except ImportError:  # under the plugin, which needs no package
    pass
else:
    behind_flameprof = flameprof.Middleware(
        application, at_once=256, worker_at_once=64, per_minute=1000000
    )
