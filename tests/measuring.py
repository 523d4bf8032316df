"""Tests that measure, on a machine which others use as well.

What fails there is measured again a little later, three times at most, and that is said
aloud: a fault of ours fails each time. An error, such as a crash or an exception, is one
at once.
"""

import sys
import time
import unittest


class Trial(unittest.TestResult):
    """What became of one run of a test, to be told to another result."""

    def __init__(self):
        super().__init__()
        self.told = []
        self.failed = self.wrong = False

    def _note(self, what, *arguments):
        self.told.append((what, arguments))

    def addSuccess(self, test):
        self._note("addSuccess", test)

    def addSkip(self, test, reason):
        self._note("addSkip", test, reason)

    def addFailure(self, test, err):
        self.failed = True
        self._note("addFailure", test, err)

    def addError(self, test, err):
        self.wrong = True
        self._note("addError", test, err)

    def addExpectedFailure(self, test, err):
        self._note("addExpectedFailure", test, err)

    def addUnexpectedSuccess(self, test):
        self._note("addUnexpectedSuccess", test)

    def addSubTest(self, test, subtest, err):
        if err is not None and issubclass(err[0], test.failureException):
            self.failed = True
        elif err is not None:
            self.wrong = True
        self._note("addSubTest", test, subtest, err)

    def reason(self):
        """Of the first failure, in a line."""
        errors = [arguments[-1] for what, arguments in self.told
                  if what in ("addFailure", "addSubTest") and arguments[-1] is not None]
        return str(errors[0][1]).strip().partition("\n")[0][:200]


class Measuring(unittest.TestCase):
    """A TestCase whose tests are measurements."""

    # Between them the host of a virtual machine may give its CPU back.
    PAUSES_S = (1, 3, 9, None)

    def run(self, result=None):
        result = self.defaultTestResult() if result is None else result
        result.startTest(self)
        try:
            for pause in self.PAUSES_S:
                trial = Trial()
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
