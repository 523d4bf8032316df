"""Profiles of code: Profiler, profile(), the decorator."""

import asyncio
import contextlib
import doctest
import gzip
import inspect
import io
import json
import os
import re
import sys
import tempfile
import threading
import time
import unittest

import flameprof
import flameprof.decorator
import flameprof.profiler
from native import tickers

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))

from measuring import Measuring  # noqa: E402


def busy(seconds):
    """How long it was: on a busy machine longer than asked for."""
    start = time.perf_counter()
    while time.perf_counter() < start + seconds:
        pass
    return time.perf_counter() - start


def seconds_in(profiler, name):
    return next((row.total for row in profiler.top(1000) if row.name == name), 0)


def quiet(call, *arguments, **keywords):
    """Its value, and what it said on standard error."""
    said = io.StringIO()
    with contextlib.redirect_stderr(said):
        value = call(*arguments, **keywords)
    return value, said.getvalue()


class Code(Measuring):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = folder.name
        before = tempfile.tempdir
        tempfile.tempdir = self.folder
        self.addCleanup(setattr, tempfile, "tempdir", before)

    def tearDown(self):
        patience = time.monotonic() + 5  # it ends after the last profile has
        while tickers() and time.monotonic() < patience:
            time.sleep(0.01)
        self.assertEqual(tickers(), [])

    def path(self, name):
        return os.path.join(self.folder, name)

    def drawn(self):
        """The pictures the decorator made."""
        texts = []
        for name in sorted(os.listdir(self.folder)):
            with open(self.path(name), encoding="utf-8") as file:
                texts.append(file.read())
        return texts


