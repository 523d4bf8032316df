"""Interpreters, forks, threads and processes that begin and end around a profile, and
servers that forbid it something."""

import concurrent.futures
import errno
import os
import pathlib
import platform
import re
import signal
import subprocess
import sys
import tempfile
import time
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))

from checks import ASK, CRASHES, FOLDED, Checks, functions, phases  # noqa: E402
from measuring import until  # noqa: E402
from server import HERE, Server  # noqa: E402

LIFE = {"app": ("--module", "life", "--need-app")}
GEVENT = {"before": ("--plugin", "python3,gevent_python3")}
MODES = ((("--processes", "1"), {}), (("--threads", "3"), {}),
         (("--gevent", "10", "--gevent-monkey-patch"), GEVENT))


# An application to be changed while it runs; profiled requests last four seconds.
CHANGING = f"""
import sys, time
sys.path.append({str(HERE)!r})
from shapes import PLAIN, work
def first(environ, start_response):
    for _ in range(40 if environ["QUERY_STRING"] else 0):
        work(50)
        time.sleep(0.05)
    start_response("200 OK", PLAIN)
    return [b"first"]
application = first
"""


class Life(Checks):
    BAD = CRASHES + "|Traceback"  # no application raises

    def serve(self, *args, **kwargs):
        server = Server(*args, **{**LIFE, **kwargs})
        self.addCleanup(server.stop)
        return server


class Requests(Life):
    def in_each_mode(self, path, *names, query=FOLDED):
        for mode, more in MODES:
            with self.subTest(mode=mode):
                server = self.serve(*mode, **more)
                for _ in range(3):
                    answer = server.get(f"/{path}?{query}")
                    self.assertEqual(answer.header("X-Flameprof-Status"), "200 OK",
                                     server.log()[-2000:])
                    self.assert_profiled(answer, path, *names)
                    self.assertNotIn("in_child", functions(answer.body))
                self.assert_sound(server)
                server.stop()

    def test_a_request_that_forks(self):
        self.in_each_mode("forks", "work")

    def test_a_thread_that_ends_under_its_profile(self):
        self.in_each_mode("thread_ends", "work")

    def test_a_profile_of_the_other_door_inside(self):
        self.in_each_mode("both_doors", "work")

    def test_interpreters_at_once(self):
        """Each mount has its own; every profile its own application's functions."""
        mounts = ("--manage-script-name",
                  *(word for name in ("shapes", "other", "life")
                    for word in ("--mount", f"/{name}={HERE}/{name}.py")))
        for mode in (("--processes", "3"), ("--threads", "6")):
            with self.subTest(mode=mode):
                server = self.serve(*mode, app=mounts)
                targets = {"/shapes/plain": "plain", "/other/": "other_work",
                           "/life/both_doors": "both_doors"}
                wanted = list(targets) * 8
                with concurrent.futures.ThreadPoolExecutor(6) as pool:
                    answers = list(pool.map(server.get, [f"{path}?{FOLDED}" for path in wanted]))
                own = 0
                for path, answer in zip(wanted, answers):
                    self.assert_profiled(answer)
                    found = functions(answer.body)
                    own += targets[path] in found and "work" in found
                    for other in set(targets.values()) - {targets[path]}:
                        self.assertNotIn(other, found, path)
                    self.assertTrue(answer.header("X-Flameprof-Status").startswith("200 "))
                # A busy machine may leave one of them without a sample.
                self.assert_more_than(0.75 * len(wanted), own)
                self.assert_sound(server)


class Ends(Life):
    """What ends the process while a profile runs ends it as without us."""

    def end(self, what, *args, **kwargs):
        """(what became of the request, of the server) when `what` happens meanwhile."""
        server = self.serve(*args, **kwargs)
        before = server.get("/pid").body
        with concurrent.futures.ThreadPoolExecutor(1) as pool:
            asked = pool.submit(server.get, f"/long?{ASK}")
            time.sleep(0.5)
            what(server)
            raw = asked.result().raw
        request = "answered" if raw.startswith(b"HTTP/1.1 200 OK") else raw
        try:
            server.process.wait(0.5 if raw else 20)
        except subprocess.TimeoutExpired:
            pass
        outcome = server.process.poll()
        if outcome is None:
            outcome = self.outcome_of_survivor(server, before)
        self.assert_sound(server)
        server.stop()
        return request, outcome

    def outcome_of_survivor(self, server, before):
        self.assertTrue(until(lambda: server.get("/pid").body not in (b"", before)),
                        "no new worker: " + server.log()[-2000:])
        return "a new worker"

    def check_ends(self, what, *expected):
        for mode, more in MODES:
            with self.subTest(mode=mode):
                theirs = self.end(what, *mode, plugin=None, **more)
                ours = self.end(what, *mode, **more)
                self.assertEqual(ours, theirs)
                self.assertIn(ours, expected)

    def test_term(self):
        self.check_ends(lambda server: server.process.send_signal(signal.SIGTERM),
                        (b"", 0), ("answered", 0))

    def test_int(self):
        self.check_ends(lambda server: server.process.send_signal(signal.SIGINT),
                        (b"", 0), ("answered", 0))

    def test_hup_reloads(self):
        self.check_ends(lambda server: server.process.send_signal(signal.SIGHUP),
                        ("answered", "a new worker"))

    def test_a_worker_that_is_told_to_end(self):
        for mode, more in MODES:
            with self.subTest(mode=mode):
                outcomes = [self.end_worker(*mode, plugin=None, **more),
                            self.end_worker(*mode, **more)]
                self.assertEqual(*outcomes)

    def end_worker(self, *args, **kwargs):
        server = self.serve(*args, **kwargs)
        worker = server.get("/pid").body
        with concurrent.futures.ThreadPoolExecutor(1) as pool:
            asked = pool.submit(server.get, f"/long?{ASK}")
            time.sleep(0.5)
            os.kill(int(worker), signal.SIGTERM)
            request = asked.result().raw[:15]
        outcome = self.outcome_of_survivor(server, worker)
        self.assert_sound(server)
        server.stop()
        return request, outcome


