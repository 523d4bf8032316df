"""Every clock: what the request ran, and why it did not."""

import ctypes
import os
import pathlib
import socket
import threading
import time
import unittest

from watching import Measuring, busy, profiled, seconds, weights


def burn(cpu_seconds):
    """CPU time, however long the machine takes to give it."""
    end = time.thread_time() + cpu_seconds
    while time.thread_time() < end:
        pass


def nap(wall_seconds):
    time.sleep(wall_seconds)


def cpu_of(part, *arguments):
    """What it used: more than it wanted to where a host takes the CPU from a
    virtual machine, whose clocks go on."""
    before = time.thread_time()
    part(*arguments)
    return time.thread_time() - before


def wait_for(lock):
    lock.acquire(timeout=0.2)


def read_slowly(sock):
    while sock.recv(1 << 16):
        time.sleep(0.0001)


def send(sock, data):
    return sock.send(data)


def descriptors(thread="self"):
    """What that thread has open, but for the list itself."""
    folder = pathlib.Path(f"/proc/self/task/{thread}/fd" if thread != "self" else "/proc/self/fd")
    found = []
    for entry in folder.iterdir():
        try:
            found.append(os.readlink(entry))
        except FileNotFoundError:
            pass
    return sorted(found)


def ticker():
    for task in pathlib.Path("/proc/self/task").iterdir():
        if (task / "comm").read_text() == "flameprof\n":
            return task.name
    raise AssertionError("there is no such thread")


def all_of(session, clock):
    return sum(weights(session, clock).values()) / 1e6


