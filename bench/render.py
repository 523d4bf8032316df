"""From folded stacks to a picture: `flameprof render` beside the other programs.

The same files for all of them, written by stacks.py and in the page cache, the picture
into a file; programs take turns, the figures are medians. `wc -l` of the same file says
what it costs to look at every byte once. Memory is the largest resident size of the
process, as wait4() tells it.

flamegraph.pl, inferno and async-profiler's converter are used where they are found: by
their options, or FLAMEGRAPH_PL, INFERNO and ASYNC_PROFILER in the environment. What is
missing is said, and what is said of it then is not judged.

Then the same without reading: a profile of 50,000 places in memory (drawing.c).
"""

import argparse
import os
import pathlib
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time

from conditions import Conditions

HERE = pathlib.Path(__file__).resolve().parent
BUILD = HERE.parent / os.environ.get("BUILD", "build")
SIZES = [1000, 10000, 100000, 1000000]
SMALL = 10000  # of so many times less stacks there are so many times more rounds
SLOW = 2  # rounds of who needs more than PATIENCE seconds
PATIENCE = 20
OURS, WC, INFERNO, FLAMEGRAPH_PL = "flameprof", "wc -l", "inferno", "flamegraph.pl"

# How many times slower the others have to be: with less stacks than LARGE, with more.
FASTER = {INFERNO: (3, 4), FLAMEGRAPH_PL: (30, 40)}
LARGE = 100000
MEMORY_SHARE = 8  # inferno's of LARGE / ours
WC_TIMES = 6  # our time of the largest / that of wc
DRAWING_MS = 10


class Program:
    def __init__(self, name, command, own_output=False):
        self.name, self.command, self.own_output = name, command, own_output

    def run(self, source, target):
        """(seconds, peak MB) of one picture."""
        with open(target, "wb") as output, open(os.devnull, "wb") as quiet:
            begun = time.monotonic()
            process = subprocess.Popen(
                [part.format(source=source, target=target) for part in self.command],
                stdin=subprocess.DEVNULL,
                stdout=quiet if self.own_output else output,
                stderr=quiet,
            )
            _, status, usage = os.wait4(process.pid, 0)
            seconds = time.monotonic() - begun
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode != 0 or os.path.getsize(target) == 0:
            raise SystemExit(f"{self.name} failed with {process.returncode}")
        return seconds, usage.ru_maxrss / 1024


def found(options):
    """The programs there are; what is missing is said."""
    ours = [str(BUILD / "flameprof"), "render", "--unit", "samples", "-o", "{target}", "{source}"]
    programs = [Program(WC, ["wc", "-l", "{source}"]), Program(OURS, ours, own_output=True)]
    for name, path, command in (
        (INFERNO, options.inferno, ["{path}", "{{source}}"]),
        (FLAMEGRAPH_PL, options.flamegraph_pl, ["perl", "{path}", "{{source}}"]),
        (
            "async-profiler",
            options.async_profiler,
            ["java", "-jar", "{path}", "-o", "html", "{{source}}", "{{target}}"],
        ),
    ):
        needed = [path, *(command[:1] if command[0] != "{path}" else [])]
        if all(part and (os.path.exists(part) or shutil.which(part)) for part in needed):
            command = [part.format(path=path) for part in command]
            programs.append(Program(name, command, own_output="{target}" in command))
        else:
            print(f"SKIPPED: {name}: not found ({' and '.join(map(str, needed))})")
    return programs


