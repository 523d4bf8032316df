"""Profilers from PyPI and of CPython 3.15, which look on from outside.

Each is given a process of its own that works (workloads.py); shares are of the
time below its measured(). pyinstrument, which samples from inside, is loaded into
that process.

Each outsider: name, command(python, file, pid) and stacks(text) -> [(names, weight)];
the weights are samples, or microseconds.
"""

import collections
import json
import os
import pathlib
import signal
import subprocess
import sys
import tempfile
import time

import workloads

HERE = pathlib.Path(__file__).resolve().parent
INTERVAL_US = 1000
# What they call the garbage collector: what flameprof calls it.
COLLECTOR = dict.fromkeys(["<GC>", "GC"], workloads.COLLECTOR)
# From its start until it surely looks on: attaching takes time.
SETTLING = 2


class Unusable(Exception):
    """The profiler cannot watch this: what it said."""


def lines_of(text):
    for line in text.splitlines():
        stack, _, weight = line.rpartition(" ")
        if stack and weight.isdigit():
            yield stack.split(";"), int(weight)


def names_of(frames):
    """Of frames as FILE:NAME:LINE, and of the collector's, which may be bare."""
    names = [frame.rsplit(":", 2)[-2] if frame.count(":") >= 2 else frame for frame in frames]
    return [COLLECTOR.get(name, name) for name in names]


class PySpy:
    """`--idle`: of a thread that sleeps, too. It stops the process for each sample."""

    name = "py-spy"
    unit = "samples"

    def __init__(self, venv):
        self.program = str(pathlib.Path(venv) / "bin" / "py-spy")

    def command(self, file, pid):
        options = ["--idle", "--rate", str(1000000 // INTERVAL_US), "--format", "raw"]
        return [self.program, "record", *options, "--output", file, "--pid", pid]

    def stacks(self, text):
        for frames, weight in lines_of(text):
            yield [frame.split(" (")[0] for frame in frames], weight


class Austin:
    name = "austin"
    unit = "microseconds"

    def __init__(self, venv):
        self.program = str(pathlib.Path(venv) / "bin" / "austin")

    def command(self, file, pid):
        where = [f"--output={file}", f"--pid={pid}"]
        return [self.program, "--gc", f"--interval={INTERVAL_US}", *where]

    def stacks(self, text):
        for frames, weight in lines_of(text):
            yield names_of(frames), weight


class ProfilingSampling:
    """CPython 3.15's own; it watches its own version only."""

    name = "profiling.sampling"
    unit = "samples"

    def __init__(self, python):
        self.python = python

    def command(self, file, pid):
        options = ["-r", str(1000000 // INTERVAL_US), "--collapsed", "-o", file]
        return [self.python, "-m", "profiling.sampling", "attach", *options, pid]

    def stacks(self, text):
        for frames, weight in lines_of(text):
            yield names_of(frames), weight


class Found:
    """What an outsider saw: the face of a peer that has stopped."""

    def __init__(self, stacks, unit):
        self.below = collections.Counter()
        self.total = 0
        for names, weight in stacks:
            if "measured" in names:
                self.total += weight
                self.below.update(dict.fromkeys(names, weight))
        self.samples = self.total / (INTERVAL_US if unit == "microseconds" else 1)

    def shares(self):
        return {name: weight / max(self.total, 1) for name, weight in self.below.items()}


def look_on(outsider, python, workload, seconds, seed):
    """(the truth's seconds, how long it took, Found); raises Unusable."""
    child = subprocess.Popen(
        [python, "-B", str(HERE / "workloads.py"), workload, str(seconds), str(seed)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env={name: value for name, value in os.environ.items() if name != "PYTHONPATH"},
    )
    with child, tempfile.TemporaryDirectory() as folder:
        try:
            return watch(outsider, child, pathlib.Path(folder), workload)
        finally:
            if child.poll() is None:
                child.kill()


def watch(outsider, child, folder, workload):
    if child.stdout.readline() != "ready\n":
        raise Unusable(f"{workload} did not begin")
    file, log_path = folder / "stacks", folder / "log"
    with open(log_path, "w") as log:
        profiler = subprocess.Popen(
            outsider.command(str(file), str(child.pid)),
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
        )
        try:
            time.sleep(SETTLING)
            child.stdin.write("\n")
            child.stdin.flush()
            truth = json.loads(child.stdout.readline())
            # It ends by itself when the process does; if not, it is asked to.
            child.stdin.close()
            child.wait()
            try:
                profiler.wait(20)
            except subprocess.TimeoutExpired:
                profiler.send_signal(signal.SIGINT)
                profiler.wait(20)
        finally:
            if profiler.poll() is None:
                profiler.kill()
                profiler.wait()
    found = Found(outsider.stacks(file.read_text()) if file.exists() else [], outsider.unit)
    if found.total == 0:
        raise Unusable(log_path.read_text()[-300:])
    return truth["seconds"], truth["elapsed"], found


def pyinstrument_of(venv):
    """A peer as those in peers.py, or None: it has to be of this Python's version."""
    version = f"python{sys.version_info.major}.{sys.version_info.minor}"
    packages = pathlib.Path(venv) / "lib" / version / "site-packages"
    if not (packages / "pyinstrument").is_dir():
        return None
    sys.path.append(str(packages))
    import pyinstrument

    class Pyinstrument:
        name = "pyinstrument"

        def __init__(self, interval):
            self.interval = interval
            self.profiler = pyinstrument.Profiler(interval=interval, async_mode="disabled")

        def start(self):
            self.profiler.start()

        def stop(self):
            session = self.profiler.stop()
            self.samples = session.sample_count
            self.below, self.total = collections.Counter(), 0
            for stack, seconds in session.frame_records:
                self.total += seconds
                names = {frame.partition("\0")[0] for frame in stack}
                self.below.update(dict.fromkeys(names, seconds))

        def shares(self):
            return {name: seconds / self.total for name, seconds in self.below.items()}

    return Pyinstrument