class Clocks(Measuring):
    def test_the_application_has_no_descriptor_of_ours(self):
        """So it can neither run out of them by us nor close ours."""

        def work():
            nap(0.05)
            seen.append(descriptors())
            seen.append(descriptors(ticker()))
            nap(0.05)

        before, seen = descriptors(), []
        session = profiled(work)
        self.assertEqual(seen[0], before)
        self.assertTrue(seen[1] and all(name.endswith("/syscall") for name in seen[1]), seen[1])
        self.assertTrue(session.quality()["gil_wait_known"])
        self.assertGreater(seconds(session, "nap"), 0.08)

    def test_computing_and_waiting(self):
        burning, napping = [], []

        def work():
            for _ in range(30):
                burning.append(cpu_of(burn, 0.01))
                napping.append(cpu_of(nap, 0.01))

        session = profiled(work)
        self.assertAlmostEqual(seconds(session, "burn", "cpu"), sum(burning), delta=0.01)
        self.assertAlmostEqual(seconds(session, "nap", "cpu"), sum(napping), delta=0.01)
        self.assertAlmostEqual(
            seconds(session, "nap", "offcpu"), seconds(session, "nap"), delta=0.02
        )

    def test_cpu_time_is_exact_in_sum(self):
        before = time.thread_time()
        session = profiled(lambda: (burn(0.2), nap(0.1)))
        after = time.thread_time()
        used = session.quality()["cpu_ns"] / 1e9
        self.assertAlmostEqual(used, after - before, delta=0.005)
        self.assertAlmostEqual(all_of(session, "cpu"), used, delta=0.001)

    def test_wall_is_what_runs_and_what_does_not(self):
        session = profiled(lambda: (burn(0.3), nap(0.3)))
        running = all_of(session, "wall") - all_of(session, "offcpu")
        # By the state at each sample: a busy machine makes that coarse.
        self.assertAlmostEqual(running, session.quality()["cpu_ns"] / 1e9, delta=0.12)

    def test_sends_are_not_cut_short(self):
        """The kernel copies: running, but not in Python, so it gets no signal."""
        data, sent = bytes(4 << 20), []
        ours, theirs = socket.socketpair()
        with ours, theirs:
            reader = threading.Thread(target=read_slowly, args=(theirs,))
            reader.start()
            session = profiled(lambda: sent.extend(send(ours, data) for _ in range(40)))
            ours.shutdown(socket.SHUT_WR)
            reader.join()
        self.assertGreater(seconds(session, "send"), 0.1)
        self.assertLess(sum(count < len(data) for count in sent), 10)

    def test_a_lock_is_not_the_gil(self):
        held = threading.Lock()
        held.acquire()
        session = profiled(lambda: wait_for(held))
        self.assertGreater(seconds(session, "wait_for", "offcpu"), 0.18)
        self.assertLess(all_of(session, "gil"), 0.01)

    def test_waiting_for_the_gil(self):
        stop = threading.Event()

        def others():
            while not stop.is_set():
                busy(0.001)

        threads = [threading.Thread(target=others) for _ in range(3)]
        for thread in threads:
            thread.start()
        try:
            burning = []
            session = profiled(lambda: (burning.append(cpu_of(burn, 0.1)), nap(0.1)))
        finally:
            stop.set()
            for thread in threads:
                thread.join()
        self.assertTrue(session.quality()["gil_wait_known"])
        waited = seconds(session, "burn", "gil")
        self.assertGreater(waited, 0.1)
        self.assertLessEqual(waited, seconds(session, "burn", "offcpu"))
        self.assertAlmostEqual(seconds(session, "burn", "cpu"), burning[0], delta=0.01)

    def test_unknown_clocks_are_refused(self):
        session = profiled(lambda: None)
        with self.assertRaisesRegex(ValueError, "wall, cpu, offcpu and gil"):
            session.folded(clock="cpuu")
        with self.assertRaises(TypeError):
            session.folded("cpu")

    def test_every_format_with_the_options_of_the_picture(self):
        session = profiled(lambda: burn(0.05))
        folded = session.render("folded", clock="cpu")
        self.assertEqual(folded.decode(), session.folded(clock="cpu"))
        self.assertEqual(session.render("pprof")[:2], b"\x1f\x8b")
        picture = session.svg(title="<a title>", width=640, inverted=True, smallest=2.5)
        self.assertIn("&lt;a title&gt;", picture)
        self.assertIn('width="640"', picture)
        for wrong in ({"width": 3}, {"colours": "pink"}, {"inverted": 2}, {"nonsense": 1}):
            (name, value), = wrong.items()
            with self.assertRaisesRegex(ValueError, f"{name}={value!r}: "):
                session.svg(**wrong)
        self.assertEqual(profiled(lambda: None).folded(clock="gil"), "")
        with self.assertRaisesRegex(ValueError, "svg, folded, png"):
            session.render("gif")


@unittest.skipUnless(os.getuid() == 0, "SKIPPED: only root can drop root")
class WhoHasDroppedRoot(Measuring):
    """As uWSGI with uid=: such a process may not read most of its own /proc."""

    def run_undumpable(self, work):
        """Whether work() is true there."""
        child = os.fork()
        if child == 0:
            os._exit(self.in_child(work))
        status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        if status not in (0, 1):
            raise RuntimeError(f"it ended with {status}")
        return status == 0

    @staticmethod
    def in_child(work):
        try:
            os.setgid(65534)
            os.setuid(65534)
            dumpable = ctypes.CDLL(None).prctl(3, 0, 0, 0, 0)
            return 0 if dumpable != 1 and work() else 1
        except BaseException:
            return 2

    def test_waiting_and_computing_are_told_apart(self):
        def work():
            burning = []
            session = profiled(lambda: (burning.append(cpu_of(burn, 0.1)), nap(0.1)))
            quality = session.quality()
            return (
                not quality["gil_wait_known"]
                and quality["runnable_known"]
                and seconds(session, "nap", "offcpu") > 0.09
                and abs(seconds(session, "burn", "cpu") - burning[0]) < 0.01
                and all_of(session, "gil") == 0
            )

        self.assertTrue(self.run_undumpable(work))


if __name__ == "__main__":
    unittest.main()
