"""FlameprofMiddleware knows what flameprof.Middleware knows: each of its options, by a key."""

import contextlib
import http.server
import io
import os
import pathlib
import queue
import re
import subprocess
import tempfile
import threading
import time
import unittest
import unittest.mock

import served
from test_middleware import FOLDED, HOST, ONLY_OURS, get, site  # makes Django ready

import flameprof
from django.test import Client
from measuring import Seeing

PROGRAM = str(served.ROOT / os.environ.get("BUILD", "build") / "flameprof")
FAR = {"HTTP_HOST": "127.0.0.1", "REMOTE_ADDR": "192.0.2.9"}
STAFF = {"MIDDLEWARE": ["test_middleware.as_user", *ONLY_OURS]}


class Keeping(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory(prefix="flameprof-django-")
        self.addCleanup(folder.cleanup)
        self.folder = pathlib.Path(folder.name)
        self.kept = self.folder / "kept"

    def site(self, more=None, **config):
        return site(FLAMEPROF_CONFIG={"PER_MINUTE": 1000000, **config}, **(more or {}))

    def profiles(self, count):
        """Names of what is kept, when there are so many."""
        end = time.monotonic() + 10
        while True:
            names = [path.name[:32] for path in self.kept.glob("*.pb.gz")]
            if len(names) == count or time.monotonic() > end:
                self.assertEqual(len(names), count)
                return names
            time.sleep(0.02)

    def assert_never_kept(self):
        time.sleep(0.3)
        self.assertEqual(list(self.kept.glob("*.pb.gz")), [])


class Asked(Keeping):
    def sign(self, path, *more):
        secret = self.folder / "secret"
        if not secret.exists():
            secret.write_bytes(os.urandom(32))
            secret.chmod(0o600)
        done = subprocess.run([PROGRAM, "sign", "--secret-file", str(secret), "--path", path, *more],
                              stdout=subprocess.PIPE, check=True, text=True)
        return {"SECRET_FILE": [secret]}, f"{path}?{done.stdout.strip()}"

    def assert_page(self, answer):
        self.assertEqual(answer.json(), {"answer": 42})
        self.assertNotIn("X-Flameprof-Status", answer)

    def assert_picture(self, answer):
        self.assertEqual(answer["X-Flameprof-Status"], "200 OK")

    def test_signed_links(self):
        config, link = self.sign("/data/")
        with self.site(**config):
            self.assert_picture(get(link, **FAR))
            self.assert_page(get(link[:-1], **FAR))
            self.assert_page(get("/data/?flamegraph=1", **FAR))
            token = link.rpartition("=")[2]
            self.assert_picture(get("/data/?flamegraph=1", HTTP_X_FLAMEPROF_TOKEN=token, **FAR))

    def test_a_link_that_is_good_once(self):
        with self.site():
            get("/data/?flamegraph=1")
        time.sleep(1.1)  # signed in a later second than the memory of spent ones began
        config, link = self.sign("/data/", "--once")
        with self.site(**config):
            self.assert_picture(get(link, **FAR))
            self.assert_page(get(link, **FAR))

    def test_trusted_proxies(self):
        proxy = {"HTTP_HOST": "127.0.0.1", "REMOTE_ADDR": "10.0.0.1"}
        with self.site(TRUSTED_PROXIES=["10.0.0.0/8"], ALLOW=["192.0.2.0/24"]):
            for client, may in (("192.0.2.9", True), ("198.51.100.1", False)):
                answer = get("/data/?flamegraph=1", HTTP_X_FORWARDED_FOR=client, **proxy)
                self.assertEqual("X-Flameprof-Status" in answer, may)

    def test_off_file(self):
        off = self.folder / "off"
        with self.site(OFF_FILE=off):
            self.assert_picture(get("/data/?flamegraph=1"))
            off.touch()
            self.assert_page(get("/data/?flamegraph=1"))

    def test_limits(self):
        with self.site(MIN_INTERVAL=0.001):
            answer = get("/data/?flamegraph=1&interval=0.0005")
            self.assertEqual(answer.status_code, 400)
        with self.site(MAX_PICTURE_BYTES=65536, WORKER_AT_ONCE=1):
            self.assert_picture(get("/data/" + FOLDED))
            with self.within_a_profile(lambda: get("/data/?flamegraph=1")) as answers:
                self.assertEqual(answers[0].status_code, 429)
                self.assertIn("Retry-After", answers[0])

    @contextlib.contextmanager
    def within_a_profile(self, ask):
        answers = []

        def busy(environ, start_response):
            answers.append(ask())
            start_response("200 OK", [])
            return []

        app = flameprof.Middleware(busy, per_minute=1000000)
        app({"REQUEST_METHOD": "GET", "QUERY_STRING": "flamegraph=1",
             "SERVER_PROTOCOL": "HTTP/1.1", "wsgi.errors": io.StringIO(), **HOST}, lambda *_: None)
        yield answers

    def test_unsafe_methods(self):
        for on in (False, True):
            with self.site(UNSAFE_METHODS=on):
                answer = Client().post("/data/?flamegraph=1", {"a": "b"}, **HOST)
                self.assertEqual("X-Flameprof-Status" in answer, on)


class Kept(Keeping):
    def test_of_a_request_that_goes_on(self):
        with self.site(DIR=self.kept):
            plain = get("/cookie/")
            answer = get("/cookie/?flamegraph=1&flamegraph_keep=1")
            [name] = self.profiles(1)
            self.assertEqual(answer["X-Flameprof-Kept"], name)
            del answer["X-Flameprof-Kept"]
            self.assertEqual(answer.content, plain.content)
            self.assertEqual(dict(answer.items()), dict(plain.items()))
            self.assertEqual(answer.cookies["a"].value, "1")
            shown = get(f"/_flameprof/{name}?flamegraph_format=folded").content.decode()
            self.assertRegex(shown, r"\bcookie\b")
            self.assertIn(name, get("/_flameprof/").content.decode())
            difference = get(f"/cookie/?flamegraph=1&flamegraph_diff={name}")
            self.assertEqual(difference["Content-Type"], "image/svg+xml")

    def test_for_nobody_else(self):
        with self.site(DIR=self.kept, URL="/kept/"):
            self.assertEqual(get("/kept/").status_code, 200)
            self.assertEqual(get("/_flameprof/").status_code, 404)
            self.assertEqual(get("/kept/", **FAR).content, get("/nothing/", **FAR).content)
        with self.site(STAFF, DIR=self.kept, AUTHORIZE="is_staff"):
            self.assertEqual(get("/_flameprof/", HTTP_X_USER="active staff", **FAR).status_code, 200)
            self.assertEqual(get("/_flameprof/", HTTP_X_USER="active").status_code, 404)

    def test_with_what_is_streamed(self):
        with self.site(DIR=self.kept):
            answer = get("/stream/?flamegraph=1&flamegraph_keep=1")
            self.assertEqual(list(self.kept.glob("*.pb.gz")), [])  # it has not ended
            self.assertEqual(answer.getvalue(), b"ab")
            answer.close()
            [name] = self.profiles(1)
            shown = get(f"/_flameprof/{name}?flamegraph_format=folded").content.decode()
            self.assertIn("parts", shown)

    def test_pushed(self):
        got = queue.Queue()

        class Collector(http.server.BaseHTTPRequestHandler):
            def do_POST(self):
                self.rfile.read(int(self.headers["Content-Length"]))
                got.put(self.path)
                self.send_response(200)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *_):
                pass

        server = http.server.HTTPServer(("127.0.0.1", 0), Collector)
        self.addCleanup(server.server_close)
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        self.addCleanup(thread.join, 10)
        self.addCleanup(server.shutdown)
        with self.site(PUSH=f"http://127.0.0.1:{server.server_port}", PUSH_SERVICE="shop"):
            get("/data/?flamegraph=1")
            self.assertIn("shop", got.get(timeout=20))


