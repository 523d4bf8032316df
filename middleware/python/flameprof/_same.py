"""One version of flameprof in a process: the package's and the compiled part's.

The uWSGI plugin brings its own ``_flameprof``, which every import finds before any file: so
there is one sampler. A package of another version would ask it for what it does not have, or
means something else by.
"""

import os

import _flameprof

from ._version import VERSION


def _sentence():
    """Which two met, and what to do about it."""
    here = os.path.dirname(os.path.abspath(__file__))
    compiled = getattr(_flameprof, "__version__", "of no version")
    origin = _flameprof.__spec__.origin
    if origin == "built-in":
        return (
            f"uWSGI's plugin flameprof is {compiled}, and the Python package flameprof in {here} "
            f"is {VERSION}: install the same version of both"
        )
    return (
        f"{origin} is of flameprof {compiled}, and the Python package flameprof in {here} "
        f"is {VERSION}: install it again"
    )


if getattr(_flameprof, "__version__", None) != VERSION:
    raise ImportError(_sentence(), name="_flameprof", path=_flameprof.__spec__.origin)

__version__ = VERSION
