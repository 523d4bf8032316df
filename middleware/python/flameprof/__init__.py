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

And of a whole process: ``flameprof.launcher``; of tests: ``pytest --flameprof``; of
cells in IPython: ``%load_ext flameprof``.
"""

from ._same import __version__  # before all else: an ImportError where they are not the same

from _flameprof import IDLE, Middleware, Session, admit, stats

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
    "stats",
]


def load_ipython_extension(shell):
    """%load_ext flameprof: %flameprof and %%flameprof."""
    from .ipython import FlameprofMagics

    shell.register_magics(FlameprofMagics)


def unload_ipython_extension(shell):
    """%unload_ext flameprof: as if it had not been loaded."""
    from .ipython import FlameprofMagics

    for kind in ("line", "cell"):
        shell.magics_manager.magics[kind].pop("flameprof", None)
    shell.magics_manager.registry.pop(FlameprofMagics.__name__, None)
    shell.configurables[:] = [
        one for one in shell.configurables if not isinstance(one, FlameprofMagics)
    ]