class Watched(Seeing, Keeping):
    """Nobody asked; the views of site/urls.py compute for 0.03 s and more."""

    def assert_shown(self, function):
        [name] = self.profiles(1)
        with self.site(DIR=self.kept):
            shown = get(f"/_flameprof/{name}?flamegraph_format=folded").content.decode()
        self.assert_seen([function], re.findall(r"\w+", shown))

    def test_slow(self):
        with self.site(DIR=self.kept, SLOWER_THAN=0.02, SLOW_INTERVAL=0.005):
            answer = get("/data/?page=2")
            self.assertEqual(answer.json(), {"answer": 42})
        self.assert_shown("data")

    def test_not_slow(self):
        with self.site(DIR=self.kept, SLOWER_THAN=20):
            self.assertEqual(get("/data/").json(), {"answer": 42})
        self.assert_never_kept()

    def test_streamed(self):
        with self.site(DIR=self.kept, SLOWER_THAN=0.02, SLOW_INTERVAL=0.005):
            answer = get("/stream/")
            self.assertEqual(answer.getvalue(), b"ab")
            answer.close()
        self.assert_shown("parts")

    def test_failed(self):
        with self.site(DIR=self.kept, ON_ERROR=True, SLOW_INTERVAL=0.005):
            get("/cookie/")  # a 404
            self.assertEqual(get("/broken/").status_code, 500)
        self.assert_shown("broken")

    def test_answers_are_the_same(self):
        for path in ("/", "/data/", "/cookie/", "/stream/", "/closing/", "/broken/"):
            with self.subTest(path=path):
                answers = []
                for config in ({}, {"SLOWER_THAN": 0.001, "DIR": self.kept}):
                    with self.site(**config):
                        answer = get(path)
                        content = answer.getvalue()
                        answer.close()
                        answers.append((answer.status_code, content, dict(answer.items()),
                                        answer.cookies.output()))
                self.assertEqual(*answers)
        self.profiles(6)

    def test_nothing_is_in_the_way_of_what_asks_for_nothing(self):
        with self.site(DIR=self.kept), unittest.mock.patch(
                "flameprof.django.middleware.Visit", side_effect=AssertionError):
            self.assertEqual(get("/data/?a=b").json(), {"answer": 42})


if __name__ == "__main__":
    unittest.main()
