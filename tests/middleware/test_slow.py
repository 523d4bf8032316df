"""slower_than= and on_error= of the Middleware: called directly, and behind servers."""

import concurrent.futures
import gc
import http.client
import importlib.util
import io
import os
import pathlib
import re
import subprocess
import sys
import tempfile
import threading
import time
import unittest
import weakref
from wsgiref.util import FileWrapper

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
sys.path.insert(1, str(pathlib.Path(__file__).resolve().parent.parent))

import flameprof  # noqa: E402
from kept import kept  # noqa: E402
from measuring import Seeing  # noqa: E402
from slow_app import Streamed, busy, respond  # noqa: E402
from test_servers import free_port  # noqa: E402

try:
    import gevent
except ImportError:  # or it is there for another Python
    gevent = None

HERE = os.path.dirname(os.path.abspath(__file__))


def environ(path, **more):
    return {"REQUEST_METHOD": "GET", "PATH_INFO": path, "QUERY_STRING": "", **more}


class Called(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.TemporaryDirectory(prefix="flameprof-slow-")
        self.addCleanup(self.folder.cleanup)
        self.said = []

    def start_response(self, status, headers, exc_info=None):
        self.said.append((status, headers))
        return self.said.append

    def wrap(self, app, **options):
        return flameprof.Middleware(app, dir=self.folder.name, **options)

    def get(self, app, path="/", **more):
        body = app(environ(path, **more), self.start_response)
        try:
            return b"".join(body)
        finally:
            if hasattr(body, "close"):
                body.close()

    def kept(self, count):
        return kept(self.folder.name, count)


class WhatIsKept(Called, Seeing):
    def test_slow_ones(self):
        app = self.wrap(respond, slower_than=0.25)
        for path in ("/quick", "/slow", "/fails", "/sleeps", "/streams"):
            self.get(app, path, QUERY_STRING="token=secret&x")
        found = self.kept(3)
        self.assertEqual(
            [one.facts["path"] for one in found],
            ["/slow?token=", "/sleeps?token=", "/streams?token="],
        )
        for one in found:
            self.assertEqual((one.facts["why"], one.facts["status"]), ("slow", "200 OK"))
        slow, _, streams = (one.functions for one in found)
        self.assert_more_than(300_000, slow["busy"])
        names = {name.rpartition(".")[2] for name in streams}
        self.assertTrue({"part", "close"} <= names, streams)
        self.assertNotIn("get", names)

    def test_failed_ones(self):
        app = self.wrap(respond, on_error=True)
        self.get(app, "/slow")
        self.get(app, "/fails")
        with self.assertRaises(LookupError):
            self.get(app, "/raises")
        facts = sorted((one.facts for one in self.kept(2)), key=lambda facts: facts["path"])
        self.assertEqual([one["path"] for one in facts], ["/fails", "/raises"])
        self.assertEqual(facts[0]["status"], "503 Service Unavailable")
        self.assertEqual(facts[1]["raised"], "LookupError")

    def test_what_was_not_measured_is_not_listed_as_nothing(self):
        app = self.wrap(respond, on_error=True)
        self.get(app, "/fails")
        self.assertEqual(self.kept(1)[0].facts["quality"]["samples"], 0)
        page = self.get(app, "/_flameprof/", REMOTE_ADDR="127.0.0.1",
                        HTTP_HOST="localhost", SERVER_PROTOCOL="HTTP/1.1").decode()
        duration, cpu = re.findall(r'<td class="number">([^<]*)', page)
        self.assertRegex(duration, r"^[\d.]+ [nµm]s$")
        self.assertEqual(cpu, "–")

    def test_a_body_that_raises(self):
        def app(env, start_response):
            start_response("200 OK", [])
            return parts()

        def parts():
            yield b"part"
            raise LookupError

        with self.assertRaises(LookupError):
            self.get(self.wrap(app, on_error=True))
        (only,) = self.kept(1)
        self.assertEqual((only.facts["raised"], only.facts["status"]), ("LookupError", "200 OK"))

    def test_a_server_that_ends_is_no_failure(self):
        for ending in (SystemExit, KeyboardInterrupt):

            def app(env, start_response):
                raise ending

            with self.assertRaises(ending):
                self.get(self.wrap(app, on_error=True))
        self.assertEqual(self.kept(0), [])

    def test_the_last_status_counts(self):
        def app(env, start_response):
            start_response("200 OK", [])
            try:
                raise LookupError
            except LookupError:
                start_response("500 Oh", [], sys.exc_info())
            return [b""]

        self.get(self.wrap(app, on_error=True))
        self.assertEqual(self.kept(1)[0].facts["status"], "500 Oh")

    def test_only_so_many_in_a_minute(self):
        code = """if True:
            import flameprof, sys
            def app(env, start_response):
                start_response("500 No", [])
                return []
            app = flameprof.Middleware(app, on_error=True, slow_per_minute=2, dir=sys.argv[1])
            env = {"REQUEST_METHOD": "GET", "PATH_INFO": "/", "QUERY_STRING": ""}
            for _ in range(5):
                app(env, lambda status, headers: None)
        """
        result = subprocess.run(
            [sys.executable, "-B", "-c", code, self.folder.name],
            capture_output=True,
            text=True,
            timeout=30,
        )
        self.assertEqual(result.stderr.count("[flameprof] failed: GET /"), 2, result.stderr)
        self.assertEqual(len(self.kept(2)), 2)

    def test_what_is_asked_for_is_not_watched_as_well(self):
        app = self.wrap(respond, slower_than=0.25)
        asked = {"REMOTE_ADDR": "127.0.0.1", "HTTP_HOST": "localhost"}
        asked["QUERY_STRING"] = "flamegraph=1"
        self.assertIn(b"<svg", self.get(app, "/slow", **asked))
        self.assertEqual(self.kept(0), [])

    def test_one_behind_another_watches_once(self):
        app = self.wrap(self.wrap(respond, slower_than=0.25), slower_than=0.25)
        self.get(app, "/slow")
        self.kept(1)
        time.sleep(0.3)
        self.assertEqual(len(self.kept(1)), 1)

    def test_threads_at_once(self):
        app = self.wrap(respond, slower_than=0.25, slow_per_minute=1000)
        with concurrent.futures.ThreadPoolExecutor(4) as pool:
            list(pool.map(lambda path: self.get(app, path), ["/sleeps", "/quick"] * 8))
        found = self.kept(8)
        self.assertEqual({one.facts["path"] for one in found}, {"/sleeps"})
        self.assertEqual(len(found), 8)


class WhatIsLeftAlone(Called):
    def test_the_application_s_own_answer(self):
        app = self.wrap(respond, slower_than=60, on_error=True)
        for path in ("/quick", "/streams", "/fails"):
            self.said.clear()
            theirs = self.get(respond, path), list(self.said)
            self.said.clear()
            self.assertEqual((self.get(app, path), self.said), theirs, path)

    def test_write_is_the_server_s(self):
        def app(env, start_response):
            start_response("200 OK", [])(b"written")
            return []

        self.get(self.wrap(app, slower_than=60))
        self.assertEqual(self.said, [("200 OK", []), b"written"])

    def test_bodies_that_a_server_may_know_are_handed_over(self):
        class Sized:
            def __len__(self):
                return 1

            def __iter__(self):
                return iter([b"x"])

        with io.BytesIO(b"file") as file:
            for body in ([b"a"], (b"a",), b"", Sized(), FileWrapper(file), {b"a": 1}):
                app = self.wrap(lambda env, start: body, slower_than=60)
                handed = app(environ("/", **{"wsgi.file_wrapper": FileWrapper}), None)
                self.assertIs(handed, body)

    def test_what_a_server_calls_wrongly(self):
        app = self.wrap(lambda *args: args, slower_than=60)
        self.assertEqual(app(1), (1,))
        self.assertEqual(app("no dict", 2), ("no dict", 2))
        with self.assertRaises(TypeError):
            app(environ("/"), None, start=1)

    def test_a_body_closed_early_never_or_elsewhere(self):
        app = self.wrap(lambda env, start: Streamed(), slower_than=0.02)
        early = app(environ("/early"), None)
        self.assertEqual(next(iter(early)), b"part")
        early.close()
        early.close()
        never = app(environ("/never"), None)
        next(never)
        del never
        elsewhere = app(environ("/elsewhere"), None)
        thread = threading.Thread(target=lambda: (list(elsewhere), elsewhere.close()))
        thread.start()
        thread.join()
        self.get(app, "/again")
        self.assertEqual(
            {one.facts["path"] for one in self.kept(4)},
            {"/early", "/never", "/elsewhere", "/again"},
        )

    def test_nothing_is_held(self):
        class Application:
            def __call__(self, env, start_response):
                env["start_response"] = start_response  # a cycle
                start_response("200 OK", [])
                return (part for part in (b"a", b"b"))

        inner = Application()
        app = self.wrap(inner, slower_than=60)
        for _ in range(3):
            self.get(app)
        alive = weakref.ref(inner)
        del inner, app
        gc.collect()
        self.assertIsNone(alive())

    def test_a_middleware_that_goes_before_its_profiles(self):
        code = """if True:
            import flameprof, time
            def app(env, start_response):
                time.sleep(0.05)
                start_response("200 OK", [])
                return []
            env = {"REQUEST_METHOD": "GET", "PATH_INFO": "/", "QUERY_STRING": ""}
            for _ in range(5):
                flameprof.Middleware(app, slower_than=0.02, slow_interval=0.002,
                                     redact=["nothing"], push="http://127.0.0.1:9")(
                    env, lambda status, headers: None)
        """
        result = subprocess.run(
            [sys.executable, "-B", "-c", code],
            env={**os.environ, "MALLOC_PERTURB_": "85"},  # what is freed is overwritten
            capture_output=True,
            text=True,
            timeout=30,
        )
        self.assertEqual(result.returncode, 0, result.stderr)
        self.assertEqual(result.stderr.count("slow: GET /"), 5, result.stderr)

    def test_options_that_make_no_sense(self):
        for name, value in (
            ("slower_than", 0),
            ("slower_than", -1),
            ("slower_than", float("nan")),
            ("slow_interval", 2),
            ("slow_per_minute", 0),
        ):
            with self.assertRaises(ValueError, msg=name) as caught:
                flameprof.Middleware(respond, **{name: value})
            self.assertIn(name.replace("_", "-"), str(caught.exception).replace("_", "-"))
        flameprof.Middleware(respond, slower_than=None, on_error=None)


class BehindServers(unittest.TestCase):
    def behind(self, *command):
        """Requests to a server; what it kept, and its log."""
        with tempfile.TemporaryDirectory(prefix="flameprof-slow-") as folder:
            port = free_port()
            process = subprocess.Popen(
                [sys.executable, "-B", *(word.replace("PORT", str(port)) for word in command)],
                env={**os.environ, "FLAMEPROF_TEST_DIR": folder},
                stderr=subprocess.PIPE,
                stdout=subprocess.DEVNULL,
            )
            try:
                self.wait_for(port, process)
                for path in ("/quick", "/slow", "/streams", "/fails", "/raises", "/quick"):
                    self.get(port, path)
                found = kept(folder, 4, patience=4)
            finally:
                process.terminate()
                log = process.communicate(timeout=30)[1].decode()
        return sorted((one.facts["path"], one.facts["why"]) for one in found), log

    def wait_for(self, port, process):
        end = time.monotonic() + 30
        while True:
            try:
                return self.get(port, "/quick")
            except OSError:
                self.assertIsNone(process.poll())
                self.assertLess(time.monotonic(), end)
                time.sleep(0.05)

    def get(self, port, path):
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
        try:
            connection.request("GET", path)
            return connection.getresponse().read()
        finally:
            connection.close()

    ALL = [("/fails", "failed"), ("/raises", "failed"), ("/slow", "slow"), ("/streams", "slow")]

    def test_wsgiref(self):
        self.assertEqual(self.behind(os.path.join(HERE, "slow_app.py"), "PORT")[0], self.ALL)

    def gunicorn(self, *options):
        bind = ("-b", "127.0.0.1:PORT", "--chdir", HERE)
        return self.behind("-m", "gunicorn", *bind, *options, "slow_app")

    @unittest.skipUnless(importlib.util.find_spec("gunicorn"), "gunicorn is not installed")
    def test_gunicorn(self):
        for options in (("-w", "2"), ("-w", "2", "--preload"), ("--threads", "3")):
            with self.subTest(options=options):
                self.assertEqual(self.gunicorn(*options)[0], self.ALL)

    @unittest.skipIf(gevent is None, "SKIPPED: gevent is not installed for this Python")
    def test_gunicorn_with_greenlets_says_that_it_sees_none(self):
        found, log = self.gunicorn("-k", "gevent")
        self.assertEqual(found, [])
        self.assertEqual(log.count("slow requests are not seen: this server runs them"), 1, log)


if __name__ == "__main__":
    unittest.main()
