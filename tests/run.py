"""Runs the tests of a folder; what is skipped is said aloud, and what takes long.

    run.py FOLDER [JOBS]

With JOBS, so many classes of tests run at a time, each in a process of its own: for
tests that mostly wait for servers.
"""

import collections
import concurrent.futures
import signal
import subprocess
import sys
import time
import unittest

SLOW_S = 5

# Of servers and scripts that tests start, as a shell starts them; nohup, and a shell's
# background, ignore these.
for number in (signal.SIGHUP, signal.SIGQUIT):
    signal.signal(number, signal.SIG_DFL)
signal.signal(signal.SIGINT, signal.default_int_handler)


class Result(unittest.TextTestResult):
    """Remembers how long each test took."""

    def __init__(self, *arguments, **options):
        super().__init__(*arguments, **options)
        self.took = {}

    def startTest(self, test):
        self.took[test.id()] = -time.monotonic()
        super().startTest(test)

    def stopTest(self, test):
        super().stopTest(test)
        self.took[test.id()] += time.monotonic()


def flat(suite):
    for test in suite:
        if isinstance(test, unittest.TestSuite):
            yield from flat(test)
        else:
            yield test


def run(suite):
    """The exit code."""
    result = unittest.TextTestRunner(verbosity=1, resultclass=Result).run(suite)
    for name, seconds in sorted(result.took.items(), key=lambda item: -item[1]):
        if seconds >= SLOW_S:
            print(f"{seconds:5.0f} s {name}")
    for test, reason in result.skipped:
        print(f"SKIPPED: {test}: {reason}")
    return int(not result.wasSuccessful() or result.testsRun == 0)


def run_classes(folder, names, jobs):
    """The exit code: 0 if all of theirs are."""

    def one(name):
        command = [sys.executable, *(f"-W{option}" for option in sys.warnoptions), "-B",
                   __file__, folder, "of", name]
        done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        print(f"---- {name}\n{done.stdout.decode(errors='replace')}", flush=True)
        return done.returncode

    with concurrent.futures.ThreadPoolExecutor(jobs) as pool:
        return int(any(list(pool.map(one, names))))


def main(folder, what="", name=""):
    suite = unittest.defaultTestLoader.discover(folder, top_level_dir=folder)
    tests = list(flat(suite))
    names = collections.Counter(
        f"{type(test).__module__}.{type(test).__qualname__}" for test in tests
    )
    if what == "of":
        return run(unittest.TestSuite(test for test in tests if test.id().startswith(name + ".")))
    if what and names:
        # The largest first, so that none of those is left to run alone.
        return run_classes(folder, [name for name, _ in names.most_common()], int(what))
    return run(suite)


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
