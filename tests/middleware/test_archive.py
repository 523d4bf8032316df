"""The Middleware's kept profiles: answers that go on unchanged, the list, and real servers.

docs/store.md's commands are run as they stand there."""

import gc
import gzip
import http.client
import io
import json
import os
import pathlib
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import unittest
import weakref
import wsgiref.util

sys.path.insert(1, str(pathlib.Path(__file__).resolve().parents[1]))

from lifted import Middleware  # noqa: E402
from measuring import Seeing  # noqa: E402

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parent.parent
BUILD = ROOT / os.environ.get("BUILD", "build")
KEEP = "flamegraph=1&flamegraph_keep=1"
NAME = re.compile("[0-9a-f]{32}")


def work(seconds):
    end = time.thread_time() + seconds
    while time.thread_time() < end:
        sum(i * i for i in range(500))


class Body:
    def __init__(self, parts):
        self.parts = iter(parts)
        self.closed = 0

    def __iter__(self):
        return self

    def __next__(self):
        work(0.01)
        part = next(self.parts)
        if isinstance(part, Exception):
            raise part
        return part

    def close(self):
        work(0.01)
        self.closed += 1


class Folder(Seeing):
    def setUp(self):
        scratch = tempfile.mkdtemp(prefix="flameprof-kept-")
        self.addCleanup(shutil.rmtree, scratch)
        self.dir = os.path.join(scratch, "kept")

    def files(self):
        return sorted(name for name in os.listdir(self.dir) if name.endswith(".pb.gz"))

    def facts(self, name, patience=10):
        path = pathlib.Path(self.dir, f"{name}.pb.gz")
        end = time.monotonic() + patience
        while not path.exists():
            self.assertLess(time.monotonic(), end, "nothing was kept")
            time.sleep(0.01)
        data = path.read_bytes()
        return json.loads(data[16:16 + int.from_bytes(data[14:16], "little")])

    def only(self, patience=10):
        end = time.monotonic() + patience
        while not os.path.isdir(self.dir) or not self.files():
            self.assertLess(time.monotonic(), end, "nothing was kept")
            time.sleep(0.01)
        (name,) = self.files()
        return self.facts(name[:32])


class Answer:
    def __init__(self, app, path="/", query="", method="GET", take=None, call_only=False,
                 **variables):
        environ = {"PATH_INFO": path, "QUERY_STRING": query, "REQUEST_METHOD": method,
                   "REMOTE_ADDR": "127.0.0.1", "HTTP_HOST": "localhost", "SCRIPT_NAME": "",
                   "wsgi.errors": io.StringIO(), "wsgi.file_wrapper": wsgiref.util.FileWrapper,
                   **variables}
        self.written = []
        self.returned = app(environ, self.start)
        self.parts = []
        if call_only:
            return
        try:
            for part in self.returned:
                self.parts.append(part)
                if len(self.parts) == take:
                    break
        finally:
            if hasattr(self.returned, "close"):
                self.returned.close()
        self.body = b"".join(self.written + self.parts)

    def start(self, status, headers, exc_info=None):
        self.status, self.headers = status, headers
        return self.written.append

    def header(self, name):
        return dict(self.headers).get(name)


