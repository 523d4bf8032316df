"""How far a profile is from the truth: eight workloads, truth from exact clocks.

Each workload runs named parts and times every part itself with perf_counter;
the figure is the largest difference, in percentage points, between a part's
share of the time and its share in the profile: the median of the runs, and the
worst of them. Both clocks are of the wall, so a part that lost the CPU, or
waited for the GIL, took that time in both. The rate is samples taken / asked.

The parts' lengths are drawn from a seed, the run's number; the moments at which
flameprof samples are not.
"""

import argparse
import collections
import hashlib
import random
import statistics
import sys
import threading
import time
import zlib

import peers
from conditions import Conditions

TARGET_POINTS = 1
TARGET_RATE = 0.98

BLOCK = bytes(range(256)) * 400


class Truth:
    def __init__(self):
        self.seconds = collections.Counter()

    def run(self, part, *arguments):
        begun = time.perf_counter()
        part(*arguments)
        self.seconds[part.__name__] += time.perf_counter() - begun


def spin(seconds):
    end = time.perf_counter() + seconds
    while time.perf_counter() < end:
        pass


def part_a(seconds):
    spin(seconds)


def part_b(seconds):
    spin(seconds)


def needle(seconds):
    spin(seconds)


def hay(seconds):
    spin(seconds)


def summing(_):
    sum(range(60000))


def hashing(_):
    hashlib.sha256(BLOCK).digest()


def packing(_):
    zlib.compress(BLOCK, 6)


def ordering(_):
    sorted(range(20000), key=int.__neg__)


def sleeping(seconds):
    time.sleep(seconds)


def deeper(depth, seconds):
    if depth == 0:
        return spin(seconds)
    return deeper(depth - 1, seconds)


def recursing(seconds):
    deeper(500, seconds)


def tiny_one(_):
    pass


def tiny_two(_):
    return [1, 2, 3].count(2)


def many_tiny_ones(count):
    for _ in range(count):
        tiny_one(None)


def many_tiny_twos(count):
    for _ in range(count):
        tiny_two(None)


def split(truth, rng):
    truth.run(part_a, 0.007 * rng.uniform(0.5, 1.5))
    truth.run(part_b, 0.003 * rng.uniform(0.5, 1.5))


def one_percent(truth, rng):
    truth.run(needle, 0.0005 * rng.uniform(0.5, 1.5))
    truth.run(hay, 0.0495 * rng.uniform(0.5, 1.5))


def sums(truth, rng):
    truth.run(summing, None)
    truth.run(part_b, 0.002 * rng.uniform(0.5, 1.5))


def mix(truth, rng):
    truth.run(rng.choice([hashing, packing, ordering]), None)


def sleeps(truth, rng):
    truth.run(sleeping, 0.02)
    truth.run(part_a, 0.01 * rng.uniform(0.5, 1.5))


def recursion(truth, rng):
    truth.run(recursing, 0.005 * rng.uniform(0.5, 1.5))
    truth.run(part_a, 0.005 * rng.uniform(0.5, 1.5))


def tiny(truth, rng):
    truth.run(many_tiny_ones, rng.randrange(2000, 6000))
    truth.run(many_tiny_twos, rng.randrange(2000, 6000))


WORKLOADS = {
    "70/30 split": split,
    "1 % needle": one_percent,
    "sum(range(n))": sums,
    "hash/zlib/sorted mix": mix,
    "20 ms sleeps": sleeps,
    "recursion 500": recursion,
    "4 threads on the GIL": split,
    "tiny functions": tiny,
}


def contend(stop):
    while not stop.is_set():
        spin(0.001)


def error(workload, peer, seconds, seed):
    """(largest difference in points, sampled rate / asked rate)"""
    rng = random.Random(seed)
    truth = Truth()
    stop = threading.Event()
    others = []
    if workload == "4 threads on the GIL":
        others = [threading.Thread(target=contend, args=(stop,)) for _ in range(3)]
    for thread in others:
        thread.start()
    peer.start()
    begun = time.perf_counter()
    while time.perf_counter() - begun < seconds:
        WORKLOADS[workload](truth, rng)
    elapsed = time.perf_counter() - begun
    peer.stop()
    stop.set()
    for thread in others:
        thread.join()
    shares = peer.shares()
    worst = max(
        abs(part_seconds / elapsed - shares.get(name, 0)) * 100
        for name, part_seconds in truth.seconds.items()
    )
    return worst, peer.samples * 0.001 / elapsed


def cell(found):
    """Of one profiler's runs: the text for the table, and whether the target is met."""
    worsts, rates = zip(*found)
    median, rate = statistics.median(worsts), statistics.median(rates)
    return (
        f"{median:.2f} (worst {max(worsts):.2f}; rate {rate:.3f})",
        median <= TARGET_POINTS and rate >= TARGET_RATE,
    )


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seconds", type=float, default=10, help="of each run (10)")
    parser.add_argument("--runs", type=int, default=5, help="of each workload and profiler (5)")
    parser.add_argument("--only", choices=WORKLOADS, help="one workload")
    options = parser.parse_args()
    met = True
    with Conditions():
        print("| workload | %s |" % " | ".join(peer.name for peer in peers.PEERS))
        print("|---|%s" % ("---|" * len(peers.PEERS)))
        for workload in WORKLOADS:
            if options.only not in (None, workload):
                continue
            found = {peer: [] for peer in peers.PEERS}
            for seed in range(options.runs):
                for peer in peers.PEERS:
                    found[peer].append(error(workload, peer(0.001), options.seconds, seed))
            cells = {peer: cell(found[peer]) for peer in peers.PEERS}
            met = met and cells[peers.Flameprof][1]
            print("| %s | %s |" % (workload, " | ".join(text for text, _ in cells.values())), flush=True)
    print(
        f"Target for flameprof, each workload: a median of {TARGET_POINTS} point and a rate of "
        f"{TARGET_RATE}: {'met' if met else 'MISSED'}.\n"
    )
    sys.exit(0 if met else 1)


if __name__ == "__main__":
    main()
