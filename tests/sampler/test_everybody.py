"""Sessions of everybody: all threads, as they come and go."""

import ctypes
import os
import queue
import signal
import subprocess
import sys
import textwrap
import threading
import time
import unittest

import _flameprof
from test_children import roots
from watching import Measuring, busy, profiled, seconds, weights

try:
    import greenlet
except ImportError:
    greenlet = None

LANES = 32  # sampler/session.h


def watched(work, **options):
    return profiled(work, everybody=True, **options)


def started(target, *args, name=None):
    thread = threading.Thread(target=target, args=args, name=name, daemon=True)
    thread.start()
    return thread


def pauses(end):
    end.wait()


def computes(seconds, took, go=None):
    """Says how long it really took, which is longer on a busy machine."""
    if go is not None:
        go.wait()
    begun = time.perf_counter()
    busy(seconds)
    took.append(time.perf_counter() - begun)


def all_roots(session):
    """{root frame: seconds below it}, with what is idle."""
    found = {}
    for line in session.folded(idle=False).splitlines():
        stack, weight = line.rsplit(" ", 1)
        root = stack.split(";")[0]
        found[root] = found.get(root, 0) + int(weight) / 1e6
    return found


def run(code, *arguments, **environ):
    return subprocess.run(
        [sys.executable, "-B", *arguments, "-c", textwrap.dedent(code)],
        env=dict(os.environ, **environ),
        check=True,
        timeout=60,
        capture_output=True,
        text=True,
    ).stdout


class Sessions(unittest.TestCase):
    def assertSeen(self, found, took, session):
        """But for what was missed: a thread that ends has what came after its last sample."""
        quality = session.quality()
        missed = quality["missed"] * quality["interval_ns"] / 1e9
        self.assertAlmostEqual(found, took, delta=0.1 + missed)


