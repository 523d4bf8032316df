"""An adversarial workload under profiles at 10 kHz: nothing may crash or grow.

    soak.py [--seconds N] [--seed N]

Runs short profiles one after another over code that changes under the sampler:
exec'd functions, deep recursion, generators, exceptions, imports, threads, forks.
Exits 0 and prints one line of figures, or 1 and says what was wrong.
"""

import argparse
import gc
import importlib
import os
import random
import resource
import signal
import sys
import threading
import time

import _flameprof

MODULES = ["colorsys", "this_does_not_exist", "stringprep", "sndhdr_missing", "quopri"]


def exec_churn(rng):
    number = rng.randrange(3000)  # 3.12 and later keep interned names for ever
    source = "def f_%d(n):\n    return sum(i * %d for i in range(n))\n" % (number, number)
    names = {}
    exec(compile(source, "churn_%d.py" % (number % 50), "exec"), names)
    return names["f_%d" % number](rng.randrange(300))


def recursion(rng, depth=None):
    if depth is None:
        depth = rng.randrange(1, 800)
    return 0 if depth == 0 else 1 + recursion(rng, depth - 1)


def countdown(n):
    while n:
        yield n
        n -= 1


def nested(n):
    if n:
        yield from nested(n - 1)
    yield n


def generators(rng):
    started = [countdown(rng.randrange(50)) for _ in range(20)]
    total = sum(next(g, 0) for g in started) + sum(nested(30))
    del started[::2]
    return total + sum(sum(g) for g in started)


def exceptions(rng):
    try:
        recursion_then_raise(rng.randrange(1, 60))
    except ValueError as error:
        return str(error)


def recursion_then_raise(depth):
    if depth == 0:
        raise ValueError("at the bottom")
    try:
        recursion_then_raise(depth - 1)
    finally:
        depth += 1


def imports(rng):
    name = rng.choice(MODULES)
    sys.modules.pop(name, None)
    try:
        importlib.import_module(name)
    except (ImportError, KeyError):
        pass  # KeyError: another thread popped it while it was being imported


def waits(rng):
    time.sleep(rng.random() * 0.002)


def c_calls(rng):
    return sorted(bytes(rng.randrange(256) for _ in range(200)))[0], sum(range(20000))


def forks(rng):
    if rng.random() > 0.05:
        return
    child = os.fork()
    if child == 0:
        recursion(rng, 50)
        os._exit(3)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 3


WORK = [exec_churn, recursion, generators, exceptions, imports, waits, c_calls, forks]


def request(rng, seconds):
    end = time.perf_counter() + seconds
    while time.perf_counter() < end:
        rng.choice(WORK)(rng)


def profile(rng, seconds, totals):
    session = _flameprof.Session(interval=0.0001)
    session.start()
    try:
        request(rng, seconds)
    finally:
        session.stop()
    quality = session.quality()
    for key in ("samples", "missed", "rejected", "cut", "overflow"):
        totals[key] = totals.get(key, 0) + quality[key]
    return session


def rounds(seed, until, totals):
    rng = random.Random(seed)
    while time.monotonic() < until:
        profile(rng, 0.2, totals)


def state():
    """What must not grow: descriptors, threads, and the peak of memory in KiB."""
    gc.collect()
    # A thread that was joined is still listed for a moment.
    patience = time.monotonic() + 2
    while len(os.listdir("/proc/self/task")) > 1 and time.monotonic() < patience:
        time.sleep(0.01)
    return (
        len(os.listdir("/proc/self/fd")),
        len(os.listdir("/proc/self/task")),
        resource.getrusage(resource.RUSAGE_SELF).ru_maxrss,
    )


# The handler of our own signal stays, inert; glibc takes 32 and 33 for itself with
# the first thread of any kind. Everything else is to be put back.
NOT_OURS = 1 << (signal.SIGURG - 1) | 1 << 31 | 1 << 32


def handlers():
    with open("/proc/self/status") as status:
        lines = dict(line.split(":", 1) for line in status)
    return {key: int(lines[key], 16) & ~NOT_OURS for key in ("SigBlk", "SigCgt", "SigIgn")}


def round_of_threads(seed, seconds, totals):
    until = time.monotonic() + seconds
    mine = [{} for _ in range(3)]
    threads = [
        threading.Thread(target=rounds, args=(seed + i, until, mine[i])) for i in range(2)
    ]
    for thread in threads:
        thread.start()
    rounds(seed + 2, until, mine[2])
    for thread in threads:
        thread.join()
    for part in mine:
        for key, value in part.items():
            totals[key] = totals.get(key, 0) + value


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--seconds", type=float, default=10)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    totals = {}
    faults = []
    threading.excepthook = lambda args: faults.append("a thread raised %r" % args.exc_value)
    masks_before = handlers()
    slice_seconds = max(2.0, options.seconds / 8)
    begun = time.monotonic()
    round_of_threads(options.seed, slice_seconds, totals)
    warm = state()
    seed = options.seed
    while time.monotonic() - begun < options.seconds:
        seed += 10
        round_of_threads(seed, slice_seconds, totals)
    after = state()
    masks_after = handlers()
    if after[:2] != warm[:2]:
        faults.append("descriptors, threads grew: %r -> %r" % (warm[:2], after[:2]))
    # Interned names and imported modules keep growing a little by themselves.
    if after[2] > warm[2] * 1.25:
        faults.append("memory grew: %d -> %d KiB" % (warm[2], after[2]))
    if masks_after != masks_before:
        faults.append("signals: %r -> %r" % (masks_before, masks_after))
    attempts = totals["samples"] + totals["rejected"]
    if totals["rejected"] > attempts * 0.001:
        faults.append("rejected %d of %d samples" % (totals["rejected"], attempts))
    if totals["samples"] < 1000:
        faults.append("only %d samples were taken" % totals["samples"])
    print(
        "soak: Python %s, seed %d, %s, rejected %.4f %%, memory %d -> %d KiB: %s"
        % (
            sys.version.split()[0],
            options.seed,
            ", ".join("%s %d" % item for item in sorted(totals.items())),
            100.0 * totals["rejected"] / max(attempts, 1),
            warm[2],
            after[2],
            "; ".join(faults) or "nothing grew",
        )
    )
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
