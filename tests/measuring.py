"""Tests that measure, on a machine which others use as well.

What fails there is measured again a little later, three times at most, and that is said
aloud: a fault of ours fails each time. An error, such as a crash or an exception, is one
at once.
"""

import sys
import time
import unittest


def until(condition, patience=30):
    """What it is once it is true; False: it was not for so many seconds."""
    end = time.monotonic() + patience
    while not (result := condition()):
        if time.monotonic() > end:
            return False
        time.sleep(0.05)
    return result


class NotSeen(AssertionError):
    """What a request did for some milliseconds is not in its profile, or the machine had
    something else to do meanwhile."""


class Trial(unittest.TestResult):
    """What became of one run of a test, to be told to another result. Failures that are
    `measures` may be better the next time."""

    def __init__(self, measures):
        super().__init__()
        self.measures = measures
        self.told = []
        self.failed = self.wrong = False

    def _note(self, what, *arguments):
        self.told.append((what, arguments))

    def addSuccess(self, test):
        self._note("addSuccess", test)

    def addSkip(self, test, reason):
        self._note("addSkip", test, reason)

    def _judge(self, err):
        if issubclass(err[0], self.measures):
            self.failed = True
        else:
            self.wrong = True

    def addFailure(self, test, err):
        self._judge(err)
        self._note("addFailure", test, err)

    def addError(self, test, err):
        self.wrong = True
        self._note("addError", test, err)

    def addExpectedFailure(self, test, err):
        self._note("addExpectedFailure", test, err)

    def addUnexpectedSuccess(self, test):
        self._note("addUnexpectedSuccess", test)

    def addSubTest(self, test, subtest, err):
        if err is not None:
            self._judge(err)
        self._note("addSubTest", test, subtest, err)

    def reason(self):
        """Of the first failure, in a line."""
        errors = [arguments[-1] for what, arguments in self.told
                  if what in ("addFailure", "addSubTest") and arguments[-1] is not None]
        return str(errors[0][1]).strip().partition("\n")[0][:200]


class Measuring(unittest.TestCase):
    """A TestCase whose tests are measurements."""

    MEASURES = AssertionError

    # Between them the host of a virtual machine may give its CPU back.
    PAUSES_S = (1, 3, 9, None)

    def run(self, result=None):
        result = self.defaultTestResult() if result is None else result
        result.startTest(self)
        untouched = dict(vars(self))
        try:
            for pause in self.PAUSES_S:
                vars(self).clear()  # of what the run before has left there
                vars(self).update(untouched)
                trial = Trial(self.MEASURES)
                super().run(trial)
                if not trial.failed or trial.wrong or pause is None:
                    break
                print(f"MEASURED AGAIN: {self.id()}: {trial.reason()}", file=sys.stderr, flush=True)
                time.sleep(pause)
            for what, arguments in trial.told:
                getattr(result, what)(*arguments)
        finally:
            result.stopTest(self)
        return result


class Seeing(Measuring):
    """A TestCase of which only what is NotSeen is a measurement: a thread that samples may
    not get the CPU while a request lasts."""

    MEASURES = NotSeen

    def assert_seen(self, names, found):
        for name in names:
            if name not in found:
                raise NotSeen(f"{name} is not in {found}")

    def assert_more_than(self, least, had):
        if had <= least:
            raise NotSeen(f"{had} is not more than {least}")

    def assert_at_most(self, most_s, took_s):
        if took_s > most_s:
            raise NotSeen(f"{took_s} s instead of {most_s} s")
