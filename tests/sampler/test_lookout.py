"""The lookout: requests that have got old are sampled, and the others pay nothing."""

import os
import pathlib
import subprocess
import sys
import textwrap
import unittest

from watching import Measuring

HERE = pathlib.Path(__file__).resolve().parent


class Lookout(unittest.TestCase):
    def run_alone(self, code):
        """In a process of its own; what it asserts is what is tested."""
        result = subprocess.run(
            [sys.executable, "-B", "-c", "from looking import *\n" + textwrap.dedent(code)],
            cwd=HERE,
            env={**os.environ, "PYTHONPATH": str(HERE)},
            capture_output=True,
            text=True,
            timeout=120,
        )
        said = result.stdout + result.stderr
        if result.returncode != 0 and "AssertionError" not in said:
            raise RuntimeError(f"it ended with {result.returncode}: {said}")
        self.assertEqual(result.returncode, 0, said)


class WhatItSees(Lookout, Measuring):
    def test_a_slow_request(self):
        self.run_alone("""
            def sleeps(): time.sleep(0.3)
            def computes(): busy(0.4)

            assert begin()
            begun = time.perf_counter()
            sleeps(); slept = time.perf_counter() - begun
            computes(); took = time.perf_counter() - begun
            seen = end()
            assert seen.had == 1 and seen.interval == 0.02
            assert abs(seen.wall - took) < 0.01, seen.wall
            assert abs(seen.under("sleeps") - slept) < 0.06, seen.places
            assert abs(seen.under("computes") - (took - slept)) < 0.06, seen.places
            assert 10 <= seen.samples <= 70, seen.samples
        """)

    def test_it_is_sampled_finer_once_it_is_slow(self):
        self.run_alone("""
            def sample(slow):
                begin(slow=slow)
                time.sleep(0.6)
                return end().samples

            coarse, fine = sample(60), sample(0.3)
            assert 12 <= coarse <= 50, coarse
            assert fine > coarse + 100, (coarse, fine)
        """)

    def test_cpu_time(self):
        self.run_alone("""
            used = time.thread_time()
            busy(0.2)  # before it began: not its own
            begin()
            used = time.thread_time()
            time.sleep(0.1)
            busy(0.3)
            used = time.thread_time() - used
            seen = end()
            assert abs(seen.cpu - used) < 0.03, (seen.cpu, used)
        """)

    def test_frames_below_its_beginning_are_not_part(self):
        self.run_alone("""
            def server():
                library.flame_test_begin(INTERVAL, 60, 0.001, 60)
                application()

            def other_part_of_the_server():
                library.flame_test_enter_here()
                application()

            def application(): busy(0.1)

            server()
            other_part_of_the_server()
            seen = end()
            # Between the two calls neither is known; one sample may fall there.
            for cut in [names for names in seen.places if "[cut]" in names]:
                del seen.places[cut]
            assert "server" not in str(seen.places), seen.places
            assert seen.under("application") > 0.15, seen.places
        """)

    def test_all_frames_of_a_server_in_c(self):
        self.run_alone("""
            def outer():
                assert library.flame_test_begin_at_home(0.02)
                busy(0.2)
                return end()
            seen = outer()
            assert seen.under("outer") == seen.under("<module>") > 0.15, seen.places
        """)

    def test_one_at_a_time_on_each_thread(self):
        self.run_alone("""
            assert begin()
            assert not begin(), "one in another"
            assert end().had == 0
            assert begin()
            end()
        """)

    def test_it_ends_by_itself(self):
        self.run_alone("""
            begin(most=0.2)
            time.sleep(0.6)
            seen = end()
            assert 0.15 < seen.wall < 0.3, seen.wall
        """)

    def test_one_without_samples_has_its_duration(self):
        self.run_alone("""
            begin()
            time.sleep(0.003)
            seen = end()
            assert seen.had == 0 and seen.samples == 0 and not sum(seen.places.values())
            assert 0.003 <= seen.wall < 0.1, seen.wall
        """)


