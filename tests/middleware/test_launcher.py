"""The launcher: a profiler of the whole process, switched on and off."""

import contextlib
import doctest
import os
import re
import subprocess
import sys
import tempfile
import threading
import time
import unittest
from pathlib import Path

import _flameprof
import flameprof.launcher
from flameprof.launcher import Record, SimpleLauncher
from native import tickers

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))

from measuring import Measuring  # noqa: E402

DOCUMENT = Path(__file__).parents[2] / "docs" / "launcher.md"


def busy(seconds):
    end = time.perf_counter() + seconds
    while time.perf_counter() < end:
        pass


def down(depth, seconds):
    if depth:
        down(depth - 1, seconds)
    else:
        busy(seconds)


def hits(launcher, name):
    records, _ = launcher.query(max_records=None)
    return next((record.hits for record in records if record.name == name), 0)


class Recorder:
    def __init__(self):
        self.calls = []

    def record(self, rows):
        self.calls.append(rows)

    def hits(self, name):
        return sum(row.hits for rows in self.calls for row in rows if row.name == name)


class Launcher(Measuring):
    def launcher(self, *args, **kwargs):
        kwargs.setdefault("interval", 0.002)
        launcher = SimpleLauncher(*args, **kwargs)
        self.addCleanup(launcher.cancel)
        return launcher

    def running(self, *args, **kwargs):
        launcher = self.launcher(*args, **kwargs)
        launcher.start()
        launcher.unpause()
        return launcher

    def assertNothingRuns(self):
        patience = time.monotonic() + 5  # it ends after the last profile has
        while tickers() and time.monotonic() < patience:
            time.sleep(0.01)
        self.assertEqual(tickers(), [])


    def assertHits(self, found, seconds, launcher):
        """Of a launcher that has missed none before: on a busy machine some are."""
        due = seconds / launcher.interval
        self.assertGreater(found + launcher.quality()["missed"], 0.6 * due - 5)
        self.assertLess(found, 3 * due + 10)

    def work_until(self, seen):
        """Busy machines let nobody look for a while."""
        patience = time.monotonic() + 10
        busy(0.05)
        while not seen():
            self.assertLess(time.monotonic(), patience)
            busy(0.05)


class OnAndOff(Launcher):
    def test_paused_at_first(self):
        launcher = self.launcher()
        launcher.start()
        busy(0.05)
        self.assertTrue(launcher.is_paused())
        self.assertEqual(tickers(), [])
        self.assertEqual(launcher.query(), ([], 0))
        self.assertIn("nothing to draw", launcher.snapshot().svg())
        self.assertEqual(launcher.quality()["mean"], 0)

    def test_unpause_and_pause(self):
        launcher = self.running()
        self.assertFalse(launcher.is_paused())
        busy(0.2)
        self.assertEqual(len(tickers()), 1)
        launcher.pause()
        self.assertTrue(launcher.is_paused())
        self.assertNothingRuns()
        frozen = hits(launcher, "busy")
        self.assertHits(frozen, 0.2, launcher)
        busy(0.1)
        self.assertEqual(hits(launcher, "busy"), frozen)
        launcher.pause()
        launcher.unpause()
        launcher.unpause()
        self.work_until(lambda: hits(launcher, "busy") > 1.2 * frozen)

    def test_a_query_while_it_runs(self):
        launcher = self.running()
        counts = []
        for _ in range(5):
            busy(0.05)
            counts.append(hits(launcher, "busy"))
        self.assertEqual(counts, sorted(counts))
        self.assertHits(counts[-1], 0.25, launcher)

    def test_start_after_unpause(self):
        launcher = self.launcher()
        launcher.unpause()
        self.assertFalse(launcher.is_paused())
        self.assertEqual(tickers(), [])
        launcher.start()
        self.work_until(lambda: hits(launcher, "busy") > 5)
        with self.assertRaises(RuntimeError):
            launcher.start()

    def test_launch_and_cancel(self):
        launcher = SimpleLauncher.launch(interval=0.002)
        self.work_until(lambda: hits(launcher, "busy") > 20)
        launcher.cancel()
        launcher.cancel()
        self.assertNothingRuns()
        self.assertGreater(hits(launcher, "busy"), 20)
        self.assertTrue(launcher.is_paused())
        for call in launcher.unpause, launcher.start:
            with self.assertRaises(RuntimeError):
                call()

    def test_all_threads_but_none_of_ours(self):
        def work():
            busy(0.15)

        launcher = self.running()
        thread = threading.Thread(target=work, name="pool-4_2")
        thread.start()
        thread.join()
        folded = launcher.snapshot().folded()
        roots = {line.split(";")[0] for line in folded.splitlines()}
        self.assertLessEqual(roots, {"[thread MainThread]", "[thread pool-N_N]"})
        self.assertIn("[thread pool-N_N]", roots)

    def test_no_room(self):
        launcher = self.launcher()
        launcher.start()
        sessions = [_flameprof.Session() for _ in range(64)]
        try:
            with self.assertRaises(RuntimeError):
                for session in sessions:
                    session.start()
                launcher.unpause()
            self.assertTrue(launcher.is_paused())
        finally:
            for session in sessions:
                with contextlib.suppress(RuntimeError):
                    session.stop()
            del sessions, session
        launcher.unpause()
        self.work_until(lambda: hits(launcher, "busy") > 5)


