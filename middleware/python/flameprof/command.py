"""The command ``flameprof``: as ``python -m flameprof``, and the package's script."""

import os
import signal
import sys

import _flameprof

from . import run


def main():
    """The exit status of the command line; of ``run``, it returns only if it cannot."""
    words = sys.argv[1:]
    if words[:1] == ["run"]:
        return run.main(words[1:])
    return program(words)


def program(words):
    """The C program's part."""
    # It is as if there were no Python: Ctrl-C and a closed pipe end it without a word. In a
    # script's background Ctrl-C is ignored, and stays so.
    if signal.getsignal(signal.SIGINT) != signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.SIG_DFL)
    signal.signal(signal.SIGPIPE, signal.SIG_DFL)
    return _flameprof.command([os.fsencode(word) for word in ["flameprof", *words]])
