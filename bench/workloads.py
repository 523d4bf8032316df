"""What accuracy.py profiles: workloads of named parts that time themselves.

As a script, for profilers that look on from outside: says "ready", waits for a
line, works in measured(), and writes the truth down as JSON:

    workloads.py WORKLOAD SECONDS SEED
"""

import collections
import contextlib
import gc
import hashlib
import json
import random
import sys
import threading
import time
import zlib

try:
    import gevent
    import gevent.socket
except ImportError:
    gevent = None

BLOCK = bytes(range(256)) * 400


class Truth:
    """What each part took, by exact clocks: wall time and, if asked for, CPU time.

    Reading the CPU clock is a system call, at whose end a busy machine likes to take
    the CPU away: it stays outside of what is measured by the wall clock.
    """

    def __init__(self, with_cpu=False):
        self.seconds = collections.Counter()
        self.cpu = collections.Counter()
        self.cpu_clock = time.thread_time if with_cpu else lambda: 0

    def run(self, part, *arguments):
        cpu = self.cpu_clock()
        begun = time.perf_counter()
        part(*arguments)
        self.seconds[part.__name__] += time.perf_counter() - begun
        self.cpu[part.__name__] += self.cpu_clock() - cpu


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


def bursting(seconds):
    spin(seconds)


def napping(seconds):
    time.sleep(seconds)


def produced(seconds):
    spin(seconds)


def inner_generator(truth, rng):
    for _ in range(3):
        truth.run(produced, 0.001 * rng.uniform(0.5, 1.5))
        yield


def outer_generator(truth, rng):
    yield from inner_generator(truth, rng)


def with_garbage(count):
    for _ in range(count):
        ring = []
        ring.append(ring)


def receiving(sock):
    sock.recv(1)


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


def bursts(truth, rng):
    truth.run(bursting, 0.00015 * rng.uniform(0.5, 1.5))
    truth.run(napping, 0.0003)


def generators(truth, rng):
    for _ in outer_generator(truth, rng):
        truth.run(part_b, 0.0005 * rng.uniform(0.5, 1.5))


def collections_of_garbage(truth, rng):
    truth.run(with_garbage, rng.randrange(2000, 6000))
    truth.run(part_a, 0.0005 * rng.uniform(0.5, 1.5))


def collector(truth, rng):
    """The collector itself is the part; who caused it is not."""
    begun = 0

    def called(phase, _):
        nonlocal begun
        if phase == "start":
            begun = time.perf_counter()
        else:
            truth.seconds[COLLECTOR] += time.perf_counter() - begun

    gc.callbacks.append(called)
    with_garbage(rng.randrange(2000, 6000))
    gc.callbacks.remove(called)
    part_a(0.0005 * rng.uniform(0.5, 1.5))


def io_mix(truth, rng):
    """In a greenlet: what it computes, sleeps, and waits for a socket that another
    greenlet answers."""
    truth.run(part_a, 0.002 * rng.uniform(0.5, 1.5))
    truth.run(parked, 0.004 * rng.uniform(0.5, 1.5))
    SERVICE.ours.send(b"x")
    truth.run(receiving, SERVICE.ours)


def parked(seconds):
    gevent.sleep(seconds)


class Service:
    """A greenlet that answers each byte after a pause, and two that compute."""

    def __enter__(self):
        self.ours, self.theirs = gevent.socket.socketpair()
        self.greenlets = [gevent.spawn(self.answer), gevent.spawn(self.compute)]

    def __exit__(self, *_):
        gevent.killall(self.greenlets)
        self.ours.close()
        self.theirs.close()

    def answer(self):
        while self.theirs.recv(1):
            gevent.sleep(0.003)
            self.theirs.send(b"x")

    def compute(self):
        while True:
            spin(0.001)
            gevent.sleep(0.001)


# What a profile calls the garbage collector, if it has a frame for it.
COLLECTOR = "[garbage collection]"
SERVICE = Service() if gevent else None
IN_GREENLET = {"gevent I/O mix"}

WORKLOADS = {
    "70/30 split": split,
    "1 % needle": one_percent,
    "sum(range(n))": sums,
    "hash/zlib/sorted mix": mix,
    "20 ms sleeps": sleeps,
    "0.3 ms sleeps": bursts,
    "recursion 500": recursion,
    "4 threads on the GIL": split,
    "tiny functions": tiny,
    "generators": generators,
    "garbage, who makes it": collections_of_garbage,
    "garbage, the collector": collector,
    "gevent I/O mix": io_mix,
}


def missing(workload):
    """Why it cannot run here, or None."""
    return "gevent is not installed" if workload in IN_GREENLET and gevent is None else None


def contend(stop):
    while not stop.is_set():
        spin(0.001)


@contextlib.contextmanager
def surroundings(workload):
    """The other threads or greenlets that belong to it."""
    if workload in IN_GREENLET:
        with SERVICE:
            yield
        return
    stop = threading.Event()
    count = 3 if workload == "4 threads on the GIL" else 0
    others = [threading.Thread(target=contend, args=(stop,)) for _ in range(count)]
    for thread in others:
        thread.start()
    try:
        yield
    finally:
        stop.set()
        for thread in others:
            thread.join()


def measured(workload, truth, rng, seconds):
    """Works for so long; returns how long exactly."""
    begun = time.perf_counter()
    while time.perf_counter() - begun < seconds:
        WORKLOADS[workload](truth, rng)
    return time.perf_counter() - begun


def watched(workload, seconds, seed, start, stop, with_cpu=False):
    """(the truth, seconds it took), between start() and stop() in the same greenlet."""
    truth = Truth(with_cpu)

    def run():
        start()
        elapsed = measured(workload, truth, random.Random(seed), seconds)
        stop()
        return elapsed

    with surroundings(workload):
        return truth, gevent.spawn(run).get() if workload in IN_GREENLET else run()


def main():
    workload, seconds, seed = sys.argv[1], float(sys.argv[2]), int(sys.argv[3])

    def wait_for_the_word():
        print("ready", flush=True)
        sys.stdin.readline()

    truth, elapsed = watched(workload, seconds, seed, wait_for_the_word, lambda: None)
    print(json.dumps({"seconds": truth.seconds, "elapsed": elapsed}), flush=True)


if __name__ == "__main__":
    main()
