"""flameprof and the two Python-level ways to sample, behind one face.

Each peer: start() on the thread to watch, stop(), then shares() -> {function
name: share of samples it is anywhere on} and samples.
"""

import collections
import signal
import sys
import threading
import time

import _flameprof

ALL = ""


class Flameprof:
    name = "flameprof"

    def __init__(self, interval):
        self.session = _flameprof.Session(interval=interval)
        self.start = self.session.start  # what calls this is what is profiled

    def stop(self):
        self.session.stop()
        self.samples = self.session.quality()["samples"]

    def seconds(self, clock="wall"):
        """{function name: seconds of this clock below it}, and ALL of it."""
        found = collections.Counter()
        for line in self.session.folded(clock=clock).splitlines():
            stack, weight = line.rsplit(" ", 1)
            frames = (frame.split(" (")[0].rsplit(".", 1)[-1] for frame in stack.split(";"))
            for name in {ALL, *frames}:
                found[name] += int(weight) / 1e6
        return found

    def shares(self):
        found = self.seconds()
        return {name: seconds / found[ALL] for name, seconds in found.items()}


class Counting:
    """The peers' bookkeeping: a tuple of names per sample, as they do it."""

    def __init__(self, interval):
        self.interval = interval
        self.stacks = collections.Counter()
        self.samples = 0

    def take(self, frame):
        names = []
        while frame is not None:
            names.append((frame.f_code.co_name, frame.f_code.co_filename, frame.f_lineno))
            frame = frame.f_back
        self.stacks[tuple(names)] += 1
        self.samples += 1

    def shares(self):
        found = collections.Counter()
        for stack, count in self.stacks.items():
            for name in {name for name, _, _ in stack}:
                found[name] += count
        return {name: count / max(self.samples, 1) for name, count in found.items()}


class Setitimer(Counting):
    """ITIMER_REAL and a Python signal handler (ftw.flamegraph); main thread only."""

    name = "setitimer handler"

    def start(self):
        self.before = signal.signal(signal.SIGALRM, lambda _, frame: self.take(frame))
        signal.setitimer(signal.ITIMER_REAL, self.interval, self.interval)

    def stop(self):
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, self.before)


class CurrentFrames(Counting):
    """A Python thread with sys._current_frames() (pyflame, ox_profile)."""

    name = "_current_frames thread"

    def start(self):
        self.watched = threading.get_ident()
        self.ending = False
        self.thread = threading.Thread(target=self.run)
        self.thread.start()

    def run(self):
        while not self.ending:
            time.sleep(self.interval)
            self.take(sys._current_frames()[self.watched])

    def stop(self):
        self.ending = True
        self.thread.join()


PEERS = [Flameprof, Setitimer, CurrentFrames]