class Profilers(Code):
    def test_block(self):
        with flameprof.profile(interval=0.0005) as profiler:
            took = busy(0.2)
        self.assertAlmostEqual(seconds_in(profiler, "busy"), took, delta=0.05)
        quality = profiler.quality()
        self.assertGreater(quality["samples"] + quality["missed"], 200)
        self.assertGreater(quality["samples"], 50)

    def test_block_that_raises(self):
        with self.assertRaises(ZeroDivisionError):
            with flameprof.profile() as profiler:
                busy(0.05)
                1 / 0
        self.assertGreater(seconds_in(profiler, "busy"), 0.02)

    def test_summary(self):
        def work():
            with flameprof.profile(print_summary=True):
                busy(0.05)

        def silent():
            with flameprof.profile():
                busy(0.02)

        _, said = quiet(work)
        self.assertIn("samples", said)
        self.assertIn("busy", said)
        with self.assertLogs("flameprof", "INFO") as logged:
            self.assertEqual(quiet(silent)[1], "")
        self.assertRegex(logged.output[0], r"\d+ samples, \d+ missed, sampling took")

    def test_started_again(self):
        profiler = flameprof.Profiler()
        took = 0
        for _ in range(3):
            profiler.start()
            took += busy(0.03)
            profiler.stop()
            busy(0.1)
        self.assertAlmostEqual(seconds_in(profiler, "busy"), took, delta=0.05)
        self.assertAlmostEqual(profiler.quality()["duration_ns"] / 1e9, took, delta=0.05)
        self.assertNotIn("stretches", json.loads(profiler.render("json")))  # of three runs

    def test_started_more_often_than_there_is_room_for_profiles(self):
        session = flameprof.Session()
        for _ in range(100):
            session.start()
            busy(0.003)
            session.stop()
        quality = session.quality()
        self.assertGreater(quality["duration_ns"], 0.2e9)
        self.assertGreater(quality["spacing_mean_ns"], 0.3e6)
        with flameprof.profile() as once:
            busy(0.02)
        self.assertIn("stretches", json.loads(once.render("json")))

    def test_out_of_turn(self):
        profiler = flameprof.Profiler()
        for call in (profiler.stop, profiler.pause, profiler.resume, profiler.render):
            with self.assertRaises(RuntimeError):
                call()
        profiler.start()
        for call in (profiler.start, profiler.render, profiler.quality, profiler.top):
            with self.assertRaises(RuntimeError):
                call()
        with self.assertRaises(RuntimeError):
            flameprof.Profiler().merge(profiler)
        failures = []

        def elsewhere():
            try:
                profiler.stop()
            except RuntimeError as error:
                failures.append(str(error))

        thread = threading.Thread(target=elsewhere)
        thread.start()
        thread.join()
        self.assertEqual(len(failures), 1)
        profiler.stop()

    def test_pause(self):
        profiler = flameprof.Profiler()
        profiler.start()
        took = busy(0.05)
        for _ in range(2):
            profiler.pause()
        busy(0.1)
        for _ in range(2):
            profiler.resume()
        took += busy(0.05)
        profiler.pause()
        busy(0.1)
        profiler.stop()
        self.assertAlmostEqual(profiler.quality()["duration_ns"] / 1e9, took, delta=0.05)

    def test_merge(self):
        one, other = flameprof.Profiler(), flameprof.Profiler()
        with one:
            took = busy(0.05)
        with other:
            began = time.perf_counter()
            time.sleep(0.05)
            slept = time.perf_counter() - began
        one.merge(other)
        one.merge(one)
        self.assertAlmostEqual(seconds_in(one, "busy"), 2 * took, delta=0.04)
        quality = one.quality()
        self.assertAlmostEqual(quality["duration_ns"] / 1e9, 2 * (took + slept), delta=0.05)
        self.assertEqual(quality["samples"] % 2, 0)
        self.assertEqual(seconds_in(other, "busy"), 0)
        lines = one.render("folded").decode().splitlines()
        total = sum(int(line.rsplit(" ", 1)[1]) for line in lines)
        self.assertAlmostEqual(total * 1000, quality["duration_ns"], delta=5000)
        del other
        self.assertIn(b"<svg", one.render())

    def test_top_counts_recursion_once(self):
        def down(depth):
            busy(0.02)
            if depth:
                down(depth - 1)

        with flameprof.profile() as profiler:
            down(3)
        row = next(r for r in profiler.top(100) if r.name.endswith("down"))
        self.assertGreater(row.total, 0.07)
        self.assertLessEqual(row.total, profiler.quality()["duration_ns"] / 1e9)
        self.assertEqual(row.places, 4)
        self.assertEqual(row.file, __file__)
        self.assertEqual(len(profiler.top(1)), 1)
        self.assertEqual(profiler.top(clock="gil")[0].total, 0)
        with self.assertRaises(ValueError):
            profiler.top(clock="moon")

    def test_save(self):
        with flameprof.profile(title="a <b> c") as profiler:
            busy(0.03)
        starts = {
            "a.svg": b"<?xml", "a.html": b"<!DOCTYPE html>",
            "a.json": b"{", "a.speedscope.json": b"{", "a.gecko.json": b"{", "a.pb.gz": b"\x1f\x8b",
            "a.png": b"\x89PNG", "a.pdf": b"%PDF",
        }  # fmt: skip
        for name, start in starts.items():
            profiler.save(self.path(name))
            with open(self.path(name), "rb") as file:
                self.assertTrue(file.read().startswith(start), name)
        with open(self.path("a.speedscope.json")) as file:
            self.assertIn("speedscope", json.load(file)["$schema"])
        profiler.save(self.path("a.folded"))
        with open(self.path("a.folded")) as file:
            self.assertRegex(file.read(), r"busy \(.*\).* \d+\n")
        with gzip.open(self.path("a.pb.gz")) as file:
            self.assertIn(b"busy", file.read())
        self.assertIn(b"a &lt;b&gt; c", profiler.render())
        self.assertIn(b"other", profiler.render(title="other"))
        self.assertEqual(sorted(os.listdir(self.folder)), sorted([*starts, "a.folded"]))

    def test_save_that_fails(self):
        with flameprof.profile() as profiler:
            busy(0.02)
        for name in ("a.xyz", "svg", "a"):
            with self.assertRaises(ValueError) as caught:
                profiler.save(self.path(name))
            self.assertIn(".pb.gz", str(caught.exception))
        with open(self.path("a.svg"), "w") as file:
            file.write("before")
        with self.assertRaises(ValueError):
            profiler.save(self.path("a.svg"), clock="moon")
        with self.assertRaises(FileNotFoundError):
            profiler.save(self.path("nowhere/a.svg"))
        self.assertEqual(self.drawn(), ["before"])

    def test_save_beside_a_link(self):
        """Somebody else's, where they know how the file is called until it is whole."""
        with flameprof.profile() as profiler:
            busy(0.02)
        with open(self.path("precious"), "w") as file:
            file.write("before")
        os.symlink("precious", self.path(f"a.folded.{threading.get_native_id()}.part"))
        profiler.save(self.path("a.folded"))
        self.assertFalse(os.path.islink(self.path("a.folded")))
        with open(self.path("precious")) as file:
            self.assertEqual(file.read(), "before")
        self.assertEqual(sorted(os.listdir(self.folder)), ["a.folded", "precious"])

    def test_save_from_two_threads(self):
        """Each writes all of its own; the last one's stays."""
        profilers = [flameprof.Profiler(title="x" * 100 * n) for n in (1, 2)]
        for profiler in profilers:
            with profiler:
                busy(0.02)
        whole = {profiler.render("svg") for profiler in profilers}
        failures = []

        def save(profiler):
            try:
                for _ in range(30):
                    profiler.save(self.path("a.svg"))
                    with open(self.path("a.svg"), "rb") as file:
                        assert file.read() in whole
            except BaseException as failure:
                failures.append(failure)

        threads = [threading.Thread(target=save, args=[profiler]) for profiler in profilers]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        self.assertEqual(failures, [])

    def test_sources(self):
        text = "import time\n\ndef work():\n    time.sleep(0.05)\nwork()\n"
        code = compile(text, "<in no file>", "exec")
        profiler = flameprof.Profiler(sources={"<in no file>": text, "<another>": ""})
        with profiler:
            exec(code, {})
        names = {row.name for row in profiler.top(100)}
        self.assertIn("work", names)
        if sys.version_info >= (3, 11):
            self.assertIn("time.sleep(…)", names)
        with profiler:
            exec(compile("x = 1\n" * 50, "<another>", "exec"), {})
        for wrong in ([], {"a": 1}, {1: "a"}, None):
            with self.assertRaises(TypeError):
                flameprof.Profiler(sources=wrong)

    def test_options(self):
        for wrong in ({"interval": 0}, {"interval": 2}, {"max_seconds": -1}):
            with self.assertRaises(ValueError):
                flameprof.profile(**wrong)
        with self.assertRaises(TypeError):
            flameprof.profile(intervall=1)