class Shapes(Folder):
    def app(self, environ, start_response):
        work(0.01)
        return self.shape(environ, start_response)

    def kept(self, shape, **options):
        """What it answers, and the facts; compared with what it answers alone."""
        self.shape = shape
        alone = Answer(self.app, "/x", KEEP + "&q=secret", **options)
        answer = Answer(Middleware(self.app, dir=self.dir), "/x",
                        KEEP + "&q=secret", **options)
        name = answer.header("X-Flameprof-Kept")
        self.assertRegex(name or answer.status, NAME)
        self.assertEqual(answer.headers, [*alone.headers, ("X-Flameprof-Kept", name)])
        self.assertEqual((answer.status, answer.written, answer.parts),
                         (alone.status, alone.written, alone.parts))
        return answer, self.facts(name)

    def test_list(self):
        def shape(environ, start_response):
            start_response("200 OK", [("Content-Length", "3")])
            return [b"a", b"bc"]
        answer, facts = self.kept(shape)
        self.assertIs(type(answer.returned), list)  # servers look at its length
        self.assertEqual((facts["path"], facts["method"]), ("/x?q=", "GET"))
        self.assertEqual((facts["why"], facts["cut"], facts["status"]), ("asked", "", "200 OK"))
        self.assertGreater(facts["quality"]["cpu_ns"], 8e6)

    def test_file(self):
        def shape(environ, start_response):
            start_response("200 OK", [])
            return environ["wsgi.file_wrapper"](io.BytesIO(b"file" * 10000))
        self.assertIs(type(self.kept(shape)[0].returned), wsgiref.util.FileWrapper)

    def test_stream_is_timed_but_not_its_sending(self):
        def shape(environ, start_response):
            start_response("200 OK", [])
            return Body([b"one", b"two"])
        self.shape = shape
        answer = Answer(Middleware(self.app, dir=self.dir), "/", KEEP,
                        call_only=True)
        for _ in answer.returned:
            time.sleep(0.3)
        answer.returned.close()
        facts = self.facts(answer.header("X-Flameprof-Kept"))
        self.assert_at_most(0.3, facts["quality"]["duration_ns"] / 1e9)
        self.assertGreater(facts["quality"]["cpu_ns"], 4e7)
        self.assertEqual(facts["cut"], "")

    def test_stream_shapes(self):
        def generator(environ, start_response):
            start_response("200 OK", [("X-Own", "1")])
            yield b"one"
            yield b""
            yield b"two"

        def late(environ, start_response):
            yield b""
            start_response("201 Created", [])
            yield b"late"

        def written(environ, start_response):
            start_response("200 OK", [])(b"written ")
            return Body([b"and returned"])

        for shape in (generator, written):
            with self.subTest(shape=shape.__name__):
                self.kept(shape)
        self.shape = late
        answer = Answer(Middleware(self.app, dir=self.dir), "/", KEEP)
        self.assertEqual(answer.body, b"late")
        self.assertEqual(self.facts(answer.header("X-Flameprof-Kept"))["status"], "201 Created")

    def test_closed_once(self):
        bodies = []

        def shape(environ, start_response):
            start_response("200 OK", [])
            bodies.append(Body([b"one", b"two"]))
            return bodies[-1]
        self.kept(shape)
        self.assertEqual([body.closed for body in bodies], [1, 1])

    def test_exceptions_go_on(self):
        def early(environ, start_response):
            raise LookupError("early")

        def midway(environ, start_response):
            start_response("200 OK", [])
            return Body([b"so far", ValueError("so good")])

        for shape, raised in ((early, LookupError), (midway, ValueError)):
            with self.subTest(shape=shape.__name__):
                self.shape = shape
                with self.assertRaises(raised):
                    Answer(Middleware(self.app, dir=self.dir), "/", KEEP)
                self.assertEqual(self.only()["raised"], raised.__name__)
                shutil.rmtree(self.dir)

    def test_client_gone(self):
        def shape(environ, start_response):
            start_response("200 OK", [])
            return Body([b"one", b"two", b"three"])
        self.assertEqual(self.kept(shape, take=1)[1]["cut"], "client gone")
        head = self.kept(shape, take=1, method="HEAD")[1]
        self.assertEqual((head["cut"], head["method"]), ("", "HEAD"))

    def test_told_to_stop(self):
        def shape(environ, start_response):
            work(0.05)
            raise SystemExit(1)
        self.shape = shape
        for query in (KEEP, "flamegraph=1"):
            with self.subTest(query=query), self.assertRaises(SystemExit):
                Answer(Middleware(self.app, dir=self.dir), "/", query)
            self.assertEqual(self.only()["cut"], "worker stopped")
            shutil.rmtree(self.dir)

    def test_max_seconds(self):
        def shape(environ, start_response):
            work(0.3)
            start_response("200 OK", [])
            return [b"done"]
        self.shape = shape
        app = Middleware(self.app, dir=self.dir, max_seconds=0.1)
        self.assertIn(b"<svg", Answer(app, "/", "flamegraph=1").body)
        facts = self.only()
        self.assertEqual((facts["why"], facts["cut"]), ("cut short", "max-seconds"))

    def test_on_another_thread(self):
        """A body that is iterated elsewhere than it was made is whole all the same."""
        def shape(environ, start_response):
            start_response("200 OK", [])
            return Body([b"one", b"two"])
        self.shape = shape
        answer = Answer(Middleware(self.app, dir=self.dir), "/", KEEP,
                        call_only=True)
        body = answer.returned
        parts = []
        thread = threading.Thread(target=lambda: (parts.extend(body), body.close()))
        thread.start()
        thread.join()
        self.assertEqual(parts, [b"one", b"two"])
        self.facts(answer.header("X-Flameprof-Kept"))

    def test_the_middleware_is_there_as_long_as_its_answers(self):
        """Their profiles tell of names what it has."""
        class Application:
            def __call__(self, environ, start_response):
                start_response("200 OK", [])
                return Body([b"one", b"two"])
        application = Application()
        held = weakref.ref(application)
        answer = Answer(Middleware(application, dir=self.dir), "/", KEEP, call_only=True)
        del application
        self.assertIsNotNone(held())
        answer.returned.close()
        self.facts(answer.header("X-Flameprof-Kept"))
        del answer
        gc.collect()
        self.assertIsNone(held())

    def test_dropped_without_close(self):
        def shape(environ, start_response):
            start_response("200 OK", [])
            return Body([b"one"])
        self.shape = shape
        answer = Answer(Middleware(self.app, dir=self.dir), "/", KEEP,
                        call_only=True)
        next(answer.returned)
        del answer.returned
        self.facts(answer.header("X-Flameprof-Kept"))

    def test_the_middleware_goes_before_the_body(self):
        code = """if True:
            import flameprof, sys
            def application(environ, start_response):
                start_response("200 OK", [])
                return hidden()
            def hidden():
                sum(range(3_000_000))
                yield b""
            environ = {"PATH_INFO": "/", "QUERY_STRING": sys.argv[2], "REQUEST_METHOD": "GET",
                       "REMOTE_ADDR": "127.0.0.1", "HTTP_HOST": "localhost"}
            body = flameprof.Middleware(application, dir=sys.argv[1], redact=["hidden"])(
                environ, lambda *said: None)
            list(body)
            body.close()
        """
        result = subprocess.run(
            [sys.executable, "-B", "-c", code, self.dir, KEEP], capture_output=True, timeout=30,
            env={**os.environ, "MALLOC_PERTURB_": "85"})  # what is freed is overwritten
        self.assertEqual((result.returncode, result.stderr), (0, b""))
        (name,) = self.files()
        profile = gzip.decompress(pathlib.Path(self.dir, name).read_bytes())
        self.assertIn(b"[redacted]", profile)
        self.assertNotIn(b"hidden", profile)

    def test_two_middlewares(self):
        def shape(environ, start_response):
            start_response("200 OK", [])
            return [b"once"]
        self.shape = shape
        inner = Middleware(self.app, dir=self.dir)
        answer = Answer(Middleware(inner, dir=self.dir), "/", KEEP)
        self.assertEqual(len([1 for key, _ in answer.headers if key == "X-Flameprof-Kept"]), 1)
        self.only()

    def test_unsafe_methods(self):
        calls = []

        def shape(environ, start_response):
            calls.append(environ["REQUEST_METHOD"])
            start_response("200 OK", [])
            return [b"posted"]
        self.shape = shape
        off = Middleware(self.app, dir=self.dir)
        on = Middleware(self.app, dir=self.dir, unsafe_methods=True)
        self.assertEqual(Answer(off, "/", KEEP, "POST").headers, [])
        self.assertEqual(Answer(off, "/", "flamegraph=1", "POST").body, b"posted")
        answer = Answer(on, "/", "flamegraph=1&flamegraph_repeat=5", "POST")
        self.assertIn(b"<svg", answer.body)
        self.assertEqual(len(calls), 3)  # once each: a side effect is not repeated
        self.assertEqual(Answer(on, "/", KEEP, "DELETE").body, b"posted")
        self.assertEqual(self.only()["method"], "DELETE")
        crossed = Answer(on, "/", "flamegraph=1", "POST", HTTP_SEC_FETCH_SITE="cross-site")
        self.assertEqual(crossed.body, b"posted")

    def test_bad_options(self):
        for options, sentence in (({"url": "x"}, "url takes a path"),
                                  ({"url": "/"}, "url takes a path"),
                                  ({"dir": "x" * 600}, "too long"),
                                  ({"dir_profiles": 0}, "from 1 to 1000000"),
                                  ({"dir_bytes": 5}, "from 1M")):
            with self.subTest(options=options), self.assertRaisesRegex(ValueError, sentence):
                Middleware(print, **{"dir": self.dir, **options})

    def test_bad_requests(self):
        self.shape = None
        without = Middleware(self.app)
        having = Middleware(self.app, dir=self.dir)
        for app, query, sentence in (
                (without, KEEP, b"dir="),
                (having, KEEP + "&flamegraph_repeat=3", b"flamegraph_repeat"),
                (having, "flamegraph=1&flamegraph_keep=yes", b"1 or 0"),
                (having, "flamegraph=1&flamegraph_diff=..", b"not kept here")):
            with self.subTest(query=query):
                answer = Answer(app, "/", query)
                self.assertEqual(answer.status, "400 Bad Request")
                self.assertIn(sentence, answer.body)


