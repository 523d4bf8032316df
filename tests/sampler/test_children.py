"""Threads and greenlets that a watched stretch starts."""

import _thread
import concurrent.futures
import ctypes
import gc
import os
import subprocess
import sys
import textwrap
import threading
import time
import unittest
import weakref

import _flameprof
from watching import Measuring, blind, busy, profiled, seconds, weights

try:
    import gevent
    import gevent.pool
    import greenlet
except ImportError:
    gevent = None


def pause(wait):
    wait(0.2)


def roots(session):
    """{root frame: seconds below it}"""
    found = {}
    for names, weight in weights(session).items():
        found[names[0]] = found.get(names[0], 0) + weight / 1e6
    return found


# The collector strikes in the callback of a switch; its finalizer lets another thread
# run, which asks the ticker something.
FINALIZERS = """
    import gc, threading, time
    import _flameprof, greenlet

    class Garbage:
        def __del__(self):
            time.sleep(0.0005)

    def asks():
        while not stop:
            try:
                threading._start_new_thread()
            except TypeError:
                pass

    def deep(levels, function):
        return function() if levels == 0 else deep(levels - 1, function)

    def child():
        parent = greenlet.getcurrent().parent
        while True:
            deep(12, parent.switch)

    stop = []
    gc.collect()
    gc.freeze()
    session = _flameprof.Session(threads=True, children=True)
    session.start()
    thread = threading.Thread(target=asks)
    thread.start()
    other = greenlet.greenlet(child)
    end = time.monotonic() + 1
    turn = 0
    while time.monotonic() < end:
        turn += 1
        gc.disable()
        garbage = Garbage()
        garbage.itself = garbage
        del garbage
        gc.set_threshold(max(1, gc.get_count()[0] + turn % 9))
        gc.enable()
        deep(12, other.switch)
    gc.disable()
    session.stop()
    stop.append(1)
    thread.join()
"""


# With PYTHONMALLOC=debug what was freed is no longer what it was.
ENDING = """
    import _thread, random, time
    import _flameprof

    def busy(seconds):
        end = time.perf_counter() + seconds
        while time.perf_counter() < end:
            pass

    end = time.perf_counter() + 4
    while time.perf_counter() < end:
        session = _flameprof.Session(threads=True, interval=0.00005)
        session.start()
        for _ in range(30):
            _thread.start_new_thread(busy, (random.random() * 0.0012,))
            busy(random.random() * 0.0003)
        session.stop()
"""


def measured_busy(seconds):
    """The CPU time it was: less than asked for on a busy machine."""
    begun = time.thread_time()
    busy(seconds)
    return time.thread_time() - begun


