"""A flame graph of one request, by its URL.

    import flameprof
    application = flameprof.Middleware(application)

Then add ``?flamegraph=1`` to any URL of the site, ``&interval=0.0005`` to sample
every half millisecond (seconds, 0.00005 to 1), ``&flamegraph_format=folded`` or
``png`` for another form than the interactive SVG.

And of any code:

    with flameprof.profile() as profiler:
        work()
    profiler.save("work.svg")

And of a whole process: ``flameprof.launcher``.
"""

from _flameprof import IDLE, Middleware, Session, __version__, admit

from .decorator import flamegraph
from .profiler import Profiler, Row, profile

__all__ = [
    "IDLE",
    "Middleware",
    "Profiler",
    "Row",
    "Session",
    "__version__",
    "admit",
    "flamegraph",
    "profile",
]