class WhatItCosts(Lookout):
    def test_few_quick_requests_wake_nobody(self):
        self.run_alone("""
            begin(); end()
            time.sleep(0.1)
            before = turns("flameprof-look"), turns("flameprof")
            assert min(before) > 0, before
            for _ in range(20):
                begin(); assert end(keep=False).had == 0
                time.sleep(0.01)
            assert (turns("flameprof-look"), turns("flameprof")) == before
        """)

    def test_nothing_runs_while_no_request_comes(self):
        self.run_alone("""
            begin(slow=0.05)
            time.sleep(0.2)
            assert end().samples > 20
            library.flame_test_spin(200000, 0.02)
            time.sleep(0.2)  # the last look, which finds nothing more to do
            before = turns("flameprof-look"), turns("flameprof")
            time.sleep(1)
            assert (turns("flameprof-look"), turns("flameprof")) == before
        """)

    def test_many_requests_share_a_look_per_interval(self):
        self.run_alone("""
            begun, before = time.perf_counter(), turns("flameprof-look")
            took = library.flame_test_spin(2000000, 0.02)
            intervals = (time.perf_counter() - begun) / 0.02
            looks = turns("flameprof-look") - before
            assert looks <= 1.2 * intervals + 5, (looks, intervals)
            assert took / 2000000 < 2e-6, took
        """)

    def test_who_waits_is_not_woken(self):
        self.run_alone("""
            def switches():
                with open("/proc/thread-self/status") as status:
                    return int(status.read().split("voluntary_ctxt_switches:")[1].split()[0])

            begin(slow=0.05)
            time.sleep(0.1)
            before = switches()
            time.sleep(0.5)
            assert switches() - before <= 2, switches() - before
            assert end().samples > 200
        """)

    def test_the_application_s_signal_that_its_thread_has_comes_through(self):
        """It writes to a descriptor of the application's there."""
        self.run_alone("""
            import signal
            came, (reads, writes) = [], os.pipe()
            os.set_blocking(reads, False)
            os.set_blocking(writes, False)
            signal.set_wakeup_fd(writes)
            signal.signal(signal.SIGURG, lambda *_: came.append(1))
            begin(); end()
            signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGURG})
            os.kill(os.getpid(), signal.SIGURG)
            until = time.monotonic() + 10
            while not came and time.monotonic() < until:
                time.sleep(0.01)
            assert came == [1], came
            assert os.read(reads, 9) == bytes([signal.SIGURG])
        """)

    def test_memory_is_used_again(self):
        self.run_alone("""
            def resident():
                with open("/proc/self/statm") as statm:
                    return int(statm.read().split()[1]) * 4096

            def round(count):
                for number in range(count):
                    begin(interval=0.001); busy(0.004); end(keep=number % 2)

            round(400)
            before, descriptors = resident(), len(os.listdir("/proc/self/fd"))
            round(400)
            assert resident() - before < 1 << 20, resident() - before
            assert len(os.listdir("/proc/self/fd")) == descriptors
        """)