class Decorator(Code):
    def test_function(self):
        @flameprof.flamegraph
        def work(x, *, y: int = 2) -> int:
            """What it does."""
            busy(0.05)
            return x + y

        value, said = quiet(work, 1, y=5)
        self.assertEqual(value, 6)
        self.assertEqual(work.__doc__, "What it does.")
        self.assertEqual(str(inspect.signature(work)), "(x, *, y: int = 2) -> int")
        (text,) = self.drawn()
        self.assertIn("busy", text)
        self.assertEqual(said.strip(), self.path(os.listdir(self.folder)[0]))

    def test_exception(self):
        @flameprof.flamegraph()
        def work():
            busy(0.02)
            raise KeyError("x")

        with self.assertRaises(KeyError):
            quiet(work)
        self.assertIn("busy", self.drawn()[0])

    def test_opened(self):
        opened = self.path("opened")

        @flameprof.flamegraph(open_svg=True, open_command=f"cp {{}} '{opened}'", interval=0.0005)
        def work():
            busy(0.02)

        quiet(work)
        with open(opened) as file:
            self.assertIn("<svg", file.read())

    def test_coroutine(self):
        async def somebody_else():
            for _ in range(20):
                busy(0.005)
                await asyncio.sleep(0)

        @flameprof.flamegraph
        async def work(n):
            for _ in range(n):
                inner()
                await asyncio.sleep(0.02)
            return n

        def inner():
            busy(0.02)

        async def main():
            return await asyncio.gather(work(3), somebody_else())

        (value, _), _ = quiet(asyncio.run, main())
        self.assertEqual(value, 3)
        self.assertTrue(asyncio.iscoroutinefunction(work))
        (text,) = self.drawn()
        self.assertIn("inner", text)
        self.assertNotIn("somebody_else", text)

    def test_coroutine_that_is_cancelled(self):
        @flameprof.flamegraph
        async def work():
            try:
                await asyncio.sleep(10)
            finally:
                busy(0.03)

        async def main():
            task = asyncio.ensure_future(work())
            await asyncio.sleep(0.01)
            task.cancel()
            with self.assertRaises(asyncio.CancelledError):
                await task

        quiet(asyncio.run, main())
        self.assertIn("busy", self.drawn()[0])

    def test_generator(self):
        took = []

        @flameprof.flamegraph
        def work(n):
            got = []
            for i in range(n):
                took.append(busy(0.02))
                got.append((yield i))
            return got

        def use():
            generator = work(3)
            found = [next(generator)]
            busy(0.1)
            found.append(generator.send("a"))
            found.append(generator.send("b"))
            with self.assertRaises(StopIteration) as caught:
                generator.send("c")
            return found, caught.exception.value

        value, _ = quiet(use)
        self.assertEqual(value, ([0, 1, 2], ["a", "b", "c"]))
        (text,) = self.drawn()
        shown = float(re.search(r'"quality":"([\d.]+) ms', text)[1])
        self.assertAlmostEqual(shown / 1000, sum(took), delta=0.05)  # without the caller's 0.1

    def test_generator_that_is_left(self):
        closed = []

        @flameprof.flamegraph
        def work():
            try:
                yield 1
            finally:
                closed.append(True)

        def use():
            for _ in work():
                break

        quiet(use)
        self.assertEqual(closed, [True])
        self.assertEqual(len(self.drawn()), 1)

    def test_async_generator_is_refused(self):
        with self.assertRaises(TypeError):

            @flameprof.flamegraph
            async def work():
                yield 1

    def test_callable_object(self):
        class Work:
            def __call__(self):
                return 5

        self.assertEqual(quiet(flameprof.flamegraph(Work()))[0], 5)
        self.assertEqual(quiet(flameprof.flamegraph(lambda: 6))[0], 6)
        self.assertEqual(len(self.drawn()), 2)

    def test_method_and_recursion(self):
        class Thing:
            @flameprof.flamegraph
            def down(self, depth):
                busy(0.01)
                return self.down(depth - 1) if depth else self

        thing = Thing()
        self.assertIs(quiet(thing.down, 2)[0], thing)
        self.assertEqual(len(self.drawn()), 3)


def enter_folder(test):
    """For the pictures that an example draws."""
    test.folder = tempfile.TemporaryDirectory(prefix="flameprof-code-")
    tempfile.tempdir = test.folder.name


def leave_folder(test):
    tempfile.tempdir = None
    test.folder.cleanup()


def load_tests(loader, tests, pattern):
    for module in (flameprof.profiler, flameprof.decorator):
        tests.addTests(doctest.DocTestSuite(module, setUp=enter_folder, tearDown=leave_folder))
    return tests


if __name__ == "__main__":
    unittest.main(argv=sys.argv)
