"""What profiling costs CPU-bound code: time with it / time without, interleaved."""

import argparse
import statistics
import time

import peers


def fib(n):
    return n if n < 2 else fib(n - 1) + fib(n - 2)


def work():
    total = 0
    for i in range(12):
        total += fib(17)
        total += sum(len(str(j)) for j in range(2000))
        total += len(sorted(range(3000), key=lambda x: -x))
    return total


def timed(peer=None):
    if peer is not None:
        peer.start()
    begun = time.perf_counter()
    for _ in range(10):
        work()
    elapsed = time.perf_counter() - begun
    if peer is not None:
        peer.stop()
    return elapsed


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--rounds", type=int, default=15)
    options = parser.parse_args()
    print("| profiler | interval | time / unprofiled (median) | quartiles |")
    print("|---|---|---|---|")
    timed()
    for interval in (0.001, 0.0001):
        ratios = {peer.name: [] for peer in peers.PEERS}
        for _ in range(options.rounds):
            for peer in peers.PEERS:
                # Before and after: a drift of the machine cancels out.
                before = timed()
                profiled = timed(peer(interval))
                after = timed()
                ratios[peer.name].append(2 * profiled / (before + after))
        for name, found in ratios.items():
            low, middle, high = statistics.quantiles(found, n=4)
            print("| %s | %g s | %.3f | %.3f–%.3f |" % (name, interval, middle, low, high))


if __name__ == "__main__":
    main()
