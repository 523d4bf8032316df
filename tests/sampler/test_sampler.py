"""The sampler under real Python: what it sees, what it must not disturb."""

import gc
import os
import signal
import threading
import time
import unittest
import zlib

import _flameprof
from watching import Measuring, Seeing, blind, busy, measured, profiled, share, until, weights

BLOCK = bytes(range(256)) * 2000


def seventy():
    busy(0.7)


def thirty():
    busy(0.3)


def compressing(seconds):
    end = time.perf_counter() + seconds
    while time.perf_counter() < end:
        zlib.compress(BLOCK)


class WhatItSees(Measuring):
    def assert_share(self, session, name, truth, delta):
        self.assertAlmostEqual(share(session, name), truth, delta=delta + blind(session))

    def test_shares_of_running_code(self):
        session, truth = measured(seventy, thirty)
        self.assert_share(session, "seventy", truth[0], 0.03)
        self.assert_share(session, "thirty", truth[1], 0.03)

    def test_sleep_is_seen_as_time(self):
        session, truth = measured(lambda: time.sleep(0.5), lambda: busy(0.5))
        self.assert_share(session, "busy", truth[1], 0.05)

    def test_time_in_one_c_call(self):
        session, truth = measured(lambda: compressing(1), lambda: busy(1))
        self.assert_share(session, "compressing", truth[0], 0.05)

    def test_off_the_main_thread(self):
        had = []
        thread = threading.Thread(target=lambda: had.extend(measured(seventy, thirty)))
        thread.start()
        thread.join()
        session, truth = had
        self.assert_share(session, "seventy", truth[0], 0.03)

    def test_sum_is_the_duration(self):
        clock = []

        def work():
            clock.append(time.perf_counter())
            seventy()
            clock.append(time.perf_counter())

        begun = time.perf_counter()
        session = profiled(work)
        outer = time.perf_counter() - begun
        total = sum(weights(session).values()) / 1e6
        self.assertAlmostEqual(total / (session.quality()["duration_ns"] / 1e9), 1, delta=0.01)
        # On a busy machine starting and stopping take their time, too.
        self.assertGreater(total, (clock[1] - clock[0]) * 0.99)
        self.assertLess(total, outer * 1.01)

    def test_frames_below_the_start_are_not_part(self):
        session = profiled(thirty)
        for names in weights(session):
            self.assertNotIn("test_frames_below_the_start_are_not_part", names)
            self.assertNotIn("profiled", names)

    def test_only_a_request_s_root_is_called_so(self):
        for options, root in (({}, "[all]"), ({"request": True}, "[request]")):
            session = _flameprof.Session(**options)
            session.start()
            time.sleep(0.05)
            session.stop()
            self.assertTrue(session.folded().startswith(root + " "), session.folded())

    def test_a_background_thread_is_absent(self):
        stop = threading.Event()

        def background():
            while not stop.is_set():
                busy(0.01)

        thread = threading.Thread(target=background)
        thread.start()
        try:
            session = profiled(lambda: time.sleep(0.3))
        finally:
            stop.set()
            thread.join()
        self.assertFalse([n for n in weights(session) if "background" in n])

    def test_garbage_collection_is_a_frame_of_its_own(self):
        kept = [[] for _ in range(200000)]
        session = profiled(lambda: [gc.collect() for _ in range(20)])
        del kept
        marked = sum(w for s, w in weights(session).items() if s[-1] == "[garbage collection]")
        self.assertGreater(marked / sum(weights(session).values()), 0.8)

    def test_another_thread_s_garbage_collection_is_not_ours(self):
        kept = [[] for _ in range(200000)]
        stop = threading.Event()

        def collecting():
            while not stop.is_set():
                gc.collect()

        thread = threading.Thread(target=collecting)
        thread.start()
        try:
            session = profiled(lambda: compressing(0.5))
        finally:
            stop.set()
            thread.join()
        del kept
        self.assertEqual([s for s in weights(session) if s[-1] == "[garbage collection]"], [])

    def test_two_at_once_are_disjoint(self):
        sessions = {}
        work = {"seventy": seventy, "thirty": thirty}

        def run(name):
            sessions[name] = profiled(work[name])

        threads = [threading.Thread(target=run, args=(name,)) for name in work]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        self.assertEqual(share(sessions["seventy"], "thirty"), 0)
        self.assertEqual(share(sessions["thirty"], "seventy"), 0)
        self.assertGreater(share(sessions["seventy"], "seventy"), 0.95)

    def test_started_in_a_function_that_has_returned(self):
        """Everything is above its caller then; with a greenlet module, too."""

        def begin(depth):
            if depth:
                begin(depth - 1)
            else:
                session.start()

        def work():
            begin(3)
            deeper()

        def deeper():
            busy(0.2)

        session = _flameprof.Session()
        work()
        session.stop()
        quality = session.quality()
        self.assertGreater(quality["samples"] + quality["missed"], 100)
        self.assertEqual(quality["cut"], 0)
        self.assertGreater(share(session, "busy"), 0.9)
        self.assertTrue(all("work" not in name for stack in weights(session) for name in stack))

    def test_interval_is_kept(self):
        def due(interval):  # per second: on a busy machine it takes longer
            quality = profiled(seventy, interval=interval).quality()
            return (quality["samples"] + quality["missed"]) / quality["duration_ns"]

        self.assertAlmostEqual(due(0.0005) / due(0.002), 4, delta=0.6)

    def test_samples_that_were_not_had_are_counted(self):
        processors = os.sched_getaffinity(0)

        def work():  # the ticker does not get the processor again before the end
            os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(1))
            busy(0.2)

        os.sched_setaffinity(0, {min(processors)})
        try:
            quality = profiled(work).quality()
        except PermissionError:
            self.skipTest("only root may take the processor away from the ticker")
        finally:
            os.sched_setscheduler(0, os.SCHED_OTHER, os.sched_param(0))
            os.sched_setaffinity(0, processors)
        self.assertGreater(quality["missed"], 50)
        self.assertAlmostEqual(quality["samples"] + quality["missed"], 200, delta=20)

    def test_recursion_deeper_than_the_cap_keeps_its_root(self):
        import sys

        def deep(n):
            if n == 0:
                return busy(0.6)
            return deep(n - 1)

        before = sys.getrecursionlimit()
        sys.setrecursionlimit(12000)
        sessions = []
        threading.stack_size(256 << 20)
        try:
            thread = threading.Thread(
                target=lambda: sessions.append(profiled(lambda: deep(6000)))
            )
            thread.start()
            thread.join()
        finally:
            threading.stack_size(0)
            sys.setrecursionlimit(before)
        # Few on a busy machine: the reader of so many frames needs its time.
        self.assertGreater(sessions[0].quality()["cut"], 5)
        self.assertGreater(share(sessions[0], "[deeper frames cut]"), 0.6)


