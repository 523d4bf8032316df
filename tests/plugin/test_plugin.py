"""The plugin in real uWSGI servers: each concurrency mode, each shape of answer."""

import concurrent.futures
import os
import pathlib
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))

from checks import ASK, FOLDED, Checks, functions, phases  # noqa: E402
from server import BUILD, HERE, PLUGIN, UWSGI, Server  # noqa: E402
from shapes import SHAPES  # noqa: E402


class Modes(Checks):
    """All shapes in the default mode, a handful in each other."""

    FEW = ("plain", "stream", "write", "real_file", "redirect", "cookies", "raises",
           "raises_midway", "closing", "sleeps")

    def both(self, *args, **kwargs):
        server = Server(*args, **kwargs)
        self.addCleanup(server.stop)
        plain = Server(*args, plugin=None, **kwargs)
        self.addCleanup(plain.stop)
        return server, plain

    def test_prefork_all_shapes(self):
        self.check_shapes(*self.both("--processes", "2"))

    def test_no_master(self):
        server, plain = self.both()
        self.check_shapes(server, plain, self.FEW)

    def test_lazy_apps(self):
        self.check_shapes(*self.both("--lazy-apps"), self.FEW)

    def test_enable_threads(self):
        self.check_shapes(*self.both("--enable-threads"), self.FEW)

    def test_single_interpreter(self):
        self.check_shapes(*self.both("--single-interpreter", "--threads", "2"), self.FEW)

    def test_offload_threads(self):
        self.check_shapes(*self.both("--offload-threads", "1"), self.FEW)

    def test_bare_async(self):
        self.check_shapes(*self.both("--async", "4"), self.FEW)

    def test_gevent(self):
        args = ("--gevent", "20")
        self.check_shapes(*self.both(*args, before=("--plugin", "python3,gevent_python3")), self.FEW)

    def test_greenlet(self):
        server, plain = self.both("--async", "4", "--greenlet", before=(
            "--plugin", "python3,greenlet_python3"))
        for _ in range(2):  # the second is answered after what the first one did
            plain.get("/plain")
        if "Segmentation Fault" in plain.log():
            self.skipTest("this uWSGI's greenlet plugin crashes without us")
        self.check_shapes(server, plain, self.FEW)

    def test_ugreen(self):
        """One request that switches at a time: two that leave and come back in another
        order crash ugreen under CPython 3.11 and later, without us as well."""
        args = ("--async", "6", "--ugreen")
        server, plain = self.both(*args, before=("--plugin", "python3,ugreen"))
        if sys.version_info >= (3, 12):
            refused = server.get(f"/plain?{ASK}")
            self.assertEqual(refused.status, "503 Service Unavailable")
            self.assertIn(b"--ugreen", refused.body)
            self.assertEqual(server.get("/plain").raw, plain.get("/plain").raw)
            self.skipTest("refused under this Python, as it should be")
        self.check_shapes(server, plain, self.FEW)
        with concurrent.futures.ThreadPoolExecutor(4) as pool:
            asked = pool.submit(server.get, f"/switches?{FOLDED}")
            others = [pool.submit(server.get, "/plain") for _ in range(9)]
        for future in others:
            self.assertEqual(future.result().body, b"plain")
        found = functions(asked.result().body)
        self.assertNotIn("plain", found)
        self.assertNotIn("[cut]", found)
        # It leaves its stack for a while, and waits there.
        self.assert_seen(["switches", "work"], found)
        self.assert_more_than(150_000, found["switches"])
        self.assert_more_than(50_000, found["switches"] - found["work"])

    def test_threads_on_core_1_and_above(self):
        server, plain = self.both("--threads", "4")
        self.check_shapes(server, plain, self.FEW)
        with concurrent.futures.ThreadPoolExecutor(4) as pool:
            answers = list(pool.map(server.get, [f"/core?{FOLDED}"] * 4))
        self.assertEqual({answer.header("X-Core") for answer in answers}, set("0123"))
        for answer in answers:
            self.assert_profiled(answer, "core", "work")
            own = functions(answer.body)["core"]
            self.assert_more_than(300_000, own)
            self.assert_at_most(2, own / 1e6)

    def test_two_mounted_applications(self):
        mounts = ("--mount", f"/one={HERE}/shapes.py", "--mount", f"/two={HERE}/other.py",
                  "--manage-script-name")
        for threads in ((), ("--threads", "3")):
            with self.subTest(threads=threads):
                server, plain = self.both(*threads, app=mounts)
                for _ in range(3):
                    self.assert_profiled(server.get(f"/one/plain?{FOLDED}"), "plain", "work")
                    two = server.get(f"/two/?{FOLDED}")
                    self.assert_profiled(two, "other_work", "work")
                    self.assertEqual(two.header("X-Flameprof-Status"), "200 Other")
                    self.assertEqual(server.get("/two/").raw, plain.get("/two/").raw)
                helper = server.get(f"/one/starts_threads?{FOLDED}&flamegraph_threads=1")
                self.assertIn("[thread helper]", phases(helper.body))
                starters = server.get("/one/starters").body
                self.assertEqual(starters, plain.get("/one/starters").body)

    def test_on_demand_application(self):
        with Server(app=()) as server:
            for _ in range(2):
                answer = server.speak_uwsgi("/x", FOLDED, UWSGI_SCRIPT="other")
                self.assert_profiled(answer, "other_work", "work")
            answer = server.speak_uwsgi("/x", "", UWSGI_SCRIPT="other")
            self.assertEqual(answer.body, b"the other application")

    def test_gevent_requests_do_not_mix(self):
        with Server("--gevent", "20", "--gevent-monkey-patch",
                    before=("--plugin", "python3,gevent_python3")) as server:
            with concurrent.futures.ThreadPoolExecutor(6) as pool:
                sleeping = [pool.submit(server.get, f"/core?{FOLDED}") for _ in range(3)]
                busy = [pool.submit(server.get, f"/plain?{FOLDED}") for _ in range(3)]
            for future in sleeping:
                self.assert_profiled(future.result(), "core")
                self.assertNotIn("plain", functions(future.result().body))
            for future in busy:
                self.assert_profiled(future.result(), "plain")
                self.assertNotIn("core", functions(future.result().body))