class Threads(Measuring):
    def test_a_thread_is_a_root_of_its_own(self):
        def work():
            thread = threading.Thread(target=busy, args=(0.3,), name="worker; one")
            thread.start()
            thread.join()

        session = profiled(work, threads=True)
        found = roots(session)
        # ";" would end a frame in this format
        label = next(name for name in found if name.startswith("[thread worker"))
        self.assertAlmostEqual(found[label], 0.3, delta=0.1)
        self.assertAlmostEqual(seconds(session, "busy"), found[label], delta=0.05)
        quality = session.quality()
        self.assertEqual((quality["children"], quality["unwatched"]), (1, 0))
        total = sum(weights(session).values()) * 1000
        self.assertAlmostEqual(
            total / (quality["duration_ns"] + quality["beside_ns"]), 1, delta=0.01
        )

    def test_not_asked_for_none_is_seen(self):
        def work():
            thread = threading.Thread(target=busy, args=(0.1,))
            thread.start()
            thread.join()

        session = profiled(work)
        self.assertEqual(seconds(session, "busy"), 0)
        self.assertEqual(session.quality()["children"], 0)

    def test_only_threads_the_watched_one_starts(self):
        go = threading.Event()
        done = threading.Event()

        def stranger():
            go.wait()
            other = threading.Thread(target=busy, args=(0.1,), name="stranger's")
            other.start()
            other.join()
            done.set()

        neighbour = threading.Thread(target=stranger)
        neighbour.start()
        session = profiled(lambda: (go.set(), done.wait()), threads=True)
        neighbour.join()
        self.assertEqual(session.quality()["children"], 0)
        self.assertNotIn("[thread stranger's]", roots(session))

    def test_a_pool(self):
        def work():
            with concurrent.futures.ThreadPoolExecutor(3, "pool") as pool:
                list(pool.map(time.sleep, [0.1] * 6))

        session = profiled(work, threads=True)
        workers = [name for name in roots(session) if name.startswith("[thread pool_")]
        self.assertEqual(len(workers), 3)

    def test_a_thread_of_a_thread(self):
        def outer():
            inner = threading.Thread(target=busy, args=(0.1,), name="inner")
            inner.start()
            inner.join()

        def work():
            thread = threading.Thread(target=outer, name="outer")
            thread.start()
            thread.join()

        found = roots(profiled(work, threads=True))
        self.assertIn("[thread outer]", found)
        self.assertIn("[thread inner]", found)

    def test_one_that_outlives_the_profile(self):
        go = threading.Event()
        threads = []

        def work():
            threads.append(threading.Thread(target=pause, args=(go.wait,), name="late"))
            threads[0].start()
            time.sleep(0.05)

        session = profiled(work, threads=True)
        go.set()
        threads[0].join()
        self.assertLess(roots(session)["[thread late]"], 0.15)

    def test_more_than_there_is_room_for(self):
        def work():
            threads = [threading.Thread(target=time.sleep, args=(0.2,)) for _ in range(70)]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()

        quality = profiled(work, threads=True).quality()
        self.assertEqual(quality["children"] + quality["unwatched"], 70)
        self.assertGreater(quality["children"], 20)

    def test_children_leave_room_for_other_profiles(self):
        def work():
            threads = [threading.Thread(target=time.sleep, args=(0.2,)) for _ in range(32)]
            for thread in threads:
                thread.start()
            time.sleep(0.1)
            for _ in range(12):
                others.append(_flameprof.Session())
                others[-1].start()
            for thread in threads:
                thread.join()

        others = []
        # Each watches every thread.
        session = profiled(
            lambda: profiled(lambda: profiled(work, threads=True), threads=True), threads=True
        )
        for other in others:
            other.stop()
        self.assertGreater(session.quality()["children"], 10)
        self.assertEqual(len(others), 12)

    def test_threads_too_short_to_be_seen_are_counted(self):
        def work():
            threads = [threading.Thread(target=int) for _ in range(5)]
            for thread in threads:
                thread.start()
                thread.join()

        quality = profiled(work, threads=True, interval=0.5).quality()
        self.assertEqual((quality["children"], quality["unwatched"]), (0, 5))

    def test_a_thread_that_cannot_start(self):
        go = threading.Event()
        done = threading.Event()

        def stranger():
            go.wait()
            other = threading.Thread(target=busy, args=(0.1,))
            other.start()
            other.join()
            done.set()

        def work():
            with self.assertRaises(TypeError):
                _thread.start_new_thread()
            go.set()
            done.wait()

        neighbour = threading.Thread(target=stranger)
        neighbour.start()
        quality = profiled(work, threads=True).quality()
        neighbour.join()
        self.assertEqual((quality["children"], quality["unwatched"]), (0, 0))

    def test_a_long_name_is_cut_between_characters(self):
        for shift in "", "a", "ab":

            def work():
                thread = threading.Thread(
                    target=busy, args=(0.02,), name=shift + "\N{EURO SIGN}" * 40
                )
                thread.start()
                thread.join()

            label = next(n for n in roots(profiled(work, threads=True)) if "thread" in n)
            self.assertRegex(label, rf"^\[thread {shift}\N{{EURO SIGN}}+\]$")

    def test_threads_that_end_while_they_are_looked_for(self):
        code = textwrap.dedent(ENDING)
        environ = dict(os.environ, PYTHONMALLOC="debug")
        subprocess.run([sys.executable, "-B", "-c", code], env=environ, check=True, timeout=60)

    def test_a_profile_forgotten_until_the_interpreter_has_ended(self):
        code = '''if True:
            import contextvars, _flameprof
            session = _flameprof.Session(threads=True)
            session.start()
            contextvars.ContextVar("kept").set(session)
            del session
        '''
        subprocess.run([sys.executable, "-B", "-c", code], check=True, timeout=60)

    def test_nothing_is_left_behind(self):
        def work():
            thread = threading.Thread(target=time.sleep, args=(0.01,))
            thread.start()
            thread.join()

        profiled(work, threads=True)
        before = len(os.listdir("/proc/self/fd"))
        for _ in range(100):  # more than there are slots for sessions
            profiled(work, threads=True)
        self.assertEqual(len(os.listdir("/proc/self/fd")), before)