class List(Folder):
    def setUp(self):
        super().setUp()
        self.app = Middleware(self.application, dir=self.dir)

    def application(self, environ, start_response):
        work(0.02)
        start_response("404 Not Found" if "odd" in environ["PATH_INFO"] else "200 OK", [])
        return [b"the application's"]

    def keep(self, path):
        name = Answer(self.app, path, KEEP + "&q=1").header("X-Flameprof-Kept")
        self.facts(name)
        return name

    def test_escaped(self):
        self.keep("/<script>alert(1)</script>\"'&\u00ff\x00\n")
        page = Answer(self.app, "/_flameprof/").body.decode()
        self.assertNotIn("<script", page)
        self.assertIn("&lt;script&gt;", page)
        self.assertNotIn("\x00", page)

    def test_sorted(self):
        names = [self.keep(path) for path in ("/b", "/a", "/c")]
        order = {query: NAME.findall(re.sub(r'<a href="(\w+)\?|value="\w+"', "", Answer(
            self.app, "/_flameprof/", query).body.decode())) for query in ("", "time", "path")}
        self.assertEqual(order[""], names[::-1])
        self.assertEqual(order["time"], names[::-1])
        self.assertEqual(order["path"], [names[1], names[0], names[2]])
        for column in ("status", "duration", "cpu", "why", "nonsense"):
            self.assertEqual(Answer(self.app, "/_flameprof/", column).status, "200 OK")

    def test_links_lead_somewhere(self):
        self.keep("/one"), self.keep("/odd")
        page = Answer(self.app, "/_flameprof/").body.decode()
        for link in set(re.findall('href="([^"]+)"', page)):
            path, _, query = link.partition("?")
            answer = Answer(self.app, "/_flameprof/" + path, query)
            self.assertEqual(answer.status, "200 OK", link)
        self.assertIn("404 Not Found", page)

    def test_comparison(self):
        first, second = self.keep("/one"), self.keep("/two")
        for path, query in (("/_flameprof/", f"flamegraph_diff={first}&flamegraph_profile={second}"),
                            (f"/_flameprof/{second}", f"flamegraph_diff={first}"),
                            ("/x", f"flamegraph=1&flamegraph_diff={first}")):
            answer = Answer(self.app, path, query + "&flamegraph_format=folded")
            self.assertRegex(answer.body.decode(), r"(?m)application.* \d+ \d+$")
            self.assertIn(b"compared with GET /one?q= of 20", Answer(self.app, path, query).body)
        half = Answer(self.app, "/_flameprof/", f"flamegraph_diff={first}")
        self.assertEqual(half.status, "400 Bad Request")
        missing = Answer(self.app, f"/_flameprof/{second}", f"flamegraph_diff={'0' * 32}")
        self.assertEqual(missing.status, "404 Not Found")

    def test_policy(self):
        self.keep("/one")
        answer = Answer(self.app, "/_flameprof/")
        self.assertIn("default-src 'none'", answer.header("Content-Security-Policy"))
        self.assertEqual(answer.header("Cache-Control"), "no-store")

    def test_who_may(self):
        name = self.keep("/one")
        for variables in ({"REMOTE_ADDR": "192.0.2.1"}, {"HTTP_SEC_FETCH_SITE": "cross-site"},
                          {"method": "POST"}, {"method": "DELETE"}):
            for path in ("/_flameprof/", f"/_flameprof/{name}", "/_flameprof/x"):
                with self.subTest(path=path, variables=variables):
                    self.assertEqual(Answer(self.app, path, **variables).body,
                                     b"the application's")
        for path in ("/_flameprof", "/other/_flameprof/"):
            self.assertEqual(Answer(self.app, path).body, b"the application's")

    def test_empty(self):
        self.assertIn(b"None yet", Answer(self.app, "/_flameprof/").body)