class Answers(Checks):
    @classmethod
    def setUpClass(cls):
        cls.server = Server("--workers", "1")
        cls.addClassCleanup(cls.server.stop)

    def test_kept_headers(self):
        answer = self.server.get(f"/cookies?{ASK}")
        self.assertEqual(answer.all("Set-Cookie"), ["a=1; Path=/", "b=2"])
        self.assertEqual(answer.header("X-Own"), "kept")

    def test_close_is_called(self):
        self.server.get(f"/closing?{ASK}")
        self.assertIn(ASK, self.server.get("/was_closed").body.decode())

    def test_the_query_reaches_the_application_unchanged(self):
        answer = self.server.get("/echo?b=%20&flamegraph=0&interval=7&a=1")
        self.assertEqual(answer.body, b"b=%20&flamegraph=0&interval=7&a=1")

    def test_phases_are_root_frames(self):
        found = phases(self.server.get(f"/phases?{FOLDED}").body)
        self.assertEqual(set(found), {"[uWSGI]", "[application]", "[iteration]", "[close]"})
        for root, seconds in (("[application]", 0.2), ("[iteration]", 0.2), ("[close]", 0.1)):
            self.assertGreater(found[root] / 1e6, seconds - 0.002)
            self.assert_at_most(seconds + 0.05, found[root] / 1e6)
        self.assert_at_most(0.05, found["[uWSGI]"] / 1e6)

    def test_repeat(self):
        for shape in ("plain", "chunks", "stream", "write", "real_file", "redirect",
                      "cookies", "closing", "bare_bytes", "no_content"):
            with self.subTest(shape=shape):
                answer = self.server.get(f"/{shape}?{ASK}&flamegraph_repeat=5")
                self.assert_picture(answer, SHAPES[shape][0])
                self.assertEqual(answer.header("X-Flameprof-Runs"), "5")
                self.assertIn(b"called 5 of 5 times", answer.body)
        answer = self.server.get(f"/cookies?{ASK}&flamegraph_repeat=5")
        self.assertEqual(answer.all("Set-Cookie"), ["a=1; Path=/", "b=2"])
        for shape in ("raises", "raises_midway"):
            answer = self.server.get(f"/{shape}?{ASK}&flamegraph_repeat=5")
            self.assertEqual(answer.header("X-Flameprof-Runs"), "1")

    def test_threads_it_starts(self):
        answer = self.server.get(f"/starts_threads?{FOLDED}&flamegraph_threads=1")
        self.assertIn("[thread helper]", phases(answer.body))
        answer = self.server.get(f"/starts_threads?{FOLDED}")
        self.assertNotIn("[thread helper]", phases(answer.body))

    def test_memory_stays_flat(self):
        self.server.get(f"/plain?{ASK}")
        before = int(self.server.get("/memory").body)
        self.assert_picture(self.server.get(f"/big?{ASK}"))
        after = int(self.server.get("/memory").body)
        self.assertLess(after - before, 24 * 1024)

    def test_other_methods_get_their_ordinary_answer(self):
        answer = self.server.get(f"/echo?{ASK}", "POST", body=b"data")
        self.assertEqual(answer.body, b"data" + ASK.encode())
        self.assertIsNone(answer.header("X-Flameprof-Status"))

    def test_log_line(self):
        self.server.get(f"/plain?{ASK}&mine=1")
        line = [line for line in self.server.log().splitlines()
                if line.startswith("[flameprof]") and "mine=1" in line]
        self.assertEqual(len(line), 1)
        self.assertRegex(line[0], r"samples")

    def test_malformed(self):
        for parameter, value in (("interval", "abc"), ("interval", "2"), ("interval", "nan"),
                                 ("flamegraph_interval", "0"), ("flamegraph_format", "gif")):
            with self.subTest(parameter=parameter, value=value):
                answer = self.server.get(f"/closing?flamegraph=1&{parameter}={value}&bad")
                self.assertEqual(answer.status, "400 Bad Request")
                self.assertTrue(answer.header("Content-Type").startswith("text/plain"))
                self.assertEqual(int(answer.header("Content-Length")), len(answer.body))
                self.assertIn(parameter.encode(), answer.body)
                self.assertIn(value.encode(), answer.body)
                head = self.server.get(f"/closing?flamegraph=1&{parameter}={value}", "HEAD")
                self.assertEqual((head.status, head.body), ("400 Bad Request", b""))
        self.assertNotIn("&bad", self.server.get("/was_closed").body.decode())

    def test_refused_callers(self):
        ordinary = self.server.get("/plain").raw
        for headers, version in (((("X-Forwarded-For", "9.9.9.9"),), "1.1"),
                                 ((("Forwarded", "for=9.9.9.9"),), "1.1"),
                                 ((("Via", "1.1 proxy"),), "1.1"),
                                 ((("X-Real-IP", "9.9.9.9"),), "1.1"),
                                 ((("Host", "example.org"),), "1.1"),
                                 ((("Sec-Fetch-Site", "cross-site"),), "1.1")):
            with self.subTest(headers=headers):
                for query in (ASK, "flamegraph=1&interval=nonsense"):
                    answer = self.server.get(f"/plain?{query}", headers=headers, version=version)
                    self.assertEqual(answer.raw, ordinary)
        old = self.server.get(f"/plain?{ASK}", version="1.0")
        self.assertEqual(old.raw, self.server.get("/plain", version="1.0").raw)
        for address in ("9.9.9.9", "", "nonsense"):
            with self.subTest(address=address):
                answer = self.server.speak_uwsgi("/plain", ASK, REMOTE_ADDR=address)
                self.assertEqual(answer.raw, ordinary)
        said = re.findall(r"^\[flameprof\] \d+ request.* refused.*", self.server.log(), re.M)
        self.assertEqual(len(said), 1, said)

    def test_two_profiles_at_once(self):
        with Server("--threads", "2") as server, \
                concurrent.futures.ThreadPoolExecutor(2) as pool:
            one, two = pool.map(server.get, [f"/core?{FOLDED}"] * 2)
            self.assert_profiled(one, "core")
            self.assert_profiled(two, "core")
            self.assertNotEqual(one.header("X-Core"), two.header("X-Core"))

    def test_a_respawned_worker_profiles_too(self):
        with Server("--workers", "1") as server:
            worker = int(server.get("/pid").body)
            os.kill(worker, signal.SIGKILL)
            self.assertNotEqual(int(server.get("/pid").body), worker)
            self.assert_profiled(server.get(f"/plain?{FOLDED}"), "plain")

    def test_websocket_requests_are_left_alone(self):
        key = (("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ=="), ("Upgrade", "websocket"))
        answer = self.server.get(f"/plain?{ASK}", headers=key)
        self.assertEqual(answer.body, b"plain")