class WhatItLeavesAlone(Seeing):
    def test_mask_handlers_threads_and_descriptors(self):
        def state():
            with open("/proc/self/status") as status:
                lines = dict(line.split(":", 1) for line in status)
            # Ours stays, inert; 32 and 33 are glibc's with the first thread.
            others = ~(1 << (signal.SIGURG - 1) | 3 << 31)
            return (
                int(lines["SigBlk"], 16) & others,
                int(lines["SigIgn"], 16) & others,
                int(lines["SigCgt"], 16) & others,
                len(os.listdir("/proc/self/task")),
                len(os.listdir("/proc/self/fd")),
            )

        ends = time.monotonic() + 5
        while len(os.listdir("/proc/self/task")) > threading.active_count():
            self.assertLess(time.monotonic(), ends, "a thread of an earlier test is there")
            time.sleep(0.01)
        before = state()
        for _ in range(20):
            profiled(lambda: busy(0.01), interval=0.0001)
        until(lambda: state() == before, patience=5)  # a joined thread is listed for a moment
        self.assertEqual(state(), before)

    def test_blocked_signals_are_let_through_and_blocked_again(self):
        blocked = {signal.SIGURG, signal.SIGSEGV, signal.SIGUSR1}
        signal.pthread_sigmask(signal.SIG_BLOCK, blocked)
        try:
            session = profiled(thirty)
            now = signal.pthread_sigmask(signal.SIG_BLOCK, [])
        finally:
            signal.pthread_sigmask(signal.SIG_UNBLOCK, blocked)
        self.assertTrue(blocked <= now)
        self.assert_more_than(100, session.quality()["samples"])

    def test_the_application_s_own_sigurg_arrives(self):
        got = []
        before = signal.signal(signal.SIGURG, lambda *_: got.append(1))
        try:
            profiled(lambda: (os.kill(os.getpid(), signal.SIGURG), thirty()))
        finally:
            signal.signal(signal.SIGURG, before)
        self.assertEqual(len(got), 1)

    def test_raising_leaves_nothing_running(self):
        tasks = len(os.listdir("/proc/self/task"))
        with self.assertRaises(ZeroDivisionError):
            profiled(lambda: 1 // 0)
        self.assertTrue(until(lambda: len(os.listdir("/proc/self/task")) <= tasks, patience=5))

    def test_a_fork_in_the_middle(self):
        def work():
            child = os.fork()
            if child == 0:
                busy(0.05)
                os._exit(len(os.listdir("/proc/self/task")))
            status = os.waitpid(child, 0)[1]
            self.assertEqual(os.waitstatus_to_exitcode(status), 1)
            busy(0.6)

        self.assertGreater(share(profiled(work), "busy"), 0.5)


class Parameters(unittest.TestCase):
    def test_out_of_range_is_refused(self):
        for interval in (0, -1, 1e-9, 1e9, float("nan"), float("inf")):
            with self.assertRaises(ValueError, msg=interval):
                _flameprof.Session(interval=interval).start()


if __name__ == "__main__":
    unittest.main()