class Interval(Launcher):
    def test_quality(self):
        launcher = self.running(interval=0.001)
        self.work_until(lambda: hits(launcher, "busy") > 100)
        quality = launcher.quality()
        self.assertGreater(quality["mean"], 0.0009)
        self.assertLess(quality["mean"], 0.02)
        self.assertGreater(quality["deviation"], 0)
        launcher.set_interval(0.05)
        self.assertEqual(launcher.interval, 0.05)
        before = hits(launcher, "busy")
        self.assertGreater(before, 100)  # it stays
        busy(0.5)
        quality = launcher.quality()
        self.assertGreater(quality["mean"], 0.035)  # of these alone
        self.assertLess(hits(launcher, "busy") - before, 20)

    def test_good_and_bad(self):
        launcher = self.running()
        for good in 0.00005, 1, 10, 0.5:
            launcher.set_interval(good)
            self.assertEqual(launcher.interval, good)
        for bad in 0, -1, 10.5, 0.00004, float("nan"), float("inf"):
            with self.assertRaisesRegex(ValueError, "interval takes seconds from 0.00005 to 10"):
                launcher.set_interval(bad)
            with self.assertRaises(ValueError):
                SimpleLauncher(interval=bad)
        with self.assertRaises(TypeError):
            launcher.set_interval("fast")
        self.assertEqual(launcher.interval, 0.5)
        self.assertFalse(launcher.is_paused())
        launcher.pause()
        launcher.set_interval(1)
        self.assertTrue(launcher.is_paused())


class Queries(Launcher):
    @classmethod
    def setUpClass(cls):
        cls.asked = SimpleLauncher.launch(interval=0.002)
        begun = time.perf_counter()
        down(5, 0.2)
        cls.took = time.perf_counter() - begun
        time.sleep(0.1)
        cls.asked.pause()

    def test_records(self):
        records, stacks = self.asked.query()
        self.assertLessEqual(len(records), 10)
        self.assertGreaterEqual(stacks, 2)
        self.assertEqual([r.hits for r in records], sorted((r.hits for r in records), reverse=True))
        (record,) = self.asked.query("^down$")[0]
        # once for each sample
        self.assertHits(record.hits, self.took, self.asked)
        missed = self.asked.quality()["missed"] * self.asked.interval
        self.assertGreater(record.total + missed, 0.6 * self.took)
        self.assertLess(record.total, self.took + 0.1 + missed)
        self.assertLess(record.own, 0.05)

    def test_filter(self):
        records, stacks = self.asked.query("^do.n$")
        self.assertEqual([record.name for record in records], ["down"])
        self.assertEqual(stacks, self.asked.query()[1])
        self.assertEqual(self.asked.query("no such function")[0], [])
        everything = self.asked.query(None, None)[0]
        self.assertEqual(everything, self.asked.query(".*", 10000)[0])
        self.assertEqual(self.asked.query(max_records=2)[0], everything[:2])
        self.assertEqual(self.asked.query(max_records=0)[0], [])
        for wrong in {"re_filter": "("}, {"max_records": -1}:
            with self.assertRaisesRegex(ValueError, "|".join(wrong)):
                self.asked.query(**wrong)

    def test_names_of_ox_profile(self):
        self.assertEqual(self.asked.sampler.my_db.query(), self.asked.query())
        self.assertEqual(self.asked.sampler.query(), self.asked.query())
        self.assertEqual(self.asked.sampler.my_db.show(), self.asked.show())

    def test_show(self):
        lines = self.asked.show(limit=3, query="down|busy").splitlines()
        self.assertRegex(lines[0], r"^The first 2 functions of \d+ stacks:$")
        self.assertEqual(lines[1].split(), ["hits", "own", "s", "total", "s", "function"])
        self.assertEqual({line.split()[-1] for line in lines[2:]}, {"down", "busy"})
        self.assertEqual(self.asked.show(limit=2, sep="|").count("|"), 3)
        self.assertIn(";", self.asked.show(limit=1, col=";"))

    def test_snapshot(self):
        snapshot = self.asked.snapshot()
        self.assertIn("down", snapshot.svg(title="a title"))
        self.assertIn("a title", snapshot.svg(title="a title"))
        self.assertTrue(snapshot.render("pprof").startswith(b"\x1f\x8b"))
        self.assertIn("down", {row[0] for row in snapshot.functions()})
        self.assertEqual(snapshot.tally()["stacks"], self.asked.query()[1])
        with tempfile.TemporaryDirectory() as folder:
            snapshot.save(f"{folder}/a.folded")
            self.assertEqual(Path(f"{folder}/a.folded").read_text(), snapshot.folded())

    def test_what_is_idle(self):
        launcher = self.running(idle=["busy"])
        done = threading.Event()
        waiting = threading.Thread(target=done.wait)
        waiting.start()
        self.work_until(lambda: "busy" in launcher.snapshot().folded(idle=False))
        done.set()
        waiting.join()
        names = {record.name.split(".")[-1] for record in launcher.query(max_records=None)[0]}
        self.assertNotIn("busy", names)
        self.assertIn("wait", names)
        self.assertNotIn("busy", launcher.snapshot().folded())