class WhoIsSeen(Sessions, Measuring):
    def test_those_that_are_there_and_those_that_come(self):
        go = threading.Event()
        pool, late = [], []
        before = [started(computes, 0.2, pool, go, name=f"pool-1_{i}") for i in range(2)]
        time.sleep(0.05)

        def work():
            go.set()
            for i in range(2):
                before.append(started(computes, 0.2, late, name=f"late {i + 10}"))
            for thread in before:
                thread.join()

        session = watched(work)
        found = {root: 0 for root in ("[thread pool-N_N]", "[thread late N]")}
        for names, weight in weights(session).items():
            if "computes" in names and "busy" in names:
                found[names[0]] += weight / 1e6
        self.assertSeen(found["[thread pool-N_N]"], sum(pool), session)
        self.assertSeen(found["[thread late N]"], sum(late), session)
        self.assertIn("[thread MainThread]", all_roots(session))
        self.assertEqual(len([name for name in all_roots(session) if "thread" in name]), 3)
        stack = next(
            names for names in weights(session) if "computes" in names
        )
        self.assertTrue(stack[1].endswith("_bootstrap"), stack)  # the whole of it
        quality = session.quality()
        self.assertTrue(quality["everybody"])
        self.assertEqual((quality["children"], quality["unwatched"]), (5, 0))

    def test_our_own_are_not_in_it(self):
        took = []
        before = started(computes, 0.2, took, name="flameprof")

        def work():
            late = started(computes, 0.2, took, name="flameprof")
            busy(0.1)
            before.join()
            late.join()

        session = watched(work)
        self.assertIn("[thread MainThread]", all_roots(session))
        self.assertNotIn("[thread flameprof]", all_roots(session))
        quality = session.quality()
        self.assertEqual((quality["children"], quality["unwatched"]), (1, 0))

    def test_one_that_waits_all_the_while(self):
        end = threading.Event()
        thread = started(pauses, end, name="waits")
        time.sleep(0.05)
        session = watched(lambda: time.sleep(0.1))
        end.set()
        thread.join()
        stacks = [
            names
            for names in map(str.split, session.folded(idle=False).replace(";", " ").splitlines())
            if "waits]" in names
        ]
        self.assertEqual([stack for stack in stacks if "pauses" not in stack], [])

    def test_time(self):
        threads = []

        def work():
            threads.extend(started(time.sleep, 0.2) for _ in range(3))
            for thread in threads:
                thread.join()

        begun = time.perf_counter()
        session = watched(work)
        took = time.perf_counter() - begun
        quality = session.quality()
        self.assertLessEqual(quality["duration_ns"] / 1e9, took)
        self.assertGreater(quality["duration_ns"] / 1e9, 0.2)
        self.assertAlmostEqual(sum(all_roots(session).values()), quality["beside_ns"] / 1e9, 3)
        self.assertGreater(quality["beside_ns"], 2 * quality["duration_ns"])
        self.assertGreater(quality["spacing_mean_ns"], 0.5e6)
        self.assertIn("watched, ", session.svg())
        self.assertIn("of all threads together", session.svg())

    def test_threads_that_c_code_starts(self):
        libc = ctypes.CDLL(None)

        took = []

        @ctypes.CFUNCTYPE(ctypes.c_void_p, ctypes.c_void_p)
        def run_in_c_thread(_):
            computes(0.2, took)

        def work():
            ident = ctypes.c_ulong()
            libc.pthread_create(ctypes.byref(ident), None, run_in_c_thread, None)
            libc.pthread_join(ident, None)

        session = watched(work)
        self.assertSeen(roots(session)["[thread without a name]"], took[0], session)

    @unittest.skipIf(greenlet is None, "SKIPPED: greenlet is not installed for this Python")
    def test_greenlets_as_they_stand(self):
        def inner():
            busy(0.1)

        def serves():
            while time.monotonic() < until:
                greenlet.greenlet(inner).switch()

        until = time.monotonic() + 0.3
        session = watched(started(serves, name="hub").join)
        below = [names for names in weights(session) if names[0] == "[thread hub]"]
        self.assertTrue(any("inner" in " ".join(names) for names in below))
        self.assertEqual(session.quality()["cut"], 0)

    def test_beside_a_profile_of_one_thread(self):
        def one():
            own = _flameprof.Session(threads=True)
            own.start()
            started(busy, 0.1, name="its").join()
            own.stop()
            owns.append(own)

        owns = []
        session = watched(lambda: started(one, name="one").join())
        self.assertGreater(roots(owns[0])["[thread its]"], 0.05)
        self.assertGreater(roots(session)["[thread its]"], 0.05)


class HowLong(Sessions, Measuring):
    def test_a_thread_for_each_request(self):
        def work():
            for _ in range(150):
                started(computes, 0.005, took).join()

        took = []
        session = watched(work)
        quality = session.quality()
        self.assertEqual(quality["children"] + quality["unwatched"], 151)
        self.assertGreater(quality["children"], 75)
        found = roots(session)
        label = next(name for name in found if name.startswith("[thread Thread-N"))
        self.assertGreater(found[label], sum(took) / 3)
        self.assertLess(found[label], sum(took) * 1.5)
        # The time between one and the next in its place is nobody's.
        self.assertAlmostEqual(
            sum(all_roots(session).values()) / (quality["beside_ns"] / 1e9), 1, delta=0.01
        )

    def test_more_than_there_is_room_for(self):
        def work():
            end = threading.Event()
            threads = [started(pauses, end) for _ in range(LANES + 10)]
            time.sleep(0.3)
            end.set()
            for thread in threads:
                thread.join()
            for thread in [started(busy, 0.05, name="afterwards") for _ in range(3)]:
                thread.join()

        session = watched(work)
        quality = session.quality()
        self.assertEqual(quality["children"] + quality["unwatched"], LANES + 10 + 1 + 3)
        self.assertEqual(quality["unwatched"], 11)
        self.assertIn("[thread afterwards]", roots(session))
        self.assertIn("11 threads or greenlets not watched", session.svg())

    def test_threads_too_short_to_be_seen_make_room_at_once(self):
        def work():
            for _ in range(3 * LANES):
                started(int).join()
            time.sleep(0.03)
            started(busy, 0.1, name="long").join()

        session = watched(work, interval=0.005)
        self.assertIn("[thread long]", roots(session))

    def test_names_without_end(self):
        """Each lane keeps the names of all threads that used it."""

        def name(i):
            return "".join(chr(ord("a") + int(digit)) for digit in str(i))

        def work():
            for i in range(100):
                started(busy, 0.003, name=name(i)).join()

        found = [label for label in roots(watched(work)) if label.startswith("[thread ")]
        self.assertGreater(len(found), 60)

    def test_max_seconds(self):
        session = watched(lambda: busy(0.5), max_seconds=0.1)
        quality = session.quality()
        self.assertTrue(quality["deadline_reached"])
        self.assertAlmostEqual(quality["duration_ns"] / 1e9, 0.1, delta=0.03)
        self.assertLess(sum(all_roots(session).values()), 0.2)
        self.assertLess(quality["cpu_ns"], 0.15e9)


