"""What an application does that a profiler could take ill."""

import json
import pathlib
import re
import sys
import time
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))

from doors import (  # noqa: E402
    ASK,
    FOLDED,
    NOTHING,
    PRELOADED,
    Row,
    ThroughGunicorn,
    ThroughUwsgi,
    functions,
    until,
)

DAY = 86400


class Application(Row):
    def test_sigprof_is_the_applications(self):
        """Each of its own signals, profiled or not, and as many as its timer makes."""
        served = self.serve()
        for query in ("", f"?{FOLDED}"):
            answer = served.get(f"/takes_sigprof{query}")
            self.assertGreaterEqual(int(answer.header("X-Sent-Came")), 30)
            # The kernel looks at the timer at its ticks. On a busy machine samples make a
            # thread's turns shorter than those, and it makes fewer signals: none is lost.
            due = float(answer.header("X-Used")) / 0.004
            self.assert_more_than(due * 0.5, int(answer.header("X-Came")))
            self.assertLess(int(answer.header("X-Came")), due * 1.5 + 3)
        self.assert_profiled(answer, "takes_sigprof", "work")
        self.assert_sound(served)

    def test_exits(self):
        """sys.exit() ends the request as it does without us, and nothing is left."""
        served = self.serve()
        ordinary = self.plain(served)
        plainly = served.get("/exits").raw
        said = served.log().count("Traceback")  # newer gunicorns log it themselves
        self.assertEqual(served.get(f"/exits?{ASK}").raw, plainly)
        self.assertTrue(until(lambda: self.plain(served) == ordinary))
        self.assertEqual(served.log().count("Traceback"), 2 * said)
        self.assert_alive(served, ordinary, but="Traceback" if said else NOTHING)

    def test_forks(self):
        served = self.serve()
        ordinary = self.plain(served)
        for _ in range(3):
            answer = served.get(f"/forks?{FOLDED}")
            self.assert_profiled(answer, "forks", "work")
            self.assertNotIn("in_child", functions(answer.body))
        self.assertEqual(served.get("/forks").body, b"3")
        self.assert_alive(served, ordinary)

    def test_recursion_as_deep_as_it_goes(self):
        """The root's end is kept, the cut is a frame, and no time is lost."""
        served = self.serve()
        ordinary = self.plain(served)
        folded = served.get(f"/deep?{FOLDED}")
        self.assert_profiled(folded, "deep", "as_deep_as_it_goes", "descend", "[deeper frames cut]")
        found = functions(folded.body)
        self.assert_more_than(found["[application]"] * 0.8, found["deep"])
        self.assert_more_than(found["deep"] * 0.5, found["[deeper frames cut]"])
        picture = served.get(f"/deep?{ASK}")
        self.assert_picture(picture)
        self.assertRegex(picture.body, rb"[1-9]\d* (samples )?cut|deeper")
        self.assert_alive(served, ordinary)

    def test_a_name_of_a_mebibyte(self):
        """Its first thousand bytes are kept."""
        served = self.serve()
        ordinary = self.plain(served)
        self.assert_picture(served.get(f"/large_name?{ASK}"))
        folded = served.get(f"/large_name?{FOLDED}")
        self.assert_profiled(folded, "large_name")
        names = [name for name in functions(folded.body) if name.startswith("nnn")]
        self.assertEqual(len(names), 1)
        self.assertGreater(len(names[0]), 500)
        self.assertLess(len(folded.body), 100_000)
        self.assert_alive(served, ordinary)

    def test_names_of_every_byte(self):
        """Each format is what it says: XML is XML, JSON is JSON."""
        served = self.serve()
        ordinary = self.plain(served)
        ask = f"/every_byte?{ASK}&flamegraph_format="
        self.assert_picture(served.get(ask + "svg"))
        for name in ("json", "speedscope", "gecko"):
            json.loads(served.get(ask + name).body.decode("utf-8"))
        for line in served.get(ask + "folded").body.decode("utf-8").splitlines():
            stack, _, weight = line.rpartition(" ")
            self.assertTrue(stack and weight.isdigit(), repr(line))
            self.assertNotRegex(stack, "[\x00-\x1f\x7f-\x9f\u2028\u202e\ufffe\uffff]")
        self.assertTrue(served.get(ask + "pprof").body.startswith(b"\x1f\x8b"))
        self.assert_alive(served, ordinary)

    def test_a_clock_that_is_stepped(self):
        """The calendar's clock goes a day forward or back: the profile's does not."""
        served = self.serve(wrap=PRELOADED)
        ordinary = self.plain(served)
        for seconds in (DAY, -DAY, -20000 * DAY):
            answer = served.get(f"/steps_clock?seconds={seconds}&{FOLDED}")
            self.assertAlmostEqual(float(answer.header("X-Stepped")), seconds, delta=5)
            took = float(answer.header("X-Took")) * 1e6
            self.assert_seen(["steps_clock", "work"], functions(answer.body))
            inside = functions(answer.body)["steps_clock"]
            self.assert_at_most((took * 0.05 + 2000) / 1e6, abs(inside - took) / 1e6)
            samples = re.findall(r"steps_clock\S+: [\d.]+ s, (\d+) samples", served.log())
            self.assert_more_than(20, int(samples[-1]))
        self.assert_alive(served, ordinary)


