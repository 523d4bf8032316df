"""Who may ask, through the WSGI door: signed links, proxies, the off file; and what
`flameprof sign` makes and refuses."""

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

import flameprof

PROGRAM = os.environ["FLAMEPROF"]
FOLDED = "&flamegraph_format=folded"
# Of this run's own: what all workers share, and with it the limits.
SHARED = tempfile.TemporaryDirectory(prefix="flameprof-shared-")
unittest.addModuleCleanup(SHARED.cleanup)


def application(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain"), ("X-Query", environ["QUERY_STRING"])])
    return [b"as ever"]


def slowly(environ, start_response):
    time.sleep(0.02)
    return application(environ, start_response)


class Signed(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory(prefix="flameprof-sign-")
        self.addCleanup(folder.cleanup)
        self.folder = pathlib.Path(folder.name)
        self.secret = self.make_secret("secret")

    def make_secret(self, name, size=32, mode=0o600):
        path = self.folder / name
        path.write_bytes(os.urandom(size))
        path.chmod(mode)
        return str(path)

    def run_sign(self, *arguments):
        return subprocess.run([PROGRAM, "sign", *arguments], capture_output=True, text=True)

    def sign(self, *arguments, path="/shop/", secret=None):
        done = self.run_sign("--secret-file", secret or self.secret, "--path", path, *arguments)
        self.assertEqual((done.returncode, done.stderr), (0, ""))
        self.assertRegex(done.stdout, r"^flamegraph=1&flamegraph_token=[\w-]{64}\n$")
        return done.stdout.strip()

    def middleware(self, app=application, **options):
        options = {"secret_file": [self.secret], "panel_folder": SHARED.name,
                   "per_minute": 100000, **options}
        return flameprof.Middleware(app, **options)

    def ask(self, app, query, path="/shop/", **more):
        """(status, headers, body) for a stranger."""
        environ = {"REQUEST_METHOD": "GET", "SCRIPT_NAME": "", "PATH_INFO": path,
                   "QUERY_STRING": query, "REMOTE_ADDR": "192.0.2.9", "HTTP_HOST": "shop.example",
                   "SERVER_PROTOCOL": "HTTP/1.1", "wsgi.errors": None, **more}
        said = []
        body = app(environ, lambda status, headers, info=None: said.extend([status, headers]))
        return said[0], dict(said[1]), b"".join(body)

    def assert_profiled(self, answer):
        self.assertEqual(answer[0], "200 OK")
        self.assertIn("X-Flameprof-Status", answer[1])

    def assert_ordinary(self, answer, query):
        """What the application answers without us."""
        self.assertEqual(answer, ("200 OK", {"Content-Type": "text/plain", "X-Query": query},
                                  b"as ever"))


class Door(Signed):
    def test_a_signed_link(self):
        app = self.middleware()
        query = self.sign()
        self.assert_ordinary(self.ask(app, "flamegraph=1"), "flamegraph=1")
        self.assert_profiled(self.ask(app, query))
        answer = self.ask(app, query + FOLDED)
        self.assert_profiled(answer)
        self.assertIn(b"application", answer[2])
        # The application is called with the query as it came.
        self.assertEqual(answer[1]["X-Query"], query + FOLDED)
        self.assert_ordinary(self.ask(app, query, path="/other/"), query)
        self.assert_ordinary(self.ask(app, query, path="/shop/x"), query)
        self.assert_profiled(self.ask(app, query, SCRIPT_NAME="/shop", path="/"))
        self.assert_ordinary(self.ask(app, query + "x"), query + "x")
        self.assert_profiled(self.ask(app, query, HTTP_SEC_FETCH_SITE="cross-site"))

    def test_the_token_does_not_stand_in_the_picture(self):
        for name in ("flamegraph_token", "flamegraph%5Ftoken", "%66lamegraph_token"):
            with self.subTest(name=name):
                query = self.sign().replace("flamegraph_token", name)
                log = io.StringIO()
                picture = self.ask(self.middleware(), query, **{"wsgi.errors": log})[2]
                for shown in (picture.decode(), log.getvalue()):
                    self.assertIn("flamegraph_token=...", shown)
                    self.assertNotIn(query.rpartition("=")[2], shown)

    def test_header_and_cookie(self):
        app = self.middleware()
        token = self.sign().rpartition("=")[2]
        self.assert_profiled(self.ask(app, "flamegraph=1", HTTP_X_FLAMEPROF_TOKEN=token))
        cookie = {"HTTP_COOKIE": "session=1; flameprof_token=" + token}
        self.assert_profiled(self.ask(app, "flamegraph=1", **cookie))
        self.assert_ordinary(
            self.ask(app, "flamegraph=1", HTTP_SEC_FETCH_SITE="cross-site", **cookie),
            "flamegraph=1")
        self.assert_ordinary(self.ask(app, "a=b", **cookie), "a=b")

    def test_paths_are_compared_without_escapes(self):
        app = self.middleware()
        query = self.sign(path="/caf%C3%A9%20/%")
        self.assert_profiled(self.ask(app, query, path="/caf\xc3\xa9 /%"))
        self.assert_ordinary(self.ask(app, query, path="/caf%C3%A9%20/%"), query)

    def test_two_secrets(self):
        new = self.make_secret("new")
        app = self.middleware(secret_file=[self.secret, new])
        self.assert_profiled(self.ask(app, self.sign()))
        self.assert_profiled(self.ask(app, self.sign(secret=new)))
        query = self.sign(secret=self.make_secret("third"))
        self.assert_ordinary(self.ask(app, query), query)

    def test_interval_min(self):
        app = self.middleware()
        query = self.sign("--interval-min", "0.005")
        self.assert_profiled(self.ask(app, query))
        self.assert_profiled(self.ask(app, query + "&interval=0.005"))
        status, _, body = self.ask(app, query + "&interval=0.004")
        self.assertEqual(status, "400 Bad Request")
        self.assertEqual(body, b"The interval is too small for this token: it allows "
                               b"0.005000000 seconds and more.\n")

    def test_a_link_shows_nothing_that_is_kept_of_other_paths(self):
        app = self.middleware(dir=str(self.folder / "kept"), panel=True)
        local = {"REMOTE_ADDR": "127.0.0.1", "HTTP_HOST": "localhost"}
        names = []
        for path in ("/other/", "/other/"):
            answer = self.ask(app, "flamegraph=1&flamegraph_keep=1", path, **local)
            names.append(answer[1]["X-Flameprof-Kept"])
        end = time.monotonic() + 10
        while len(list((self.folder / "kept").glob("*.gz"))) < 2:
            self.assertLess(time.monotonic(), end)
            time.sleep(0.02)
        one = f"/_flameprof/{names[0]}"
        for path, more in (("/shop/", f"&flamegraph_diff={names[0]}"),
                           ("/shop/", f"&flamegraph_profile={names[0]}"),
                           (one, f"&flamegraph_diff={names[1]}")):
            query = self.sign(path=path) + more
            with self.subTest(query=query):
                status, _, body = self.ask(app, query, path)
                self.assertEqual(status, "400 Bad Request")
                self.assertIn(b"a signed link is for its own path", body)
                # Who may without it still may; the panel has no such profile.
                wanted = "404 Not Found" if "_profile" in more else "200 OK"
                self.assertEqual(self.ask(app, query, path, **local)[0], wanted)
        self.assertEqual(self.ask(app, self.sign(path=one), one)[0], "200 OK")
        # The list has them all, and its form compares them.
        url = "/_flameprof/"
        status, _, body = self.ask(app, self.sign(path=url), url)
        self.assertEqual(status, "200 OK")
        for name in names:
            self.assertIn(name.encode(), body)
        query = self.sign(path=url) + f"&flamegraph_diff={names[0]}&flamegraph_profile={names[1]}"
        self.assertEqual(self.ask(app, query, url)[0], "200 OK")

    def test_what_is_malformed_spends_no_link_to_the_list(self):
        app = self.middleware(dir=str(self.folder / "kept"))
        url = "/_flameprof/"
        time.sleep(1.1)  # signed after the memory of what is spent began
        query = self.sign("--once", path=url)
        self.assertEqual(self.ask(app, query + "&flamegraph_width=x", url)[0], "400 Bad Request")
        more = "&flamegraph_diff=x&flamegraph_profile=y"
        self.assertEqual(self.ask(app, query + more, url)[0], "404 Not Found")
        self.assert_ordinary(self.ask(app, query + more, url), query + more)

    def test_text_that_is_no_bytes_is_not_taken_for_absent(self):
        app = self.middleware()
        query = self.sign(path="/shop")
        self.assert_profiled(self.ask(app, query, "", SCRIPT_NAME="/shop"))
        self.assert_ordinary(self.ask(app, query, "/\u2019", SCRIPT_NAME="/shop"), query)
        local = {"REMOTE_ADDR": "127.0.0.1", "HTTP_HOST": "localhost"}
        self.assert_profiled(self.ask(app, "flamegraph=1", **local))
        self.assert_ordinary(self.ask(app, "flamegraph=1", HTTP_VIA="\u2019", **local),
                             "flamegraph=1")

    def test_trusted_proxies(self):
        app = self.middleware(trusted_proxies=["10.0.0.0/8"], allow=["192.0.2.0/24"])
        behind = {"REMOTE_ADDR": "10.0.0.1"}
        self.assert_profiled(
            self.ask(app, "flamegraph=1", HTTP_X_FORWARDED_FOR="192.0.2.1", **behind))
        for header, value in (("X_FORWARDED_FOR", "192.0.2.1, 198.51.100.1"),
                              ("X_FORWARDED_FOR", "unknown"), ("FORWARDED", "for=_hidden"),
                              ("HOST", "localhost")):
            with self.subTest(header=header, value=value):
                answer = self.ask(app, "flamegraph=1", **{"HTTP_" + header: value}, **behind)
                self.assert_ordinary(answer, "flamegraph=1")

    def test_the_off_file(self):
        off = self.folder / "off"
        app = self.middleware(off_file=off)
        self.assert_profiled(self.ask(self.middleware(off_file=None), self.sign()))
        query = self.sign()
        self.assert_profiled(self.ask(app, query))
        off.touch()
        self.assert_ordinary(self.ask(app, query), query)
        off.unlink()
        self.assert_profiled(self.ask(app, query))

    def test_authorize_is_asked_where_no_token_is_good(self):
        asked = []
        app = self.middleware(authorize=lambda environ: asked.append(1) or len(asked) > 1)
        self.assert_ordinary(self.ask(app, "flamegraph=1"), "flamegraph=1")
        self.assert_profiled(self.ask(app, "flamegraph=1"))
        self.assertEqual(len(asked), 2)
        self.assert_profiled(self.ask(app, self.sign()))
        self.ask(app, "a=b")
        self.assertEqual(len(asked), 2)

    def test_options_that_are_refused(self):
        for options, said in (
            ({"secret_file": [str(self.folder / "none")]}, "its owner alone can read"),
            ({"secret_file": [self.make_secret("short", 31)]}, "32 to 4096 bytes"),
            ({"secret_file": [self.make_secret("open", mode=0o644)]}, "chmod 600"),
            ({"secret_file": self.secret}, "a list"),
            ({"trusted_proxies": ["proxy"]}, "not a network"),
            ({"off_file": "off"}, "an absolute path"),
        ):
            with self.subTest(options=options):
                with self.assertRaisesRegex(ValueError, said):
                    self.middleware(**options)


# A worker of its own: SECRET FOLDER QUERY; says whether it was profiled.
WORKER = """
import sys
import flameprof

def application(environ, start_response):
    start_response("200 OK", [])
    return [b"as ever"]

_, secret, folder, query = sys.argv
app = flameprof.Middleware(application, secret_file=[secret], panel_folder=folder)
environ = {"REQUEST_METHOD": "GET", "PATH_INFO": "/shop/", "QUERY_STRING": query,
           "REMOTE_ADDR": "192.0.2.9", "SERVER_PROTOCOL": "HTTP/1.1"}
print(b"<svg" in b"".join(app(environ, lambda *said: None)))
"""


class Once(Signed):
    def setUp(self):
        super().setUp()
        app = self.middleware()
        self.ask(app, "flamegraph=1")
        time.sleep(1.1)  # signed in a later second than the memory of spent ones began

    def test_good_once(self):
        app = self.middleware()
        query = self.sign("--once")
        self.assert_profiled(self.ask(app, query))
        self.assert_ordinary(self.ask(app, query), query)
        self.assert_ordinary(self.ask(self.middleware(), query), query)
        self.assert_profiled(self.ask(app, self.sign("--once")))

    def test_by_many_at_once(self):
        app = self.middleware()
        query = self.sign("--once")
        barrier = threading.Barrier(8)
        statuses = []

        def ask():
            barrier.wait(10)
            statuses.append("X-Flameprof-Status" in self.ask(app, query)[1])

        threads = [threading.Thread(target=ask) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(30)
        self.assertEqual(sorted(statuses), [False] * 7 + [True])

    def test_a_limit_spends_nothing(self):
        """Whoever is told to come back can, whatever it was to be."""
        folder = str(self.folder / "kept")
        app = self.middleware(worker_at_once=1, dir=folder)
        asked = []

        def busy(environ, start_response):
            for query in queries:
                asked.append(self.ask(app, query))
            return application(environ, start_response)

        queries = [self.sign("--once"), self.sign("--once") + "&flamegraph_keep=1"]
        self.assert_profiled(self.ask(self.middleware(app=busy), self.sign()))
        self.assertEqual([answer[0] for answer in asked], ["429 Too Many Requests"] * 2)
        self.assertTrue(all("Retry-After" in answer[1] for answer in asked))
        self.assert_profiled(self.ask(app, queries[0]))
        self.assertIn("X-Flameprof-Kept", self.ask(app, queries[1])[1])
        for query in queries:
            self.assert_ordinary(self.ask(app, query), query)

    def test_once_beside_limits(self):
        """However often it is refused by a limit, by many at once: one profile."""
        app = self.middleware(worker_at_once=1)
        hog = self.middleware(worker_at_once=1, app=slowly)
        query, other = self.sign("--once"), self.sign()
        ends = []

        def ask():
            status, headers, _ = self.ask(app, query)
            while status.startswith("429"):
                time.sleep(0.003)
                status, headers, _ = self.ask(app, query)
            ends.append("X-Flameprof-Status" in headers)

        def keep_busy():
            for _ in range(5):
                self.ask(hog, other)
                time.sleep(0.005)

        threads = [threading.Thread(target=ask) for _ in range(6)]
        threads.append(threading.Thread(target=keep_busy))
        for thread in reversed(threads):
            thread.start()
        for thread in threads:
            thread.join(30)
        self.assertEqual(sorted(ends), [False] * 5 + [True])

    def test_by_several_processes(self):
        query = self.sign("--once")
        workers = [
            subprocess.Popen(
                [sys.executable, "-B", "-c", WORKER, self.secret, SHARED.name, query],
                stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
            for _ in range(4)
        ]
        said = sorted(worker.communicate(timeout=30)[0].strip() for worker in workers)
        self.assertEqual(said, ["False"] * 3 + ["True"])


class Command(Signed):
    def test_no_two_are_the_same(self):
        self.assertNotEqual(self.sign(), self.sign())

    def test_wrong_command_lines(self):
        secret = ("--secret-file", self.secret)
        for arguments, said in (
            ((), "--secret-file is missing"),
            (secret, "--path is missing"),
            (("--path", "/"), "--secret-file is missing"),
            ((*secret, *secret, "--path", "/"), "one secret"),
            ((*secret, "--path", ""), "--path takes"),
            ((*secret, "--path", "shop/"), "--path takes"),
            ((*secret, "--path", "https://shop.example/"), "--path takes"),
            ((*secret, "--path", "/?a=b"), "--path takes"),
            ((*secret, "--path", "/#a"), "--path takes"),
            ((*secret, "--path", "/" + "x" * 1024), "--path takes"),
            ((*secret, "--path", "/", "more"), "more"),
            ((*secret, "--path", "/", "--often"), "--often"),
            *(((*secret, "--path", "/", "--expires", value), "--expires takes")
              for value in ("", "0s", "10", "m", "-1m", "1.5h", "10 m", "10mm", "31d", "721h",
                            "99999999999999999999s")),
            *(((*secret, "--path", "/", "--interval-min", value), "--interval-min takes")
              for value in ("", "0", "2", "1e-9", "x")),
        ):
            with self.subTest(arguments=arguments):
                done = self.run_sign(*arguments)
                self.assertEqual((done.returncode, done.stdout), (2, ""))
                self.assertIn(said, done.stderr)
                self.assertLessEqual(len(done.stderr.splitlines()), 2)

    def test_files_that_are_refused(self):
        for path, said in (
            (str(self.folder / "none"), "No such file"),
            (str(self.folder), "no regular file"),
            (self.make_secret("short", 31), "less than 32 bytes"),
            (self.make_secret("long", 4097), "more than 4096 bytes"),
            (self.make_secret("open", mode=0o640), "others than its owner"),
        ):
            with self.subTest(path=path):
                done = self.run_sign("--secret-file", path, "--path", "/")
                self.assertEqual((done.returncode, done.stdout), (1, ""))
                self.assertEqual(len(done.stderr.splitlines()), 1)
                self.assertIn(said, done.stderr)

    def test_a_full_disk(self):
        with open("/dev/full", "wb") as full:
            done = subprocess.run(
                [PROGRAM, "sign", "--secret-file", self.secret, "--path", "/"], stdout=full)
        self.assertEqual(done.returncode, 1)

    def test_help(self):
        done = subprocess.run([PROGRAM, "sign", "--help"], capture_output=True, text=True)
        self.assertEqual(done.returncode, 0)
        for option in ("--secret-file", "--path", "--expires", "--once", "--interval-min"):
            self.assertRegex(done.stdout, rf"(?m)^ +{re.escape(option)}\b")


if __name__ == "__main__":
    unittest.main()