def free_port():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


class Gunicorn(Folder):
    """Three workers, of which whichever is asked knows what all have kept."""

    def start(self, *args):
        self.port = free_port()
        self.process = subprocess.Popen(
            [sys.executable, "-B", "-m", "gunicorn", "-b", f"127.0.0.1:{self.port}", *args,
             "--chdir", str(HERE), "server_app:kept"], stderr=subprocess.PIPE,
            env=dict(os.environ, FLAMEPROF_DIR=self.dir, TMPDIR=os.path.dirname(self.dir)))
        self.addCleanup(self.stop)
        end = time.monotonic() + 20
        while True:
            try:
                return socket.create_connection(("127.0.0.1", self.port), 1).close()
            except OSError:
                self.assertIsNone(self.process.poll())
                self.assertLess(time.monotonic(), end)
                time.sleep(0.05)

    def stop(self):
        if self.process.poll() is None:
            self.process.terminate()
        try:
            self.process.communicate(timeout=10)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.communicate()

    def get(self, path):
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=20)
        try:
            connection.request("GET", path)
            response = connection.getresponse()
            return response, response.read()
        finally:
            connection.close()

    def test_workers_share(self):
        for worker in ("sync", "gthread"):
            with self.subTest(worker=worker):
                self.start("-w", "3", "-k", worker)
                names = set()
                for _ in range(9):
                    response, body = self.get(f"/stream?{KEEP}")
                    self.assertEqual(body, b"0\n1\n2\n3\n4\n")
                    names.add(response.getheader("X-Flameprof-Kept"))
                for name in names:
                    self.assertEqual(self.facts(name)["cut"], "")
                for _ in range(9):
                    self.assertLessEqual(names, set(NAME.findall(
                        self.get("/_flameprof/")[1].decode())))
                self.stop()

    def test_timeout(self):
        """gunicorn aborts a worker that hangs; Python's part of it is SystemExit."""
        self.start("-w", "1", "--timeout", "1")
        try:
            self.get(f"/hangs?{KEEP}")
        except (OSError, http.client.HTTPException):
            pass
        self.assertEqual(self.only()["cut"], "worker stopped")

    def test_documented_commands(self):
        """docs/store.md, with this server's address, folder and a profile's name."""
        self.start("-w", "2")
        name = self.get(f"/stream?{KEEP}")[0].getheader("X-Flameprof-Kept")
        self.facts(name)
        text = (ROOT / "docs" / "store.md").read_text()
        ran = 0
        for line in re.findall(r"^    ((?:curl|go|flameprof) .*)$", text, re.M):
            for old, new in (("127.0.0.1:8000", f"127.0.0.1:{self.port}"), ("NAME", name),
                             ("/var/lib/flameprof", self.dir), ("curl ", "curl -fsS "),
                             ("kept.svg", self.dir + "/kept.svg")):
                line = line.replace(old, new)
            if line.split()[0] == "go" and not shutil.which("go"):
                print("SKIPPED: no go for", line)
                continue
            if line.startswith("flameprof "):
                line = f"{BUILD}/{line}"
            with self.subTest(command=line):
                done = subprocess.run(line, shell=True, capture_output=True, timeout=60)
                self.assertEqual(done.returncode, 0, done.stderr)
                ran += 1
        self.assertGreaterEqual(ran, 3)
        self.assertIn("<svg", pathlib.Path(self.dir, "kept.svg").read_text())


if __name__ == "__main__":
    signal.alarm(300)
    unittest.main()