@unittest.skipIf(gevent is None, "SKIPPED: gevent is not installed for this Python")
class Greenlets(Measuring):
    def spawned(self, work, **options):
        """The profile of work() in a greenlet of its own, beside a stranger's."""
        sessions = []

        def stranger():
            for _ in range(20):
                busy(0.005)
                gevent.sleep(0)

        def request():
            sessions.append(profiled(work, **options))

        gevent.joinall([gevent.spawn(request), gevent.spawn(stranger)], raise_error=True)
        return sessions[0]

    def test_a_session_that_outlives_its_thread_keeps_its_greenlet(self):
        """The greenlet module takes back references to it that nobody seems to have."""
        kept = []

        def run():
            session = _flameprof.Session()
            session.start()
            kept.extend([session, weakref.ref(greenlet.getcurrent())])

        thread = threading.Thread(target=run)
        thread.start()
        task = f"/proc/self/task/{thread.native_id}"
        thread.join()
        while os.path.exists(task):
            time.sleep(0.001)
        ctypes.pythonapi.Py_MakePendingCalls()  # What the end of the thread has left to do.
        session, main = kept
        kept.clear()
        self.assertIsNotNone(main())
        del session
        self.assertIsNone(main())

    def test_children_are_roots_of_their_own(self):
        def child():
            used.append(measured_busy(0.05))
            gevent.sleep(0.1)

        def work():
            gevent.joinall([gevent.spawn(child) for _ in range(2)])

        used = []
        session = self.spawned(work, children=True)
        label = "[greenlet Greenlets.test_children_are_roots_of_their_own.<locals>.child]"
        found = roots(session)
        self.assertIn(label, found)
        cpu = seconds(session, "busy", "cpu")
        self.assertAlmostEqual(cpu, sum(used), delta=0.03)
        self.assertEqual(session.quality()["children"], 2)
        self.assertNotIn("stranger", " ".join(" ".join(names) for names in weights(session)))
        waited = seconds(session, label, "offcpu")
        self.assertGreater(waited, 0.2)

    def test_cpu_time_of_one_that_ended_or_waits(self):
        def short():
            busy(0.02)

        def waits():
            busy(0.02)
            gevent.sleep(5)

        def work():
            gevent.spawn(short)
            waiting = gevent.spawn(waits)
            gevent.sleep(0.05)
            busy(0.2)
            spawned.append(waiting)

        spawned = []
        session = profiled(work, children=True)
        for name in "short", "waits":
            label = f"[greenlet Greenlets.test_cpu_time_of_one_that_ended_or_waits.<locals>.{name}]"
            found = [n for n in roots(session) if n in (label, f"[greenlet {name}]")]
            self.assertEqual(len(found), 1)
            self.assertLess(seconds(session, found[0], "cpu"), 0.06)
        quality = session.quality()
        self.assertLess(quality["cpu_ns"] / 1e9, 0.35 + 0.05)
        spawned[0].kill()

    def test_cpu_time_of_others_after_the_deadline(self):
        def request():
            sessions.append(profiled(lambda: gevent.sleep(0.3), max_seconds=0.15))

        sessions = []
        waiting = gevent.spawn(request)
        gevent.sleep(0)
        busy(0.25)
        waiting.join()
        self.assertLess(sessions[0].quality()["cpu_ns"], 0.05e9)

    def test_more_than_there_is_room_for(self):
        def child():
            for _ in range(5):
                gevent.sleep(0)

        def work():
            spawned.extend(gevent.spawn(child) for _ in range(40))
            gevent.joinall(spawned)

        spawned = []
        quality = self.spawned(work, children=True).quality()
        self.assertEqual((quality["children"], quality["unwatched"]), (32, 8))
        gc.collect()
        self.assertEqual(len({sys.getrefcount(one) for one in spawned}), 1)

    @unittest.skipIf(sys.version_info >= (3, 12), "there no allocation runs the collector")
    def test_finalizers_that_run_while_a_stack_is_read(self):
        code = textwrap.dedent(FINALIZERS)
        subprocess.run([sys.executable, "-B", "-c", code], check=True, timeout=60)

    def test_not_asked_for_none_is_seen(self):
        session = self.spawned(lambda: gevent.spawn(busy, 0.05).join())
        self.assertEqual(seconds(session, "busy"), 0)

    def test_a_pool_and_its_children(self):
        used = []

        def grandchild():
            used.append(measured_busy(0.02))

        def child(_):
            gevent.spawn(grandchild).join()

        session = self.spawned(
            lambda: list(gevent.pool.Pool(2).imap(child, range(4))), children=True
        )
        self.assertAlmostEqual(seconds(session, "busy", "cpu"), sum(used), delta=0.03)
        self.assertGreaterEqual(session.quality()["children"], 8)


class Refusals(unittest.TestCase):
    def test_the_session_s_own_arguments(self):
        with self.assertRaises(TypeError):
            _flameprof.Session(thread=True)


if __name__ == "__main__":
    unittest.main()