class Configuration(Checks):
    def test_allow(self):
        with Server("--flameprof-allow", "10.1.0.0/16", "--flameprof-allow", "fd00::/8") as server:
            for address in ("10.1.2.3", "fd12::1"):
                answer = server.speak_uwsgi("/plain", ASK, REMOTE_ADDR=address)
                self.assert_picture(answer)
            for address in ("10.2.0.1", "fe80::1", ""):
                answer = server.speak_uwsgi("/plain", ASK, REMOTE_ADDR=address)
                self.assertEqual(answer.body, b"plain")
            self.assertRegex(server.log(), r"\[flameprof\].*10\.1\.0\.0/16.*fd00::/8")

    def test_interval_and_max_seconds(self):
        with Server("--flameprof-interval", "0.05", "--flameprof-max-seconds", "1") as server:
            server.get("/core?flamegraph=1&flamegraph_format=folded")
            samples = re.search(r"(\d+) samples", server.log())
            self.assertLess(int(samples.group(1)), 30)
            total = sum(int(line.rpartition(b" ")[2]) for line in server.get(
                "/slow?flamegraph=1&flamegraph_format=folded").body.splitlines())
            self.assert_at_most(1.5, total / 1e6)
            self.assertGreater(total, 800_000)

    def test_disable(self):
        with Server("--flameprof-disable") as server:
            self.assertEqual(server.get(f"/plain?{ASK}").body, b"plain")

    def test_bad_options_end_the_start(self):
        for option in ("--flameprof-interval=soon", "--flameprof-interval=5",
                       "--flameprof-max-seconds=0", "--flameprof-allow=10.0.0.0/99"):
            with self.subTest(option=option):
                server = Server(option, start=False)
                self.addCleanup(server.stop)
                self.assertNotEqual(server.wait(), 0)
                self.assertIn("[flameprof] " + option.split("=")[0], server.log())

    def test_nodelay(self):
        with Server("--start_response-nodelay") as server:
            self.assertIn("start_response-nodelay", server.log())
            answer = server.get(f"/plain?{ASK}")
            self.assertEqual(answer.status, "503 Service Unavailable")
            self.assertIn(b"start_response-nodelay", answer.body)
            self.assertEqual(server.get("/plain").body, b"plain")

    def test_harakiri_leaves_time_to_draw(self):
        with Server("--harakiri", "2") as server:
            self.assert_picture(server.get(f"/slow?{ASK}"))
            # The master of a busy machine looks late.
            self.assertEqual(server.get("/hangs").raw, b"")

    def test_routes_and_configured_headers(self):
        with Server("--plugin", "transformation_gzip,router_redirect", "--route-run", "gzip:",
                    "--route-run", "addheader:Cache-Control: public",
                    "--route-run", "addheader:X-Route: here",
                    "--response-route-run", "addheader:ETag: x",
                    "--error-route-status", "404 redirect:/elsewhere",
                    "--add-header", "Content-Security-Policy: default-src 'none'",
                    "--add-header", "X-Added: there") as server:
            for shape in ("plain", "not_found", "raises"):
                answer = server.get(f"/{shape}?{ASK}", headers=(("Accept-Encoding", "gzip"),))
                self.assert_picture(answer, SHAPES[shape][0])
                self.assertEqual(answer.header("X-Route"), "here")
                self.assertEqual(answer.header("X-Added"), "there")

    def test_one_sampler_in_the_process(self):
        with Server() as server:
            self.assertIn("built-in", server.get("/module").body.decode())

    def test_a_middleware_behind_the_plugin_leaves_the_request_to_it(self):
        with Server("--pythonpath", str(BUILD / "python")) as server:
            answer = server.get(f"/behind_both?{ASK}")
            self.assert_picture(answer, "500")
            self.assertIn(b"ValueError", answer.body)
            self.assertEqual(server.log().count("samples"), 1)


