"""What the sampler's tests share: work of known length, profiles as weights."""

import os
import sys
import time

import _flameprof

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))

from measuring import Measuring, Seeing, until  # noqa: E402,F401


def busy(seconds):
    """Wall time, whether the machine let us run or not."""
    end = time.perf_counter() + seconds
    while time.perf_counter() < end:
        pass


def profiled(work, **options):
    session = _flameprof.Session(**options)
    session.start()
    try:
        work()
    finally:
        session.stop()
    return session


def measured(*parts):
    """A profile of the parts, and the share each really had: longer than it
    wanted to be, on a busy machine."""
    clock = []

    def work():
        clock.append(time.perf_counter())
        for part in parts:
            part()
            clock.append(time.perf_counter())

    session = profiled(work)
    return session, [(b - a) / (clock[-1] - clock[0]) for a, b in zip(clock, clock[1:])]


def weights(session, clock="wall"):
    """{(function names, root first): microseconds}"""
    result = {}
    for line in session.folded(clock=clock).splitlines():
        stack, weight = line.rsplit(" ", 1)
        names = tuple(frame.split(" (")[0] for frame in stack.split(";"))
        result[names] = result.get(names, 0) + int(weight)
    return result


def seconds(session, name, clock="wall"):
    """Spent under the function, however deep."""
    found = weights(session, clock)
    return sum(w for names, w in found.items() if name in names) / 1e6


def share(session, name):
    return seconds(session, name) / (sum(weights(session).values()) / 1e6)


def blind(session):
    """The share of the time in which no sample was had: what stood there is not
    known, and a comparison cannot be closer."""
    quality = session.quality()
    return quality["missed"] * quality["interval_ns"] / quality["duration_ns"]
