"""What profiling costs CPU-bound code: time with it / time without.

The same work unprofiled, profiled and unprofiled again, so that a drift of the
machine cancels out; the profilers take turns. The rate is samples taken / asked:
who samples less often than asked is cheap for the wrong reason.
"""

import argparse
import statistics
import sys
import time

import peers
from conditions import Conditions

TARGETS = {0.001: 1.03, 0.0001: 1.35}


def fib(n):
    return n if n < 2 else fib(n - 1) + fib(n - 2)


def work():
    total = 0
    for i in range(12):
        total += fib(17)
        total += sum(len(str(j)) for j in range(2000))
        total += len(sorted(range(3000), key=lambda x: -x))
    return total


def timed(times, peer=None):
    if peer is not None:
        peer.start()
    begun = time.perf_counter()
    for _ in range(times):
        work()
    elapsed = time.perf_counter() - begun
    if peer is not None:
        peer.stop()
    return elapsed


def times_for(seconds):
    """How often to work for about so long."""
    timed(1)
    return max(1, round(seconds / (timed(20) / 20)))


def compare(peer, interval, times):
    """(time with / time without, samples taken / asked)"""
    before = timed(times)
    profiler = peer(interval)
    profiled = timed(times, profiler)
    after = timed(times)
    return 2 * profiled / (before + after), profiler.samples * interval / profiled


def row(peer, interval, found):
    """Prints it; True unless flameprof misses its target."""
    ratios, rates = zip(*found)
    low, middle, high = statistics.quantiles(ratios, n=4)
    print(
        f"| {peer.name} | {interval:g} s | {middle:.3f} | {low:.3f}–{high:.3f} "
        f"| {statistics.median(rates):.3f} |",
        flush=True,
    )
    return peer is not peers.Flameprof or middle <= TARGETS[interval]


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=15, help="per profiler and interval (15)")
    parser.add_argument("--seconds", type=float, default=1, help="of work each time (1)")
    options = parser.parse_args()
    met = True
    with Conditions():
        print("| profiler | interval | time / unprofiled (median) | quartiles | rate |")
        print("|---|---|---|---|---|")
        times = times_for(options.seconds)
        for interval in TARGETS:
            found = {peer: [] for peer in peers.PEERS}
            for _ in range(options.rounds):
                for peer in peers.PEERS:
                    found[peer].append(compare(peer, interval, times))
            for peer in peers.PEERS:
                met = row(peer, interval, found[peer]) and met
    print(
        "Target for flameprof: %s: %s.\n"
        % (
            ", ".join(f"{ratio} at {interval:g} s" for interval, ratio in TARGETS.items()),
            "met" if met else "MISSED",
        )
    )
    sys.exit(0 if met else 1)


if __name__ == "__main__":
    main()