class ManyThreads(Lookout):
    def test_more_at_once_than_there_is_room_for(self):
        self.run_alone("""
            import threading
            THREADS, ROOM = 20, 16
            had, together = [], threading.Barrier(THREADS)

            def request():
                together.wait()
                begin()
                time.sleep(0.3)
                together.wait()
                had.append(end().had)

            threads = [threading.Thread(target=request) for _ in range(THREADS)]
            for thread in threads: thread.start()
            for thread in threads: thread.join()
            # Those that were refused may have found room when the first had ended.
            assert ROOM <= sum(had), had
            assert library.flame_test_unwatched() == THREADS - ROOM
        """)

    def test_threads_that_come_and_go(self):
        """More than there are places for; every third leaves its request open."""
        self.run_alone("""
            import threading
            def request(number):
                assert begin(interval=0.001)
                if number % 50 == 0: time.sleep(0.01)
                if number % 3: end(keep=False)

            for number in range(1200):
                thread = threading.Thread(target=request, args=(number,))
                thread.start(); thread.join()
            begin(interval=0.001); busy(0.05)
            assert end().had == 1
        """)

    def test_requests_about_as_long_as_the_interval(self):
        """Claimed at the very moment at which they end."""
        self.run_alone("""
            import random, threading
            seconds, counts = time.perf_counter() + 4, [0, 0]

            def serve(seed):
                chance = random.Random(seed)
                while time.perf_counter() < seconds:
                    assert begin(interval=0.001, slow=0.002, finer=0.0002)
                    time.sleep(chance.uniform(0, 0.003))
                    seen = end(keep=chance.random() < 0.5)
                    assert seen.had >= 0
                    counts[seen.had] += 1

            threads = [threading.Thread(target=serve, args=(seed,)) for seed in range(8)]
            for thread in threads: thread.start()
            for thread in threads: thread.join()
            assert min(counts) > 20, counts
        """)

    def test_a_fork_in_a_request(self):
        self.run_alone("""
            begin()
            busy(0.1)
            child = os.fork()
            if child == 0:
                busy(0.1)
                assert end().had == -1, "it ended in the parent"
                tasks = len(os.listdir("/proc/self/task"))
                begin()
                busy(0.2)
                seen = end()
                os._exit(tasks != 1 or seen.had != 1 or seen.under("busy") < 0.1)
            assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
            busy(0.1)
            seen = end()
            assert seen.had == 1 and seen.under("busy") > 0.15, seen.places
        """)

    def test_many_forks(self):
        self.run_alone("""
            import threading
            over = threading.Event()

            def serve():
                while not over.is_set():
                    begin(interval=0.001); busy(0.003); end(keep=False)

            threads = [threading.Thread(target=serve, daemon=True) for _ in range(3)]
            for thread in threads: thread.start()
            for _ in range(25):
                child = os.fork()
                if child == 0:
                    begin(interval=0.001); busy(0.3)
                    os._exit(end().had != 1)
                assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
            over.set()
            for thread in threads: thread.join()
        """)

    def test_a_handler_that_calls_the_one_before_it(self):
        self.run_alone("""
            import signal
            def slow():
                begin(); busy(0.1); return end()

            assert slow().had == 1
            library.flame_test_chain()  # on top of ours, until the next one is slow
            os.kill(os.getpid(), signal.SIGURG)
            assert library.flame_test_chained() == 1
            assert slow().had == 1
            before = library.flame_test_chained()
            for count in range(3):
                os.kill(os.getpid(), signal.SIGURG)
            assert library.flame_test_chained() == before + 3
            assert slow().samples > 2
        """)

    def test_an_application_that_ignores_the_signal(self):
        self.run_alone("""
            import signal
            def slow():
                begin(); time.sleep(0.3); return end()

            for handler in (signal.SIG_IGN, signal.SIG_DFL):
                assert slow().had == 1
                time.sleep(0.1)
                signal.signal(signal.SIGURG, handler)
                slow()  # nobody is woken
                assert slow().had == 1
        """)

    def test_a_thread_that_blocks_signals(self):
        self.run_alone("""
            import signal, threading
            had = []

            def serve():
                signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
                begin(interval=0.005)
                busy(0.3)
                had.append(end())
                blocked = signal.pthread_sigmask(signal.SIG_BLOCK, [])
                had.append(signal.valid_signals() - blocked - {signal.SIGKILL, signal.SIGSTOP})

            thread = threading.Thread(target=serve)
            thread.start(); thread.join()
            assert had[0].samples > 10 and had[0].under("busy") > 0.25, had[0].samples
            assert had[1] == {signal.SIGURG, signal.SIGSEGV, signal.SIGBUS}, had[1]
        """)


if __name__ == "__main__":
    unittest.main()