class FromAnyThread(Sessions):
    def in_thread(self, call):
        failures = []

        def body():
            try:
                call()
            except Exception as error:
                failures.append(error)

        started(body).join()
        self.assertEqual(failures, [])

    def test_start_pause_resume_stop(self):
        session = _flameprof.Session(everybody=True)
        took = []
        self.in_thread(session.start)
        computes(0.1, took)
        session.pause()
        busy(0.5)
        self.in_thread(session.resume)
        computes(0.1, took)
        session.stop()
        self.assertSeen(seconds(session, "busy"), sum(took), session)
        quality = session.quality()
        self.assertAlmostEqual(quality["duration_ns"] / 1e9, sum(took), delta=0.15)
        # The main thread once, and two of the four at most.
        self.assertLessEqual(quality["children"], 4)

    def test_paused_from_the_start(self):
        session = _flameprof.Session(everybody=True)
        took = []
        session.start()
        session.pause()
        busy(0.2)
        session.resume()
        computes(0.1, took)
        session.pause()
        busy(0.2)
        session.stop()
        self.assertSeen(seconds(session, "busy"), took[0], session)
        self.assertEqual(session.quality()["children"], 1)

    def test_a_thread_counts_once(self):
        session = _flameprof.Session(everybody=True)
        session.start()
        for _ in range(5):
            busy(0.02)
            session.pause()
            session.resume()
        session.stop()
        quality = session.quality()
        self.assertEqual((quality["children"], quality["unwatched"]), (1, 0))

    def test_started_again_and_merged(self):
        session = _flameprof.Session(everybody=True)
        other = _flameprof.Session(everybody=True)
        took = []
        for one in session, session, other:
            one.start()
            computes(0.05, took)
            one.stop()
        session.merge(other)
        once = seconds(session, "busy")
        self.assertSeen(once, sum(took), session)
        for _ in range(3):
            session.merge(session)
        self.assertAlmostEqual(seconds(session, "busy") / once, 8, 2)
        self.assertEqual(session.quality()["samples"] % 2, 0)

    def test_all_at_once(self):
        def turns():
            while time.monotonic() < until:
                for call in session.start, session.pause, session.resume, session.snapshot:
                    try:
                        call()
                    except RuntimeError as error:
                        said.add(str(error))
                try:
                    session.stop()
                    session.tally()
                except RuntimeError as error:
                    said.add(str(error))

        said = set()
        session = _flameprof.Session(everybody=True, interval=0.0005)
        until = time.monotonic() + 1
        threads = [started(turns) for _ in range(4)]
        for thread in threads:
            thread.join()
        expected = ("the Session is running", "the Session is not running", "another thread",
                    "the Session has not been stopped", "the Session is being drawn")  # fmt: skip
        self.assertEqual([text for text in said if not text.startswith(expected)], [])

    def test_snapshot(self):
        session = _flameprof.Session(everybody=True)
        took = []
        session.start()
        computes(0.1, took)
        first = session.snapshot()
        computes(0.1, took)
        second = session.snapshot()
        session.pause()
        third = session.snapshot()
        busy(0.3)
        session.stop()
        self.assertSeen(seconds(first, "busy"), took[0], first)
        for one in second, third, session:
            self.assertSeen(seconds(one, "busy"), sum(took), one)
        self.assertEqual(seconds(session.snapshot(), "busy"), seconds(session, "busy"))
        self.assertIn("nothing to draw", _flameprof.Session(everybody=True).snapshot().svg())
        with self.assertRaises(RuntimeError):
            first.stop()

    def test_of_one_thread_there_is_none_while_it_runs(self):
        session = _flameprof.Session()
        session.start()
        with self.assertRaises(RuntimeError):
            session.snapshot()
        busy(0.03)
        session.stop()
        self.assertGreater(seconds(session.snapshot(), "busy"), 0.01)

    def test_options(self):
        for wrong in ({"threads": True}, {"children": True}, {"interval": 10.1}, {"interval": 0}):
            with self.assertRaises(ValueError):
                _flameprof.Session(everybody=True, **wrong)
        _flameprof.Session(everybody=True, interval=10)
        with self.assertRaises(ValueError):
            _flameprof.Session(interval=10)