class Host(Checks):
    """A plugin in the wrong place says so, once, and the server runs on."""

    def patched(self, change):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        path = pathlib.Path(folder.name) / "flameprof_plugin.so"
        data = PLUGIN.read_bytes()
        changed = change(data)
        self.assertNotEqual(data, changed)
        path.write_bytes(changed)
        return path

    def assert_off(self, server, why):
        lines = [line for line in server.log().splitlines() if line.startswith("[flameprof]")]
        self.assertEqual(len(lines), 1, lines)
        self.assertRegex(lines[0], why)

    def test_another_uwsgi(self):
        flag = rb'(UWSGI_VERSION_REVISION=.{0,2})\d'
        path = self.patched(lambda data: re.sub(flag, rb"\g<1>7", data))
        with Server(plugin=path) as server:
            self.assertEqual(server.get(f"/plain?{ASK}").body, b"plain")
            self.assert_off(server, "off: .*uWSGI")

    def test_no_python(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        path = pathlib.Path(folder.name) / "flameprof_plugin.so"
        subprocess.run(["objcopy", "--remove-section", "uwsgi", PLUGIN, path], check=True)
        with Server("--route-run", "break:418 No Python", plugin=path, python=False) as server:
            self.assertEqual(server.get("/").status, "418 No Python")
            self.assert_off(server, "off: .*[Pp]ython")

    def test_help_lists_every_option(self):
        text = subprocess.run([UWSGI, "--plugin", str(PLUGIN), "--help"],
                              capture_output=True, text=True).stdout
        for option in ("interval", "max-seconds", "allow", "disable"):
            self.assertRegex(text, rf"--flameprof-{option} +\w")


@unittest.skipUnless(shutil.which("strace"), "strace is missing")
class Traces(Checks):
    def test_no_process_and_no_file(self):
        probe = subprocess.run(["strace", "-f", "true"], capture_output=True)
        if probe.returncode:
            self.skipTest("no ptrace here: " + probe.stderr.decode()[-200:])
        with tempfile.NamedTemporaryFile("r") as trace:
            wrap = ("strace", "-f", "-qq", "-o", trace.name, "-e",
                    "trace=process,openat,open,creat,newfstatat,stat,rename,unlink,mkdir")
            with Server("--workers", "1", wrap=wrap) as server:
                server.get("/mark?begin")
                for target in (f"/plain?{ASK}", f"/stream?{FOLDED}", f"/raises?{ASK}"):
                    self.assertEqual(server.get(target).status, "200 OK")
                server.get("/mark?end")
                time.sleep(0.2)
            text = trace.read()
        between = text.split("mark-begin")[1].split("mark-end")[0].splitlines()
        self.assertTrue(any("clone" in line for line in between), "the ticker was not seen")
        for line in between:
            self.assertNotRegex(line, r"\b(execve|fork|vfork|creat|rename|unlink|mkdir)\(")
            self.assertNotRegex(line, r"open(at)?\(.*O_(WRONLY|RDWR|CREAT|TRUNC)")
            if re.search(r"\bclone3?\(", line):
                self.assertIn("CLONE_THREAD", line)


if __name__ == "__main__":
    unittest.main()
