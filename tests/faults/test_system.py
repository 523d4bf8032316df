"""A system that refuses what a profile asks it for."""

import gzip
import json
import pathlib
import platform
import re
import sys
import tempfile
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))

from doors import (  # noqa: E402
    ASK,
    FOLDED,
    PRELOADED,
    Checks,
    Row,
    ThroughGunicorn,
    ThroughUwsgi,
)

MEMORY, MAPPING, THREAD = 1, 2, 4
DAY = 86400
MOST = 3000  # calls of a kind that one profile makes; it is far fewer
# On x86-64: all that sets timers or has to do with when and where a thread runs.
TIMERS = ("timer_create", "timer_settime", "timer_delete", "timerfd_create", "timerfd_settime",
          "setitimer")
SCHEDULING = ("sched_setattr", "sched_getattr", "sched_setaffinity", "sched_getaffinity",
              "sched_setscheduler", "sched_yield", "getpriority", "prctl")


def is_json(test, answer):
    json.loads(answer.body)


def is_folded(test, answer):
    for line in answer.body.splitlines():
        test.assertTrue(line.rpartition(b" ")[2].isdigit(), line)


WHOLE = {
    "folded": is_folded,
    "json": is_json,
    "speedscope": is_json,
    "gecko": is_json,
    "pprof": lambda test, answer: gzip.decompress(answer.body),
}


class System(Row):
    def check_refused(self, served, target, what, *, whole):
        """Each call of the kind fails once, then all from each on: a picture, or a
        sentence why there is none. How many there were."""
        made = 0
        for rest in ("", "&from=1"):
            for at in range(1, MOST):
                served.get(f"/refusing?what={what}&at={at}{rest}")
                answer = served.get(target)
                seen = int(served.get("/refusing").body)
                with self.subTest(at=at, rest=rest):
                    if answer.header("X-Flameprof-Status") and answer.status == "200 OK":
                        whole(self, answer)
                    else:
                        self.assertIn(answer.status[:3], ("500", "503"), answer.raw[:300])
                        # Without any memory there is none for a sentence either.
                        self.assertRegex(answer.body, rb"(?i)memory|thread|^$" if rest else
                                         rb"(?i)memory|thread")
                        self.assertLess(answer.body.count(b"\n"), 2)
                if seen < at:
                    break
                made = max(made, seen)
            self.assertLess(at, MOST - 1)
        return made

    def test_no_memory(self):
        served = self.serve(wrap=PRELOADED)
        ordinary = self.plain(served)
        for name in ("svg", "folded", "json", "pprof", "speedscope", "gecko"):
            made = self.check_refused(served, f"/short?{ASK}&flamegraph_format={name}", MEMORY,
                                      whole=WHOLE.get(name, Checks.assert_picture))
            self.assertGreater(made, 5)
        self.check_refused(served, f"/short?{ASK}&flamegraph_repeat=3&flamegraph_lines=1"
                                   "&flamegraph_callers=1", MEMORY, whole=Checks.assert_picture)
        self.assert_alive(served, ordinary)

    def test_no_mapping(self):
        """The first profile of a worker maps its memory; without, it says so."""
        served = self.serve(wrap=PRELOADED)
        ordinary = self.plain(served)
        made = self.check_refused(served, f"/short?{ASK}", MAPPING, whole=Checks.assert_picture)
        self.assertGreaterEqual(made, 1)
        self.assert_alive(served, ordinary)

    def test_no_thread(self):
        served = self.serve(wrap=PRELOADED)
        ordinary = self.plain(served)
        for _ in range(3):
            served.get(f"/refusing?what={THREAD}&at=1&from=1")
            answer = served.get(f"/short?{ASK}")
            self.assertEqual(answer.status[:3], "503", answer.raw[:300])
            self.assertIn(b"thread", answer.body)
            self.assertEqual(self.plain(served), ordinary)
            self.assertGreaterEqual(int(served.get("/refusing").body), 1)
        self.assert_alive(served, ordinary)

    def test_no_proc(self):
        served = self.serve(wrap=self.in_namespace("mount -t tmpfs none /proc"))
        ordinary = self.plain(served)
        self.assert_picture(served.get(f"/works?{ASK}"))
        self.assert_alive(served, ordinary)

    def refusing(self, *calls):
        if platform.machine() != "x86_64":
            self.skipTest("the filter's numbers are x86-64's")
        served = self.serve()
        said = served.get("/refuse?" + "&".join(f"{name}=1" for name in calls)).body
        if b"refused" not in said:
            self.skipTest(f"no filter of system calls here: {said}")
        return served

    def test_no_timers_and_no_say_in_scheduling(self):
        for calls in (TIMERS, SCHEDULING, TIMERS + SCHEDULING):
            with self.subTest(calls=calls):
                served = self.refusing(*calls)
                ordinary = self.plain(served)
                self.assert_picture(served.get(f"/works?{ASK}"))
                self.assert_alive(served, ordinary)
                served.stop()

    def test_full_disk(self):
        """Nothing is written for a picture, so that it does not matter."""
        with tempfile.TemporaryDirectory() as folder:
            full = (f"mount -t tmpfs -o size=16k none {folder}",
                    f"! head -c 1000000 /dev/zero >{folder}/full 2>/dev/null",
                    f"export TMPDIR={folder}")
            served = self.serve(wrap=self.in_namespace(*full))
            ordinary = self.plain(served)
            self.assert_picture(served.get(f"/works?{ASK}"))
            self.assert_alive(served, ordinary)

    def test_no_descriptor_left(self):
        """Sources are not read; the profile is the same."""
        served = self.serve()
        ordinary = self.plain(served)
        # The connection that asks for it gives one back, which the next one takes.
        self.assertGreater(int(served.get("/descriptors?left=0").body), 10)
        self.assertEqual(self.plain(served), ordinary)
        for _ in range(3):
            answer = served.get(f"/works?{FOLDED}")
            self.assert_profiled(answer, "works", "work")
            self.assert_picture(served.get(f"/works?{ASK}"))
        served.get("/descriptors")
        self.assert_alive(served, ordinary)