class Signals(Measuring):
    ALL = set(signal.valid_signals())

    def computing(self, admitted):
        """The samples missed of a thread that blocks all signals, and its mask after."""
        masks = []

        def work():
            signal.pthread_sigmask(signal.SIG_BLOCK, self.ALL)
            masks.append(signal.pthread_sigmask(signal.SIG_BLOCK, []))
            go.wait()
            if admitted:
                _flameprof.admit()
            busy(0.3)
            done.set()
            end.wait()
            _flameprof.admit()
            masks.append(signal.pthread_sigmask(signal.SIG_BLOCK, []))

        go, done, end = threading.Event(), threading.Event(), threading.Event()
        thread = started(work)

        def meanwhile():
            go.set()
            done.wait()

        session = watched(meanwhile)
        end.set()
        thread.join()
        self.assertEqual(masks[0], masks[1])
        return session.quality()["missed"]

    def test_a_thread_that_blocks_them(self):
        # On a busy machine many are missed either way.
        tries = ((self.computing(False), self.computing(True)) for _ in range(6))
        self.assertTrue(any(blocked > 2 * admitted + 20 for blocked, admitted in tries))

    def test_the_mask_of_who_starts(self):
        before = signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGURG])
        try:
            blocked = signal.pthread_sigmask(signal.SIG_BLOCK, [])
            watched(lambda: busy(0.01))
            self.assertEqual(signal.pthread_sigmask(signal.SIG_BLOCK, []), blocked)
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, before)


class WhatIsLeft(Sessions):
    def test_nothing(self):
        def once():
            watched(lambda: [started(busy, 0.003).join() for _ in range(3)])

        once()
        before = len(os.listdir("/proc/self/fd"))
        for _ in range(100):  # more than there are slots for sessions
            once()
        self.assertEqual(len(os.listdir("/proc/self/fd")), before)
        for name in "_start_new_thread", "_start_joinable_thread":
            function = getattr(threading, name, None)
            self.assertNotIn("flameprof", getattr(function, "__name__", ""))

    def test_a_fork_in_the_middle(self):
        session = _flameprof.Session(everybody=True)
        took = []
        session.start()
        computes(0.05, took)
        child = os.fork()
        if child == 0:
            signal.alarm(30)
            try:
                started(busy, 0.01).join()
                session.stop()
                again = watched(lambda: busy(0.05))
                os._exit(0 if seconds(again, "busy") > 0.03 else 4)
            except BaseException:
                os._exit(5)
        self.assertEqual(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), 0)
        computes(0.05, took)
        session.stop()
        self.assertSeen(seconds(session, "busy"), sum(took), session)

    def test_the_interpreter_ends_while_it_runs(self):
        run(
            """
            import threading, time, _flameprof
            def forever():
                while True:
                    sum(range(100))
            for _ in range(3):
                threading.Thread(target=forever, daemon=True).start()
            session = _flameprof.Session(everybody=True, interval=0.0001)
            session.start()
            time.sleep(0.1)
            """
        )

    def test_threads_that_end_while_they_are_sampled(self):
        run(
            """
            import _thread, random, time, _flameprof
            def busy(seconds):
                end = time.perf_counter() + seconds
                while time.perf_counter() < end:
                    pass
            session = _flameprof.Session(everybody=True, interval=0.00005)
            end = time.perf_counter() + 4
            session.start()
            while time.perf_counter() < end:
                for _ in range(30):
                    _thread.start_new_thread(busy, (random.random() * 0.0012,))
                    busy(random.random() * 0.0003)
                if random.random() < 0.2:
                    session.snapshot()
            session.stop()
            """,
            PYTHONMALLOC="debug",
        )


