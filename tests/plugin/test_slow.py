"""--flameprof-slower-than and --flameprof-on-error: what nobody asked for is kept if it
was slow or failed, and the rest is as without us."""

import concurrent.futures
import os
import pathlib
import re
import signal
import subprocess
import sys
import tempfile
import time
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
sys.path.insert(1, str(pathlib.Path(__file__).resolve().parent.parent))

from checks import Sound  # noqa: E402
from kept import kept  # noqa: E402
from measuring import NotSeen  # noqa: E402
from server import HERE, PLUGIN, UWSGI, Server  # noqa: E402

APP = ("--module", "slow", "--need-app")
MODES = (("--processes", "1"), ("--threads", "3"), ("--lazy-apps", "--processes", "2"))
SLOW = ("--flameprof-slower-than", "0.3s")
ON_ERROR = ("--flameprof-on-error",)


class Slow(Sound):
    def serve(self, *args, app=APP, **kwargs):
        """A server, and the folder of what it keeps."""
        folder = tempfile.TemporaryDirectory(prefix="flameprof-slow-")
        self.addCleanup(folder.cleanup)
        server = Server(*args, "--flameprof-dir", folder.name, app=app, **kwargs)
        self.addCleanup(server.stop)
        return server, folder.name

    def assert_kept(self, profile, path, function, why="slow", status="200 OK", least_us=0):
        self.assertEqual(profile.facts["path"], path)
        self.assertEqual(profile.facts["why"], why)
        self.assertEqual(profile.facts["status"], status)
        if not profile.functions.get(function, -1) >= least_us:
            raise NotSeen(f"{function}, {least_us} us, in {profile.functions}")


class InEachMode(Slow):
    def test_slow_requests_are_kept(self):
        for mode in MODES:
            with self.subTest(mode=mode):
                server, folder = self.serve(*mode, *SLOW)
                for path in ("quick", "slow", "fails", "sleeps", "streams", "quick"):
                    server.get(f"/{path}?a=secret")
                first, second, third = found = kept(folder, 3)
                self.assertEqual(len(found), 3)
                self.assert_kept(first, "/slow?a=", "slow")
                self.assert_kept(first, "/slow?a=", "busy", least_us=300_000)
                self.assert_kept(second, "/sleeps?a=", "sleeps", least_us=300_000)
                self.assert_kept(third, "/streams?a=", "parts")
                self.assertIn("[flameprof] slow: GET /slow: 0.", server.log())
                self.assertNotIn("slow: GET /quick", server.log())
                self.assert_sound(server)
                server.stop()

    def test_failed_requests_are_kept(self):
        for mode in MODES:
            with self.subTest(mode=mode):
                server, folder = self.serve(*mode, *ON_ERROR)
                for path in ("quick", "sleeps", "fails", "raises", "quick"):
                    server.get(f"/{path}")
                facts = sorted((one.facts for one in kept(folder, 2)),
                               key=lambda facts: facts["path"])
                self.assertEqual([one["path"] for one in facts], ["/fails", "/raises"])
                self.assertEqual(facts[0]["status"], "503 Service Unavailable")
                self.assertEqual(facts[1]["raised"], "LookupError")
                self.assertEqual({one["why"] for one in facts}, {"failed"})
                self.assert_sound(server)
                server.stop()

    def test_a_failure_too_short_to_be_sampled_says_so(self):
        server, folder = self.serve(*ON_ERROR)
        server.get("/fails")
        (only,) = kept(folder, 1)
        self.assertEqual(only.facts["status"], "503 Service Unavailable")
        name = only.path.name.partition(".")[0]
        picture = server.get(f"/_flameprof/{name}").body.decode()
        self.assertRegex(picture, "no samples. The request took .*, less than the interval")

    def test_answers_are_the_same(self):
        server, _ = self.serve(*SLOW, *ON_ERROR)
        plain = Server(app=APP, plugin=None)
        self.addCleanup(plain.stop)
        for path in ("quick", "slow", "streams", "fails", "raises", "nothing"):
            for method in ("GET", "HEAD", "POST"):
                ours, theirs = (one.get(f"/{path}", method) for one in (server, plain))
                self.assertEqual(ours.raw, theirs.raw, (method, path))

    def test_neither_is_wanted(self):
        server, folder = self.serve("--processes", "1")
        for path in ("slow", "fails"):
            server.get(f"/{path}")
        self.assertEqual(kept(folder, 0), [])
        self.assertNotIn("flameprof", server.get("/threads").body.decode())


