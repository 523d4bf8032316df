"""How far a profile is from the truth: workloads, truth from exact clocks.

Each workload runs named parts and times every part itself with perf_counter;
the figure is the largest difference, in percentage points, between a part's
share of the time and its share in the profile: the median of the runs, and the
worst of them. Both clocks are of the wall, so a part that lost the CPU, or
waited for the GIL, took that time in both. The rate is samples taken / asked.

A second table is of flameprof's other clocks: what it says of CPU time, time off
the CPU and time in wait for the GIL, against thread_time() and the kernel's own count of
the time a thread was ready without a CPU. A third is of a needle of 1 % in 60 s.

The parts' lengths are drawn from a seed, the run's number; the moments at which
flameprof samples are not.

--peers VENV adds what is found of py-spy, austin and pyinstrument (`pip install
py-spy 'austin-dist<4' pyinstrument`, where austin 4 needs a newer libc than there is); a
pyinstrument of another Python's version cannot be loaded. --python315 PATH adds
that interpreter's profiling.sampling, which watches the workloads in that same interpreter.
"""

import argparse
import collections
import statistics
import sys
import threading

import externals
import peers
import workloads
from conditions import Conditions

TARGET_POINTS = collections.defaultdict(lambda: 1, {"0.3 ms sleeps": 2})
TARGET_RATE = 0.98
TARGET_NEEDLE = (0.85, 1.15)
CLOCKED = ["20 ms sleeps", "0.3 ms sleeps", "4 threads on the GIL"]
INTERVAL = 0.001


class Inside:
    """A peer that runs in this process."""

    def __init__(self, peer):
        self.peer, self.name = peer, peer.name

    def run(self, workload, seconds, seed):
        """(the truth's seconds, how long it took, the peer with what it found)"""
        peer = self.peer(INTERVAL)
        truth, elapsed = workloads.watched(workload, seconds, seed, peer.start, peer.stop)
        return truth.seconds, elapsed, peer


class Outside:
    """A profiler that is a process."""

    def __init__(self, outsider, python=sys.executable):
        self.outsider, self.python, self.name = outsider, python, outsider.name

    def run(self, workload, seconds, seed):
        return externals.look_on(self.outsider, self.python, workload, seconds, seed)


FLAMEPROF = Inside(peers.Flameprof)


def contestants(options):
    found = [FLAMEPROF]
    if not options.alone:
        found += [Inside(peer) for peer in peers.PEERS if peer is not peers.Flameprof]
    if options.peers:
        found += [Outside(externals.PySpy(options.peers)), Outside(externals.Austin(options.peers))]
        pyinstrument = externals.pyinstrument_of(options.peers)
        found += [Inside(pyinstrument)] if pyinstrument else []
    if options.python315:
        outsider = externals.ProfilingSampling(options.python315)
        found.append(Outside(outsider, options.python315))
    return found


def error(contestant, workload, seconds, seed):
    """(largest difference in points, sampled rate / asked rate)"""
    truth, elapsed, peer = contestant.run(workload, seconds, seed)
    shares = peer.shares()
    worst = max(
        abs(part_seconds / elapsed - shares.get(name, 0)) * 100
        for name, part_seconds in truth.items()
    )
    return worst, peer.samples * INTERVAL / elapsed


def tried(contestant, workload, seconds, seed):
    """The error, or None and why."""
    try:
        return error(contestant, workload, seconds, seed), None
    except (externals.Unusable, OSError) as why:
        return None, f"{contestant.name}, {workload}: {' '.join(str(why).split())}"


class Row:
    """One workload: what each contestant's runs gave."""

    def __init__(self, workload, rivals, seconds, runs):
        self.workload = workload
        self.found = {rival: [] for rival in rivals}
        self.notes = []
        for seed in range(runs):
            for rival in rivals:
                result, why = tried(rival, workload, seconds, seed)
                if result:
                    self.found[rival].append(result)
                elif why not in self.notes:
                    self.notes.append(why)

    def median(self, rival):
        worsts = [worst for worst, _ in self.found[rival]]
        return statistics.median(worsts) if worsts else None

    def cell(self, rival):
        if not self.found[rival]:
            return "–"
        worsts, rates = zip(*self.found[rival])
        return (
            f"{statistics.median(worsts):.2f} (worst {max(worsts):.2f}; "
            f"rate {statistics.median(rates):.3f})"
        )

    def met(self):
        rate = statistics.median(rate for _, rate in self.found[FLAMEPROF])
        return self.median(FLAMEPROF) <= TARGET_POINTS[self.workload] and rate >= TARGET_RATE

    def better(self):
        """(by how much, who) of those whose median is nearer to the truth than ours."""
        ours = self.median(FLAMEPROF)
        return [
            (ours - self.median(rival), rival)
            for rival in self.found
            if self.median(rival) is not None and self.median(rival) < ours
        ]

    def spread(self):
        """Between the quartiles of our own runs."""
        if len(self.found[FLAMEPROF]) < 2:
            return float("inf")
        low, _, high = statistics.quantiles((worst for worst, _ in self.found[FLAMEPROF]), n=4)
        return high - low