class Faults(Row):
    """Others that handle SIGSEGV, before us and after us."""

    def test_faulthandler(self):
        """It has the application's crash, whoever came first; we have ours."""
        for query in ("", f"&{FOLDED}"):
            with self.subTest(under_a_profile=bool(query)):
                served = self.serve()
                pid = self.worker(served)
                self.assertEqual(served.get(f"/installs?which=faulthandler{query}").status,
                                 "200 OK")
                self.assert_profiled(served.get(f"/works?{FOLDED}"), "works")
                self.assert_sound(served)
                self.assertEqual(served.get(f"/crashes?{ASK}").raw, b"")
                self.assertTrue(until(lambda: "Fatal Python error" in served.log()))
                self.assertIn("in crashes", served.log())
                self.assertTrue(until(lambda: served.get("/pid").body not in
                                      (b"", str(pid).encode())))
                self.assert_profiled(served.get(f"/works?{FOLDED}"), "works", "work")

    def test_faulthandler_that_is_switched_off(self):
        """During a profile, it takes our handlers away with its own: the profile goes on,
        and a crash is the application's, at once."""
        for enabled in ("/installs?which=faulthandler",
                        f"/installs?which=faulthandler&{FOLDED}"):
            with self.subTest(enabled=enabled):
                served = self.serve()
                served.get(enabled)
                pid = self.worker(served)
                answer = served.get(f"/disables?{FOLDED}")
                self.assert_profiled(answer, "disables", "after_it", "work")
                self.assertEqual(self.worker(served), pid)
                served.get(enabled)
                begun = time.monotonic()
                self.assertEqual(served.get(f"/disables?crash=1&{FOLDED}").raw, b"")
                self.assertLess(time.monotonic() - begun, 15)
                self.assertNotIn("Fatal Python error", served.log())
                self.assertTrue(until(lambda: served.get("/pid").body not in
                                      (b"", str(pid).encode())))
                self.assert_profiled(served.get(f"/works?{FOLDED}"), "works", "work")

    def test_another_sampler(self):
        """Its reads fault under its own handler, and it has each of them: one that came
        before us, and one that comes while we are there."""
        for path in ("installs?which=sampler", "well"):
            with self.subTest(first=path):
                served = self.serve()
                ordinary = self.plain(served)
                served.get(f"/{path}")
                again = "which=sampler" if path == "well" else ""
                for query in (f"{again}&{FOLDED}", FOLDED, ""):
                    answer = served.get(f"/other_reads?{query}")
                    self.assertEqual(answer.header("X-Had"), "100")
                self.assert_profiled(served.get(f"/other_reads?{FOLDED}"), "other_reads")
                self.assert_alive(served, ordinary)

    def test_a_crash_is_a_crash(self):
        """Nobody else: the worker ends by SIGSEGV as without us, and another one comes."""
        served = self.serve()
        ordinary = self.plain(served)
        pid = self.worker(served)
        self.assertEqual(served.get(f"/crashes?{ASK}").raw, b"")
        self.assertTrue(until(lambda: served.get("/pid").body not in (b"", str(pid).encode())))
        self.assertEqual(self.plain(served), ordinary)
        self.assert_profiled(served.get(f"/works?{FOLDED}"), "works", "work")


class ApplicationThroughUwsgi(ThroughUwsgi, Application):
    pass


class ApplicationThroughGunicorn(ThroughGunicorn, Application):
    pass


class FaultsThroughUwsgi(ThroughUwsgi, Faults):
    pass


class FaultsThroughGunicorn(ThroughGunicorn, Faults):
    pass


del Application, Faults  # they have no door

if __name__ == "__main__":
    unittest.main()