class SystemThroughUwsgi(ThroughUwsgi, System):
    pass


class SystemThroughGunicorn(ThroughGunicorn, System):
    pass


class Panel(ThroughGunicorn, Row):
    """Pages with a badge keep a profile in a folder: without one they are pages."""

    def check_page(self, served, problem=None):
        served.get("/page")
        for _ in range(2):
            answer = served.get("/page?flamegraph_panel=1", headers=[("Accept", "text/html")])
            self.assertEqual(answer.status, "200 OK")
            self.assertIn(b"<p>a page</p>", answer.body)
            self.assertIn(b"</body></html>", answer.body)
            said = re.search(rb'data-problem="([^"]+)"', answer.body)
            self.assertEqual(problem, said and said.group(1))
        self.assert_sound(served)

    def test_full_disk(self):
        with tempfile.TemporaryDirectory() as folder:
            wrap = self.in_namespace(
                f"mount -t tmpfs -o size=16k none {folder}",
                f"! head -c 1000000 /dev/zero >{folder}/full 2>/dev/null",
                f"export TMPDIR={folder}")
            self.check_page(self.serve(wrap=wrap, panel=True),
                            b"No profile can be kept: there is no room in the folder for them.")

    def test_a_clock_that_is_stepped(self):
        """What is kept is so by the calendar: a day later it is too old, and one that
        comes from the future is there."""
        served = self.serve(wrap=PRELOADED, panel=True)
        page = served.get("/page", headers=[("Accept", "text/html")])
        name = re.search(rb'data-profile="(\w+)"', page.body).group(1).decode()
        for seconds, status in ((0, "200"), (DAY, "404"), (-DAY, "200"), (0, "200")):
            served.get(f"/set_clock?seconds={seconds}")
            answer = served.get(f"/page?flamegraph_profile={name}")
            self.assertEqual(answer.status[:3], status)
        self.check_page(served)

    def test_no_memory(self):
        served = self.serve(wrap=PRELOADED, panel=True)
        for at in range(1, 400):
            served.get(f"/refusing?what={MEMORY}&at={at}")
            answer = served.get("/page", headers=[("Accept", "text/html")])
            seen = int(served.get("/refusing").body)
            self.assertEqual(answer.status, "200 OK")
            self.assertIn(b"<p>a page</p>", answer.body)
            if seen < at:
                break
        self.assertGreater(at, 5)
        self.check_page(served)


del System  # it has no door

if __name__ == "__main__":
    unittest.main()