def shares(options, names):
    """The first table, and who beats us where."""
    rivals = contestants(options)
    print("| workload | %s |" % " | ".join(rival.name for rival in rivals))
    print("|---|%s" % ("---|" * len(rivals)))
    rows, skipped = [], []
    for name in names:
        why = workloads.missing(name)
        if why:
            skipped.append(f"SKIPPED: {name}: {why}")
            continue
        rows.append(Row(name, rivals, options.seconds, options.runs))
        cells = " | ".join(rows[-1].cell(rival) for rival in rivals)
        print(f"| {name} | {cells} |", flush=True)
    print("\n".join(["", *skipped, *(note for row in rows for note in row.notes)]))
    where_not_the_best(rows)
    return all(row.met() for row in rows)


def where_not_the_best(rows):
    print("\n| where flameprof is not the best | its error | nearer to the truth | the difference |")
    print("|---|---|---|---|")
    for row in rows:
        for points, rival in sorted(row.better(), key=lambda found: -found[0]):
            doubt = ", within our runs' spread" if points < row.spread() else ""
            print(
                f"| {row.workload} | {row.median(FLAMEPROF):.2f} "
                f"| {rival.name}, {row.median(rival):.2f} | {points:.2f}{doubt} |"
            )


def run_delay():
    """Seconds this thread has been ready without a CPU, as the kernel counts them."""
    with open(f"/proc/self/task/{threading.get_native_id()}/schedstat") as file:
        return int(file.read().split()[1]) / 1e9


def clock_errors(workload, seconds, seed):
    """In points of the run's time: CPU and off-CPU of the worst part, GIL wait of all."""
    peer = peers.Flameprof(INTERVAL)
    delay = -run_delay()
    truth, elapsed = workloads.watched(
        workload, seconds, seed, peer.start, peer.stop, with_cpu=True
    )
    delay += run_delay()
    cpu, offcpu, gil = (peer.seconds(clock) for clock in ("cpu", "offcpu", "gil"))
    off = {part: truth.seconds[part] - truth.cpu[part] for part in truth.seconds}
    waited = sum(off.values()) - delay if workload == "4 threads on the GIL" else 0
    return [
        100 / elapsed * max(abs(truth.cpu[part] - cpu[part]) for part in off),
        100 / elapsed * max(abs(off[part] - offcpu[part]) for part in off),
        100 / elapsed * abs(waited - gil[peers.ALL]),
    ]


def clocks(options, names):
    """The second table."""
    print("\n| flameprof's clocks | CPU time | off the CPU | wait for the GIL |")
    print("|---|---|---|---|")
    met = True
    for name in [name for name in CLOCKED if name in names]:
        errors = zip(*(clock_errors(name, options.seconds, seed) for seed in range(options.runs)))
        cells = [(statistics.median(found), max(found)) for found in errors]
        print(f"| {name} | %s |" % " | ".join(f"{m:.2f} (worst {w:.2f})" for m, w in cells))
        met = met and all(middle <= TARGET_POINTS[name] for middle, _ in cells)
    return met


def needle(options):
    """The third: what a part of 1 % is said to be."""
    found = []
    for seed in range(options.runs):
        truth, elapsed, peer = FLAMEPROF.run("1 % needle", options.needle_seconds, seed)
        true, said = truth["needle"] / elapsed, peer.shares().get("needle", 0)
        found.append(said / true)
    print(f"\n| a needle of 1 % from {options.needle_seconds:g} s | median | least | most |")
    print("|---|---|---|---|")
    cells = " | ".join(f"{v:.3f} %" for v in (statistics.median(found), min(found), max(found)))
    print(f"| the profile's share, per 1 % of the truth's | {cells} |")
    return TARGET_NEEDLE[0] <= statistics.median(found) <= TARGET_NEEDLE[1]


def arguments():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seconds", type=float, default=10, help="of each run (10)")
    parser.add_argument("--runs", type=int, default=7, help="of each workload and profiler (7)")
    parser.add_argument("--needle-seconds", type=float, default=60, help="0: without (60)")
    parser.add_argument("--only", choices=workloads.WORKLOADS, help="one workload, no needle")
    parser.add_argument(
        "--alone", action="store_true", help="without the two ways that Python offers"
    )
    parser.add_argument("--peers", metavar="VENV", help="where others are installed")
    parser.add_argument("--python315", metavar="PATH", help="an interpreter that has a profiler")
    return parser.parse_args()


def main():
    options = arguments()
    names = [options.only] if options.only else list(workloads.WORKLOADS)
    with Conditions():
        met = [shares(options, names), clocks(options, names)]
        if options.needle_seconds and not options.only:
            met.append(needle(options))
    print(
        "Target for flameprof, each workload and clock: a median of 1 point (0.3 ms sleeps: 2), a "
        f"rate of {TARGET_RATE}, and a needle of {TARGET_NEEDLE[0]}–{TARGET_NEEDLE[1]} %: "
        f"{'met' if all(met) else 'MISSED'}.\n"
    )
    sys.exit(0 if all(met) else 1)


if __name__ == "__main__":
    main()