class OneSOwn(Launcher):
    def test_recorder(self):
        recorder = Recorder()
        launcher = self.running(recorder=recorder)
        busy(0.1)
        seen = hits(launcher, "busy")
        self.assertGreater(seen, 0)
        self.assertEqual(len(recorder.calls), 1)
        self.assertEqual(recorder.hits("busy"), seen)
        self.assertIsInstance(recorder.calls[0][0], Record)
        busy(0.1)
        launcher.pause()
        self.assertEqual(len(recorder.calls), 2)
        self.assertEqual(recorder.hits("busy"), hits(launcher, "busy"))  # each sample once
        launcher.unpause()
        busy(0.1)
        launcher.cancel()
        self.assertEqual(recorder.hits("busy"), hits(launcher, "busy"))
        self.assertEqual(len(recorder.calls), 3)

    def test_recorder_that_asks_and_one_that_fails(self):
        class Asks(Recorder):
            def record(self, rows):
                super().record(rows)
                if len(self.calls) < 3:
                    self.answer = launcher.query()

        launcher = self.running(recorder=Asks())
        busy(0.05)
        launcher.query()
        launcher.pause()

        class Fails:
            def record(self, rows):
                raise KeyError("full")

        launcher = self.running(recorder=Fails())
        busy(0.05)
        with self.assertRaises(KeyError):
            launcher.query()
        launcher._recorder = None
        self.work_until(lambda: hits(launcher, "busy") > 5)
        self.assertFalse(launcher.is_paused())

    def test_measurement(self):
        def by_file(name, file, line):
            asked.add((name, file, line))
            return "here" if file == __file__ else "elsewhere"

        asked = set()
        launcher = self.running(measurement=by_file)
        down(3, 0.1)
        launcher.pause()
        records = {record.name: record for record in launcher.query()[0]}
        self.assertLessEqual(set(records), {"here", "elsewhere"})
        self.assertHits(records["here"].hits, 0.1, launcher)
        self.assertIn(("down", __file__, down.__code__.co_firstlineno), asked)


class Circumstances(Launcher):
    def test_from_many_threads(self):
        def turns(call):
            try:
                while time.monotonic() < until:
                    call()
            except Exception as error:
                failures.append(error)

        failures = []
        launcher = self.running(interval=0.001, recorder=Recorder())
        until = time.monotonic() + 1
        calls = [
            launcher.query, launcher.pause, launcher.unpause, launcher.snapshot, launcher.quality,
            lambda: launcher.set_interval(0.001),
        ]  # fmt: skip
        threads = [threading.Thread(target=turns, args=(call,)) for call in calls]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        self.assertEqual(failures, [])

    def test_a_forked_child_begins_anew(self):
        launcher = self.running()
        busy(0.05)
        child = os.fork()
        if child == 0:
            code = 1
            try:
                if launcher.is_paused() and launcher.query() == ([], 0):
                    launcher.unpause()
                    self.work_until(lambda: hits(launcher, "busy") > 10)
                    code = 0
            finally:
                os._exit(code)
        self.assertEqual(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), 0)
        self.work_until(lambda: hits(launcher, "busy") > 20)

    def test_the_process_ends_while_it_runs(self):
        code = (
            "from flameprof.launcher import SimpleLauncher\n"
            "class Recorder:\n"
            "    def record(self, rows): print(sum(row.hits for row in rows) > 3)\n"
            "launcher = SimpleLauncher.launch(interval=0.001, recorder=Recorder())\n"
            "sum(i * i for i in range(1000000))\n"
        )
        result = subprocess.run(
            [sys.executable, "-B", "-c", code], capture_output=True, text=True, timeout=60
        )
        self.assertEqual((result.stdout, result.stderr, result.returncode), ("True\n", "", 0))

    def test_forgotten(self):
        launcher = SimpleLauncher.launch()
        busy(0.02)
        del launcher
        self.assertNothingRuns()


class Document(unittest.TestCase):
    def test_it_names_everything_there_is(self):
        text = DOCUMENT.read_text()
        for name in dir(SimpleLauncher):
            if not name.startswith("_"):
                self.assertRegex(text, rf"\b{re.escape(name)}\b")


def load_tests(loader, tests, pattern):
    tests.addTests(doctest.DocTestSuite(flameprof.launcher))
    tests.addTests(
        doctest.DocFileSuite(str(DOCUMENT), module_relative=False, optionflags=doctest.ELLIPSIS)
    )
    return tests


if __name__ == "__main__":
    unittest.main(argv=sys.argv)
