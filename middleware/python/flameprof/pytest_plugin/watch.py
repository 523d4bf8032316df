"""What is done at each test that is profiled."""

import contextlib
import functools
import inspect
import unittest

import _flameprof
import pytest

from ..profiler import Profiler
from .folder import file_of


def options_of(item, option):
    """What a test is profiled with: (keywords of Profiler, the clock).

    TypeError, ValueError: its marker makes no sense.
    """
    given = {
        "interval": option.flameprof_interval,
        "clock": option.flameprof_clock,
        "title": item.nodeid.encode(errors="replace").decode(),  # files' names are bytes
    }
    marker = item.get_closest_marker("flameprof")
    if marker is not None:
        if marker.args:
            raise TypeError("it takes keywords: interval=, clock=")
        given.update(marker.kwargs)
    clock = given.pop("clock")
    _flameprof.check_picture(clock=clock, title=given["title"])
    Profiler(**given)
    return given, clock


class Watch:
    """Profiles tests and draws those that are to be kept. Its methods are pytest's hooks.

    One profile is of a test's setup, call and teardown, and of nothing in between. Of the
    call it has what the test's own function does, where that can be wrapped; else, and of
    the fixtures, pytest's functions that led there, too.
    """

    def __init__(self, option, folder):
        self._option = option
        self._folder = folder
        self._slowest = {}  # file: seconds, of those that are not chosen
        self._test = None  # the one that runs, if it is profiled
        self._outcome = "passed"  # of the one that runs
        self.unreported = []  # problems that no report carries

    @pytest.hookimpl(hookwrapper=True, trylast=True)
    def pytest_runtest_setup(self, item):
        self._test, self._outcome = None, "passed"
        marker = item.get_closest_marker("flameprof")
        try:
            options, clock = options_of(item, self._option)
        except (TypeError, ValueError) as error:
            sentence = f"@pytest.mark.flameprof: {error}"
            raise pytest.fail.Exception(sentence, pytrace=False) from None
        # The fixture says itself what is profiled.
        if "flameprof" not in getattr(item, "fixturenames", ()):
            if marker is not None or self._option.flameprof:
                chosen = marker is not None
                self._test = Test(item, Profiler(**options), clock, chosen)
        yield from self._around()

    @pytest.hookimpl(hookwrapper=True)
    def pytest_runtest_call(self, item):
        if self._test is None or not can_be_wrapped(item):
            yield from self._around()
            return
        function = item.obj
        item.obj = self._test.wrapped(function)
        yield
        item.obj = function

    @pytest.hookimpl(hookwrapper=True, trylast=True)
    def pytest_runtest_teardown(self, item):
        yield from self._around()

    def _around(self):
        begun = self._test is not None and self._test.start()
        yield
        if begun:
            self._test.stop()

    def take(self, item, profiler, clock):
        """The fixture's, at its end."""
        test = Test(item, profiler, clock, chosen=True)
        test.stop()
        self._test = test if test.has_run() else None

    @pytest.hookimpl(hookwrapper=True)
    def pytest_runtest_makereport(self, item, call):
        made = yield
        report = made.get_result()
        if self._outcome == "passed":
            self._outcome = report.outcome
        if call.when == "teardown" and self._test is not None:
            problem = self._finish()
            if problem is not None:
                report.flameprof = problem

    def pytest_keyboard_interrupt(self):
        if self._outcome == "passed":
            self._outcome = "interrupted"
        self._give_up()

    @pytest.hookimpl(trylast=True)
    def pytest_sessionfinish(self):
        self._give_up()  # the fixture's is there only since its end

    def _give_up(self):
        """Draws a test that no report follows."""
        if self._test is not None:
            problem = self._finish()
            if problem is not None:
                self.unreported.append(problem)

    def _finish(self):
        """Draws a test that is over, if it is to be kept: None, or what hindered that."""
        test, self._test = self._test, None
        if not test.has_run():
            return test.problem
        entry = test.entry(self._outcome)
        if entry["chosen"] or self._is_slow(entry):
            try:
                test.draw(self._folder.path(entry["file"]), self._outcome)
                self._folder.note(entry)
            except (OSError, RuntimeError) as error:
                return str(error)
        return None

    def _is_slow(self, entry):
        """It is among the slowest until now; another one may be no more."""
        name = entry["file"]
        self._slowest[name] = entry["seconds"]
        if len(self._slowest) > self._option.flameprof_keep:
            fastest = min(self._slowest, key=self._slowest.get)
            del self._slowest[fastest]
            self._folder.remove(fastest)
        return name in self._slowest


def can_be_wrapped(item):
    """unittest calls an asynchronous test by its name, not what pytest has of it."""
    if not isinstance(item, pytest.Function):
        return False
    in_unittest = item.cls is not None and issubclass(item.cls, unittest.TestCase)
    return not (in_unittest and inspect.iscoroutinefunction(item.obj))


class Test:
    """One test that is profiled: on the thread that runs it."""

    __test__ = False  # none of pytest's

    def __init__(self, item, profiler, clock, chosen):
        self._item, self._profiler, self._clock, self._chosen = item, profiler, clock, chosen
        self.problem = "a test was not seen"

    def start(self):
        """False: it cannot be profiled, which is no reason for a test to fail."""
        try:
            self._profiler.start()
        except RuntimeError as error:
            self.problem = str(error)
            return False
        return True

    def stop(self):
        """Whatever the test's own code has started or stopped."""
        with contextlib.suppress(RuntimeError):
            self._profiler.stop()

    def wrapped(self, function):
        if inspect.iscoroutinefunction(function):

            @functools.wraps(function)
            async def watched(*args, **kwargs):
                __tracebackhide__ = True
                begun = self.start()
                try:
                    return await function(*args, **kwargs)
                finally:
                    if begun:
                        self.stop()

        else:

            @functools.wraps(function)
            def watched(*args, **kwargs):
                __tracebackhide__ = True
                begun = self.start()
                try:
                    return function(*args, **kwargs)
                finally:
                    if begun:
                        self.stop()

        return watched

    def has_run(self):
        try:
            self._profiler.quality()
        except RuntimeError:
            return False
        return True

    def entry(self, outcome):
        return {
            "test": self._item.nodeid,
            "seconds": self._profiler.quality()["duration_ns"] / 1e9,
            "outcome": outcome,
            "file": file_of(self._item.nodeid),
            "chosen": self._chosen,
        }

    def draw(self, path, outcome):
        self._profiler.save(path, clock=self._clock, subtitle=outcome)