class Row:
    """What each program needed for one file."""

    def __init__(self, count, places, source, programs, rounds):
        self.count, self.places, self.bytes = count, places, os.path.getsize(source)
        self.runs = {program.name: [] for program in programs}
        for turn in range(rounds * max(1, SMALL // count)):
            # What the one before leaves behind is nobody's alone.
            first = turn % len(programs)
            for program in programs[first:] + programs[:first]:
                if self.is_wanted(program.name):
                    self.runs[program.name].append(program.run(source, source + ".picture"))
        os.remove(source + ".picture")

    def is_wanted(self, name):
        seconds = [seconds for seconds, _ in self.runs[name]]
        return len(seconds) < SLOW or statistics.median(seconds) < PATIENCE

    def seconds(self, name):
        return statistics.median(seconds for seconds, _ in self.runs[name])

    def memory(self, name):
        return statistics.median(memory for _, memory in self.runs[name])

    def cell(self, name):
        times = self.seconds(name) / self.seconds(OURS)
        seconds = f"{self.seconds(name):.3g} s"
        bold = f"**{seconds}**" if name == OURS else f"{seconds} ({times:.3g}×)"
        return f"{bold}, {self.memory(name):.0f} MB"

    def print(self):
        size = f"{self.bytes / 1e6:.1f} MB, {self.places:,} places"
        cells = " | ".join(map(self.cell, self.runs))
        print(f"| {self.count:,} ({size}) | {cells} |", flush=True)

    def judge(self):
        """(what has to be, whether it is) of each target."""
        large = self.count >= LARGE
        for name, least in FASTER.items():
            if name in self.runs:
                times = self.seconds(name) / self.seconds(OURS)
                wanted = least[large]
                yield f"{self.count:,} stacks: {times:.1f}× faster than {name} ({wanted})", (
                    times >= wanted
                )
        if large and INFERNO in self.runs:
            share = self.memory(INFERNO) / self.memory(OURS)
            yield f"{self.count:,} stacks: 1/{share:.1f} of inferno's memory (1/8)", (
                share >= MEMORY_SHARE
            )
        if self.count == SIZES[-1]:
            times = self.seconds(OURS) / self.seconds(WC)
            yield f"{self.count:,} stacks: {times:.1f} times wc -l ({WC_TIMES})", times <= WC_TIMES


def in_page_cache(path):
    with open(path, "rb", buffering=0) as file:
        while file.read(1 << 20):
            pass


def measure(options, programs):
    """Prints the table; yields what each file says of the targets."""
    print(f"| stacks | {' | '.join(program.name for program in programs)} |")
    print("|---|%s" % ("---|" * len(programs)), flush=True)
    for count in options.sizes:
        with tempfile.TemporaryDirectory(dir=options.folder) as folder:
            source = os.path.join(folder, "stacks.folded")
            # In a process of its own: what is started here has at least our memory.
            places = subprocess.run(
                [sys.executable, "-B", str(HERE / "stacks.py"), str(count), source],
                stdout=subprocess.PIPE,
                check=True,
            ).stdout
            in_page_cache(source)
            row = Row(count, int(places), source, programs, options.rounds)
        row.print()
        yield from row.judge()


def drawing(rounds):
    """Prints how long a picture of a profile takes; its target."""
    places, size, *ms = subprocess.run(
        [str(BUILD / "bench" / "drawing"), str(rounds)], stdout=subprocess.PIPE, check=True
    ).stdout.split()
    low, middle, high = statistics.quantiles(map(float, ms), n=4)
    print("\n| a profile in memory | places | picture | ms (quartiles) |")
    print("|---|---|---|---|")
    print(
        f"| drawn {len(ms)} times | {int(places):,} | {int(size) / 1e6:.1f} MB "
        f"| **{middle:.1f}** ({low:.1f}–{high:.1f}) |"
    )
    yield f"from memory: {middle:.1f} ms ({DRAWING_MS})", middle <= DRAWING_MS


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    environment = os.environ.get
    parser.add_argument("--rounds", type=int, default=7, help="of each program and file (7)")
    parser.add_argument("--sizes", type=int, nargs="*", default=SIZES, help="stacks of the files")
    parser.add_argument("--folder", help="for the files, the largest of 1.6 GB")
    parser.add_argument("--inferno", default=environment("INFERNO", "inferno-flamegraph"))
    parser.add_argument(
        "--flamegraph-pl", default=environment("FLAMEGRAPH_PL", "flamegraph.pl"), metavar="FILE"
    )
    parser.add_argument("--async-profiler", default=environment("ASYNC_PROFILER"), metavar="JAR")
    options = parser.parse_args()
    programs = found(options)
    with Conditions():
        judged = [*measure(options, programs), *drawing(40)]
        own = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        print(f"\nMemory of {own:.0f} MB and less is what a process begins with here.")
    for target, met in judged:
        print(f"Target: {target}: {'met' if met else 'MISSED'}.")
    sys.exit(0 if all(met for _, met in judged) else 1)


if __name__ == "__main__":
    main()