class Idle(Sessions, Measuring):
    @classmethod
    def setUpClass(cls):
        def serves(jobs):
            while jobs.get() is not None:
                computes(0.1, cls.took)

        cls.took = []
        jobs = queue.Queue()
        thread = started(serves, jobs, name="worker")

        def work():
            jobs.put(1)
            time.sleep(0.4)

        cls.session = watched(work)
        jobs.put(None)
        thread.join()

    def test_waits_for_work_are_left_out(self):
        found = roots(self.session)
        self.assertSeen(found["[thread worker]"], self.took[0], self.session)
        self.assertGreater(all_roots(self.session)["[thread worker]"], 0.25)
        tally, all_of_it = self.session.tally(), self.session.tally(idle=False)
        self.assertEqual(tally["time_ns"] + tally["idle_ns"], all_of_it["time_ns"])
        self.assertEqual(tally["samples"] + tally["idle_samples"], all_of_it["samples"])
        self.assertLess(tally["stacks"], all_of_it["stacks"])
        self.assertIn("idle, left out", self.session.svg())
        self.assertNotIn("idle, left out", self.session.svg(idle=False))

    def test_a_list_of_one_s_own(self):
        for pattern in "busy", "busy (watching.py)", "busy (sampler/watching.py)":
            names = {row[0] for row in self.session.functions(idle=[pattern])}
            self.assertNotIn("busy", names)
        for pattern in "usy", "busy (atching.py)", "busy (else.py)", "", "busy (":
            names = {row[0] for row in self.session.functions(idle=[pattern])}
            self.assertIn("busy", names)
        more = [*_flameprof.IDLE, "busy"]
        left = sum(int(line.rsplit(" ", 1)[1])
                   for line in self.session.folded(idle=more).splitlines()
                   if line.startswith("[thread worker]"))
        self.assertLess(left / 1e6, 0.5 * self.took[0])  # a sample or two beside it

    def test_what_is_no_list(self):
        for wrong in "busy", 3, [b"busy"], [None]:
            with self.assertRaises(TypeError):
                self.session.functions(idle=wrong)

    def test_functions_by_another_name(self):
        def by_file(name, file, line):
            return os.path.basename(file)

        rows = {row[0]: row for row in self.session.functions(idle=False, name=by_file)}
        tally = self.session.tally(idle=False)
        # Inside its own calls it counts once.
        for name in "threading.py", "watching.py", "test_everybody.py":
            self.assertLessEqual(rows[name][4], tally["time_ns"])
        self.assertEqual(sum(row[3] for row in rows.values()), tally["time_ns"])
        self.assertIn("[thread worker]", rows)
        with self.assertRaises(ZeroDivisionError):
            self.session.functions(name=lambda *row: 1 / 0)
        with self.assertRaises(TypeError):
            self.session.functions(name=lambda *row: 5)


if __name__ == "__main__":
    unittest.main()