class Beside(Slow):
    """Other things that requests and servers do."""

    def test_what_is_asked_for_is_not_watched_as_well(self):
        server, folder = self.serve(*SLOW)
        answer = server.get("/slow?flamegraph=1")
        self.assertEqual(answer.header("Content-Type"), "image/svg+xml")
        self.assertEqual(kept(folder, 0), [])
        server.get("/slow?flamegraph=0")
        self.assertEqual(len(kept(folder, 1)), 1)

    def test_profiles_asked_for_find_room_beside_many_slow_requests(self):
        server, folder = self.serve(*SLOW, "--threads", "30", "--flameprof-slow-per-minute", "100")
        with concurrent.futures.ThreadPoolExecutor(30) as pool:
            slow = [pool.submit(server.get, "/sleeps") for _ in range(24)]
            time.sleep(0.2)
            asked = pool.submit(server.get, "/sleeps?flamegraph=1")
            self.assertEqual(asked.result().header("Content-Type"), "image/svg+xml")
            self.assertTrue(all(one.result().body == b"slept" for one in slow))
        self.assertGreater(len(kept(folder, 8)), 7)
        self.assert_sound(server)

    def test_only_so_many_in_a_minute(self):
        server, folder = self.serve(*ON_ERROR, "--flameprof-slow-per-minute", "3")
        for _ in range(10):
            server.get("/fails")
        self.assertEqual(len(kept(folder, 3)), 3)
        self.assertEqual(server.log().count("[flameprof] failed"), 3)

    def test_a_fork_in_the_request(self):
        for mode in MODES[:2]:
            with self.subTest(mode=mode):
                server, folder = self.serve(*mode, *SLOW)
                for _ in range(2):
                    self.assertEqual(server.get("/forks").body, b"forked")
                found = kept(folder, 2)
                self.assertEqual(len(found), 2)
                self.assert_kept(found[1], "/forks", "forks")
                self.assert_sound(server)
                server.stop()

    def test_interpreters_at_once(self):
        mounts = ("--manage-script-name",
                  *(word for name in ("shapes", "slow")
                    for word in ("--mount", f"/{name}={HERE}/{name}.py")))
        for mode in (("--processes", "2"), ("--threads", "4")):
            with self.subTest(mode=mode):
                server, folder = self.serve(*mode, *SLOW, app=mounts)
                with concurrent.futures.ThreadPoolExecutor(4) as pool:
                    list(pool.map(server.get, ["/slow/slow", "/shapes/plain"] * 6))
                # The other application's may have waited long for the GIL.
                found = [one for one in kept(folder, 12, patience=3)
                         if one.facts["path"] == "/slow/slow"]
                self.assertEqual(len(found), 6)
                self.assertTrue(all("slow" in one.functions for one in found))
                self.assert_sound(server)
                server.stop()

    def test_workers_that_come_and_go(self):
        server, folder = self.serve(*SLOW, "--processes", "1", "--max-requests", "2",
                                   "--min-worker-lifetime", "0")
        pids = set()
        for _ in range(4):
            pids.add(server.get("/pid").body)
            self.assertEqual(server.get("/slow").body, b"slow")
            time.sleep(0.3)
        self.assertEqual(len(kept(folder, 4)), 4)
        self.assertGreater(len(pids), 1)
        os.kill(int(server.get("/pid").body), signal.SIGKILL)
        time.sleep(1.5)
        server.get("/slow")
        self.assertEqual(len(kept(folder, 5)), 5)

    def test_a_reload(self):
        server, folder = self.serve(*SLOW, "--processes", "1")
        server.get("/slow")
        server.process.send_signal(signal.SIGHUP)
        time.sleep(2)
        server.wait_until_up()
        server.get("/slow")
        self.assertEqual(len(kept(folder, 2)), 2)
        self.assert_sound(server)

    def test_harakiri_keeps_what_was_seen(self):
        for mode in MODES[:2]:
            with self.subTest(mode=mode):
                server, folder = self.serve(*mode, *SLOW, "--harakiri", "3")
                self.assertEqual(server.get("/endless").raw, b"")
                self.assertIn("HARAKIRI", server.log())
                (only,) = kept(folder, 1)
                self.assert_kept(only, "/endless", "endless", status="")
                self.assertEqual(only.facts["cut"], "harakiri")
                self.assert_more_than(1_000_000, only.functions["endless"])
                server.stop()

    def test_one_that_ends_before_harakiri_is_kept_once(self):
        server, folder = self.serve(*SLOW, "--harakiri", "10")
        for _ in range(3):
            server.get("/slow")
        found = kept(folder, 3)
        self.assertEqual([one.facts["cut"] for one in found], ["", "", ""])

    def test_greenlets_are_left_alone_which_is_said(self):
        for mode, before in ((("--gevent", "10"), ("--plugin", "python3,gevent_python3")),
                             (("--async", "4"), ())):
            with self.subTest(mode=mode):
                server, folder = self.serve(*mode, *SLOW, *ON_ERROR, before=before)
                self.assertEqual(server.get("/slow").body, b"slow")
                self.assertEqual(kept(folder, 0), [])
                self.assertEqual(server.log().count("slow requests are not seen: with"), 1)
                server.stop()

    def test_the_command_of_the_document(self):
        text = (pathlib.Path(HERE).parent.parent / "docs" / "slow.md").read_text()
        command = re.search(r"^    uwsgi --plugin flameprof (.*) \.\.\.$", text, re.M).group(1)
        options = command.split()[:-2]
        self.assertEqual(command.split()[-2], "--flameprof-dir")
        server, folder = self.serve(*options)
        server.get("/slow")
        server.get("/fails")
        (only,) = kept(folder, 1)
        self.assertEqual(only.facts["path"], "/fails")

    def test_options_that_make_no_sense(self):
        for option, value in (("slower-than", "0"), ("slower-than", "soon"), ("slower-than", "2m"),
                              ("slow-interval", "2"), ("slow-per-minute", "0")):
            result = subprocess.run(
                [UWSGI, "--plugin", str(PLUGIN), f"--flameprof-{option}", value],
                capture_output=True, text=True, timeout=20)
            self.assertNotEqual(result.returncode, 0)
            said = result.stdout + result.stderr
            self.assertIn(f'[flameprof] --flameprof-{option}: "{value}" is not', said)


class Idle(Slow):
    def test_a_worker_without_requests_does_nothing(self):
        server, _ = self.serve(*SLOW, "--processes", "1")

        def turns():
            lines = server.get("/threads").body.decode().splitlines()
            return {line.rsplit(" ", 1)[0]: int(line.rsplit(" ", 1)[1]) for line in lines}

        server.get("/slow")
        time.sleep(0.5)
        before = turns()
        self.assertIn("flameprof-look", before)
        time.sleep(2)
        after = turns()
        for name in ("flameprof-look", "flameprof"):
            self.assertLessEqual(after[name] - before[name], 1)


if __name__ == "__main__":
    unittest.main()