class Reloads(Life):
    def folder(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        return pathlib.Path(folder.name)

    def test_py_autoreload(self):
        folder = self.folder()
        source = folder / "changing.py"
        source.write_text(CHANGING)
        server = self.serve("--py-autoreload", "1", "--pythonpath", str(folder), "--lazy-apps",
                            "--enable-threads", app=("--module", "changing", "--need-app"))
        time.sleep(3)  # it has to have seen the file as it was
        with concurrent.futures.ThreadPoolExecutor(1) as pool:
            asked = pool.submit(server.get, f"/?{FOLDED}")
            time.sleep(0.5)
            source.write_text(CHANGING.replace("first", "second"))
            self.assert_profiled(asked.result(), "first")
        self.assertTrue(until(lambda: server.get("/").body == b"second"), server.log()[-2000:])
        self.assert_profiled(server.get(f"/?{FOLDED}"), "second", "work")
        self.assert_sound(server)

    def test_chain_reload(self):
        trigger = self.folder() / "trigger"
        trigger.touch()
        server = self.serve("--processes", "2", "--lazy-apps", "--touch-chain-reload",
                            str(trigger))
        before = {server.get("/pid").body for _ in range(20)}
        with concurrent.futures.ThreadPoolExecutor(2) as pool:
            asked = [pool.submit(server.get, f"/long?{FOLDED}") for _ in range(2)]
            time.sleep(0.5)
            os.utime(trigger, (time.time() + 5,) * 2)
            for future in asked:
                self.assert_profiled(future.result(), "long")
        self.assertTrue(until(lambda: not {server.get("/pid").body for _ in range(8)} & before),
                        server.log()[-2000:])
        self.assert_profiled(server.get(f"/long?{FOLDED}"), "long", "work")
        self.assert_sound(server)

    def test_workers_that_end_after_some_requests(self):
        server = self.serve("--processes", "1", "--max-requests", "5", "--min-worker-lifetime",
                            "1")
        pids = set()
        for _ in range(10):
            for _ in range(3):
                self.assert_profiled(server.get(f"/both_doors?{FOLDED}"), "both_doors")
            pids.add(server.get("/pid").body)
            time.sleep(0.2)
        self.assertGreater(len(pids), 1)
        self.assert_sound(server)

    def test_cheaper(self):
        server = self.serve("--processes", "3", "--cheaper", "1", "--cheaper-initial", "1")
        with concurrent.futures.ThreadPoolExecutor(6) as pool:
            for answer in pool.map(server.get, [f"/long?{FOLDED}"] * 6):
                self.assert_profiled(answer, "long", "work")
        self.assert_sound(server)


class Harakiri(Life):
    """An unprofiled request dies as before; a profiled one has ten seconds more."""

    def time_to_die(self, query, *args, **kwargs):
        server = self.serve("--harakiri", "2", *args, **kwargs)
        server.get("/pid")
        begun = time.monotonic()
        self.assertEqual(server.get(f"/endless{query}").raw, b"")
        took = time.monotonic() - begun
        self.assertIn("HARAKIRI", server.log())
        self.assertTrue(until(lambda: server.get("/pid").body))
        server.stop()
        return took

    def test_unprofiled(self):
        theirs, ours = self.time_to_die("", plugin=None), self.time_to_die("")
        self.assertGreater(ours, 1)
        self.assertLess(abs(ours - theirs), 3)

    def test_profiled(self):
        took = self.time_to_die(f"?{ASK}")
        self.assertGreater(took, 10)
        self.assertLess(took, 18)

    def test_an_unprofiled_request_after_a_profile(self):
        server = self.serve("--harakiri", "2")
        self.assert_picture(server.get(f"/long?{ASK}"))
        begun = time.monotonic()
        self.assertEqual(server.get("/endless").raw, b"")
        self.assertLess(time.monotonic() - begun, 8)


class Forbidden(Life):
    """What the server may not do, or see, is said; nothing of the application breaks."""

    def dropped(self):
        """Started as root, running as nobody, as most servers do."""
        if os.geteuid() == 0:
            return ("--uid", "nobody", "--gid", "nogroup")
        self.skipTest("only root can drop root")

    def check_contended(self, server):
        """Waits for the GIL are told from others, or it is said that they are not."""
        answer = server.get(f"/contended?{ASK}")
        self.assert_picture(answer)
        told = re.search(rb"waiting for the GIL \d", answer.body)
        said = re.search(rb"waits for the GIL are among|waits are not told apart", answer.body)
        self.assertNotEqual(bool(told), bool(said))
        folded = server.get(f"/contended?{FOLDED}")
        self.assert_profiled(folded, "contended", "waits_for_gil", "sleeps")
        # Of 0.2 and 0.4 s: one may end between two samples on a busy machine.
        self.assert_more_than(150_000, functions(folded.body)["sleeps"])
        self.assert_more_than(200_000, functions(folded.body)["waits_for_gil"])
        waiting = server.get(f"/contended?{FOLDED}&flamegraph_clock=offcpu")
        self.assert_more_than(150_000, functions(waiting.body).get("sleeps", 0))
        self.assert_sound(server)

    def test_root_that_was_dropped(self):
        for mode, more in MODES[:2]:
            with self.subTest(mode=mode):
                server = self.serve(*mode, *self.dropped())
                self.assertEqual(server.get("/contended").body, b"65534")
                self.check_contended(server)

    def test_no_proc(self):
        wrap = ("unshare", "-rm", "sh", "-c", 'mount -t tmpfs none /proc && exec "$@"', "sh")
        if subprocess.run([*wrap, "true"], capture_output=True).returncode:
            self.skipTest("/proc cannot be hidden here")
        self.check_contended(self.serve("--processes", "1", wrap=wrap))

    def test_all_is_told_here(self):
        """So that the tests above can fail: nothing is forbidden."""
        server = self.serve("--threads", "2")
        bodies = [server.get(f"/contended?{ASK}").body for _ in range(3)]
        self.assertTrue(any(re.search(rb"waiting for the GIL \d", body) for body in bodies))
        self.check_contended(server)

    @unittest.skipUnless(platform.machine() == "x86_64", "the filter's numbers are x86-64's")
    def test_no_descriptors_of_its_own(self):
        """Linux before 5.9: files of /proc are opened for each look, and closed again."""
        server = self.serve("--threads", "2")
        said = server.get(f"/refuse?close_range={errno.ENOSYS}").body
        if said != b"refused":
            self.skipTest(f"no filter of system calls here: {said}")
        folder = f"/proc/{server.process.pid}/fd"
        open_before = len(os.listdir(folder))
        bodies = [server.get(f"/contended?{ASK}").body for _ in range(3)]
        self.assertTrue(any(re.search(rb"waiting for the GIL \d", body) for body in bodies))
        self.check_contended(server)
        self.assertEqual(len(os.listdir(folder)), open_before)

    def test_no_further_thread(self):
        dropped = self.dropped() if os.geteuid() == 0 else ()
        server = self.serve("--processes", "1", *dropped)
        ordinary = server.get("/pid").raw
        self.assert_profiled(server.get(f"/long?{FOLDED}"), "long")
        self.assertEqual(server.get("/limit_threads?on").status, "200 OK")
        for _ in range(3):
            answer = server.get(f"/long?{ASK}")
            self.assertEqual(answer.status, "503 Service Unavailable")
            self.assertIn(b"thread", answer.body)
            self.assertEqual(server.get("/pid").raw, ordinary)
        self.assertEqual(server.get("/limit_threads?off").status, "200 OK")
        self.assert_profiled(server.get(f"/long?{FOLDED}"), "long", "work")
        self.assert_sound(server)

    def refusing(self, **calls):
        """A server whose worker has lost these system calls (name=errno)."""
        if platform.machine() != "x86_64":
            self.skipTest("the filter's numbers are x86-64's")
        server = self.serve("--processes", "1")
        query = "&".join(f"{name}={errno}" for name, errno in calls.items())
        said = server.get(f"/refuse?{query}").body
        if said != b"refused":
            self.skipTest(f"no filter of system calls here: {said}")
        return server

    def test_filters_of_system_calls(self):
        """Those of containers: no clone3 yet, no scheduling wishes."""
        server = self.refusing(clone3=38, sched_setattr=1)
        self.assert_profiled(server.get(f"/long?{FOLDED}"), "long", "work")
        self.assert_sound(server)

    def test_signals_only_of_the_common_kind(self):
        """A running thread is sampled all the same, to its end."""
        server = self.refusing(rt_tgsigqueueinfo=1)
        for _ in range(3):
            answer = server.get(f"/long?{FOLDED}")
            self.assert_profiled(answer, "long", "work")
            took = int(re.findall(r"in (\d+) msecs", server.log())[-1])
            self.assert_more_than(took * 900, sum(phases(answer.body).values()))
        self.assert_sound(server)


if __name__ == "__main__":
    unittest.main()
