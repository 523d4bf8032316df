"""The panel for every site: what becomes of pages, of everything else, and of profiles."""

import gc
import gzip
import os
import re
import subprocess
import sys
import tempfile
import time
import unittest
import wsgiref.util
import wsgiref.validate
import xml.etree.ElementTree

import lifted

sys.path.insert(1, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))

from measuring import Seeing  # noqa: E402

PAGE = b"<!doctype html><html><head><title>A</title></head><body><p>\xc3\xa9</p></body></html>"
HTML = [("Content-Type", "text/html; charset=utf-8"), ("X-Own", "kept"), ("Set-Cookie", "a=1"),
        ("Set-Cookie", "b=2")]
BADGE = re.compile(rb"<flameprof-badge[^>]*></flameprof-badge><script>.*?</script>", re.S)
STRANGERS = ({"REMOTE_ADDR": "192.0.2.1"}, {"HTTP_X_FORWARDED_FOR": "192.0.2.1"},
             {"HTTP_SEC_FETCH_SITE": "cross-site"}, {"HTTP_HOST": "example.org"})


def work(seconds=0.005):
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        pass


def site(headers=HTML, body=(PAGE,), status="200 OK", seconds=0.005):
    def app(environ, start_response):
        work(seconds)
        start_response(status, list(headers))
        return list(body)

    return app


class Closing:
    def __init__(self, parts, error=None):
        self.parts = iter(parts)
        self.error = error
        self.closed = 0

    def __iter__(self):
        return self

    def __next__(self):
        part = next(self.parts, None)
        if part is None and self.error is not None:
            raise self.error
        if part is None:
            raise StopIteration
        return part

    def close(self):
        self.closed += 1


class Answer:
    """What a server would send of an application's answer."""

    def __init__(self, app, checked=True, **more):
        environ = {"REMOTE_ADDR": "127.0.0.1", "SERVER_PROTOCOL": "HTTP/1.1", "QUERY_STRING": "",
                   "HTTP_HOST": "127.0.0.1", "HTTP_SEC_FETCH_DEST": "document", **more}
        wsgiref.util.setup_testing_defaults(environ)
        self.status = self.headers = self.error = None
        self.written = []
        self.started = 0

        def start_response(status, headers, exc_info=None):
            self.status, self.headers = status, headers
            self.started += 1
            return self.written.append

        if checked:
            app = wsgiref.validate.validator(app)
        self.returned = app(environ, start_response)
        parts = []
        try:
            for part in self.returned:
                parts.append(part)
        except Exception as error:
            self.error = error
        finally:
            if hasattr(self.returned, "close"):
                self.returned.close()
        self.parts = parts
        self.body = b"".join(parts)

    def all(self, name):
        return [value for key, value in self.headers if key.lower() == name.lower()]

    def header(self, name):
        values = self.all(name)
        return values[0] if values else None

    @property
    def profile(self):
        found = re.search(r'flameprof;dur=[\d.]+;desc="([0-9a-f]{32})"',
                          ", ".join(self.all("Server-Timing")))
        return found and found[1]


def kept(folder):
    """Files of profiles; beside them is what workers share."""
    names = os.listdir(folder) if os.path.exists(folder) else []
    return [name for name in names if not name.startswith("common-")]


class Panel(Seeing):
    def setUp(self):
        folder = tempfile.TemporaryDirectory(prefix="flameprof-panel-")
        self.addCleanup(folder.cleanup)
        self.folder = os.path.join(folder.name, "kept")

    def panel(self, app, **options):
        options = {"panel": True, "panel_folder": self.folder, **options}
        return lifted.Middleware(app, **options)

    def assert_left_alone(self, answer, plain, timed=False):
        self.assertEqual(answer.status, plain.status)
        self.assertEqual(answer.body, plain.body)
        ours = [pair for pair in answer.headers if pair[0] != "Server-Timing"]
        self.assertEqual(ours, plain.headers)
        self.assertEqual(bool(answer.profile), timed)


class Pages(Panel):
    def test_a_badge_before_the_end(self):
        answer = Answer(self.panel(site([*HTML, ("Content-Length", str(len(PAGE)))])))
        self.assertEqual(answer.status, "200 OK")
        self.assertEqual(BADGE.sub(b"", answer.body), PAGE)
        self.assertEqual(len(BADGE.findall(answer.body)), 1)
        self.assertTrue(answer.body.endswith(b"</script></body></html>"))
        self.assertEqual(answer.all("Content-Length"), [str(len(answer.body))])
        self.assertEqual([pair for pair in answer.headers if pair in HTML], HTML)
        self.assertEqual(answer.all("Cache-Control"), ["no-store"])
        self.assertIn(f'data-profile="{answer.profile}"'.encode(), answer.body)
        self.assertRegex(answer.body, rb'data-microseconds="[1-9]\d+" data-samples="\d+"')

    def test_the_last_body_is_the_end(self):
        page = b"<html><body><script>'</body>'</script></BODY ></html>"
        answer = Answer(self.panel(site(body=[page])))
        self.assertTrue(answer.body.endswith(b"</script></BODY ></html>"), answer.body[-60:])
        self.assertEqual(BADGE.sub(b"", answer.body), page)

    def test_where_the_end_is_not_sure(self):
        """What is put into a script, an attribute or a comment would break out of it."""
        for page in (
            b'<body><p>hi<script>window.D={"a":"</body><img src=x onerror=alert(1)>"}</script>',
            b'<body><iframe srcdoc="<body>a</body>"></iframe>',
            b"<body><script>x</body></html>", b"<body><!-- </body></html>",
            b"<body><textarea></body></html>", b"<title></body></html>",
            b"<body>text</body> more", b"<body></body", b"<body></bodyx>",
            b"<body></body><script>1</script></html>",
        ):
            with self.subTest(page=page):
                self.assertEqual(Answer(self.panel(site(body=[page]))).body, page)
        for end in (b"</body>", b"</BODY\n>\n</HTML >\n", b"</body><!-- served by a --></html>\n<!-- b -->"):
            with self.subTest(end=end):
                page = b"<!doctype html><body><!-- <script> --><script>'<b'</script>" + end
                answer = Answer(self.panel(site(body=[page])))
                self.assertEqual(BADGE.sub(b"", answer.body), page)
                self.assertTrue(answer.body.endswith(b"</script>" + end))

    def test_what_would_be_wrong_of_a_changed_page_is_gone(self):
        wrong = [("X-Accel-Expires", "60"), ("Surrogate-Control", "max-age=600"),
                 ("CDN-Cache-Control", "max-age=600"), ("Pragma", "cache"),
                 ("ETag", '"x"'), ("Last-Modified", "Thu, 01 Jan 1970 00:00:00 GMT"),
                 ("Cache-Control", "max-age=9"), ("Content-MD5", "x"), ("Digest", "x")]
        answer = Answer(self.panel(site([*HTML, *wrong])))
        for name, value in wrong:
            self.assertNotIn(value, answer.all(name))

    def test_shapes_with_an_end_in_sight(self):
        length = ("Content-Length", str(len(PAGE)))
        for name, app in {
            "a tuple": lambda e, s: (s("200 OK", list(HTML)), (PAGE[:9], PAGE[9:]))[1],
            "a generator that says its length": lambda e, s: (
                s("200 OK", [*HTML, length]), iter([PAGE[:30], b"", PAGE[30:]]))[1],
            "an error page": site(status="500 Oops"),
        }.items():
            with self.subTest(name):
                answer = Answer(self.panel(app))
                self.assertEqual(BADGE.sub(b"", answer.body), PAGE)
                self.assertIsNotNone(BADGE.search(answer.body))

    def test_posted(self):
        answer = Answer(self.panel(site()), REQUEST_METHOD="POST", CONTENT_LENGTH="0")
        self.assertIsNotNone(BADGE.search(answer.body))

    def test_browsers_that_do_not_say_what_for(self):
        for more, badge in (({"HTTP_ACCEPT": "text/html,*/*"}, True), ({"HTTP_ACCEPT": "*/*"}, False),
                            ({"HTTP_ACCEPT": "text/html", "HTTP_X_REQUESTED_WITH": "X"}, False)):
            with self.subTest(more=more):
                environ = {"HTTP_SEC_FETCH_DEST": "document", **more}
                panel = self.panel(site())

                def app(environ, start_response):
                    del environ["HTTP_SEC_FETCH_DEST"]
                    return panel(environ, start_response)

                answer = Answer(app, checked=False, **environ)
                self.assertEqual(BADGE.search(answer.body) is not None, badge)

    def test_in_an_html_attribute_nothing_breaks_out(self):
        os.symlink("/", self.folder)
        answer = Answer(self.panel(site()))
        self.assertIn(b'data-problem="No profile can be kept', answer.body)
        self.assertIsNone(answer.profile)
        self.assertEqual(BADGE.sub(b"", answer.body), PAGE)

    def test_policies(self):
        digest = re.search(r"'sha256-[^']+'", Answer(self.panel(site(
            [*HTML, ("Content-Security-Policy", "script-src 'self'")]))).header(
                "Content-Security-Policy"))[0]
        for policy, changed, frames in (
            ("default-src 'self'", f"default-src 'self'; script-src 'self' {digest}", 1),
            ("script-src 'self'", f"script-src 'self' {digest}", 1),
            ("script-src 'nonce-abc' 'strict-dynamic'; object-src 'none'",
             f"script-src 'nonce-abc' 'strict-dynamic' {digest}; object-src 'none'", 1),
            ("Script-Src  'unsafe-inline'", "Script-Src  'unsafe-inline'", 1),
            ("script-src 'unsafe-inline' 'nonce-a'",
             f"script-src 'unsafe-inline' 'nonce-a' {digest}", 1),
            ("script-src 'none'; script-src-elem https:",
             f"script-src 'none'; script-src-elem https: {digest}", 1),
            ("default-src 'none'; script-src 'self'",
             f"default-src 'none'; script-src 'self' {digest}", 0),
            ("frame-src https://example.org", "frame-src https://example.org", 0),
            ("img-src 'self'", "img-src 'self'", 1),
            ("script-src 'self', default-src https:; frame-src 'self'",
             f"script-src 'self' {digest}, default-src https:; frame-src 'self'; "
             f"script-src https: {digest}", 1),
            ("sandbox allow-scripts; script-src 'self';",
             f"sandbox allow-scripts; script-src 'self' {digest};", 1),
        ):
            with self.subTest(policy=policy):
                headers = [*HTML, ("Content-Security-Policy", policy),
                           ("content-security-policy-report-only", policy)]
                answer = Answer(self.panel(site(headers)))
                self.assertEqual(answer.header("Content-Security-Policy"), changed)
                self.assertEqual(answer.header("Content-Security-Policy-Report-Only"), changed)
                self.assertIn(f'data-frames="{frames}"'.encode(), answer.body)

    def test_policies_that_want_no_script(self):
        for policy in ("script-src 'none'", "default-src 'none'", "sandbox", "script-src",
                       "sandbox allow-forms; script-src 'self'", "img-src *, script-src 'none'"):
            with self.subTest(policy=policy):
                app = site([*HTML, ("Content-Security-Policy", policy)])
                self.assert_left_alone(Answer(self.panel(app)), Answer(app))


class EverythingElse(Panel):
    def test_strangers(self):
        body = [PAGE]

        def app(environ, start_response):
            start_response("200 OK", list(HTML))
            return body

        for more in (*STRANGERS, {"HTTP_SEC_FETCH_DEST": "image"}, {"FLAMEPROF_TAKEN": "1"},
                     {"HTTP_COOKIE": "x=1; flameprof_panel=off"}):
            with self.subTest(more=more):
                answer = Answer(self.panel(app), checked=False, **more)
                self.assertIs(answer.returned, body)
                self.assertEqual(answer.headers, HTML)
        self.assertEqual(kept(self.folder), [])

    def test_without_the_option(self):
        answer = Answer(lifted.Middleware(site(), panel=False, panel_folder=self.folder))
        self.assertEqual((answer.body, answer.headers), (PAGE, HTML))
        self.assertEqual(kept(self.folder), [])

    def test_whoever_hid_it_can_have_it_back(self):
        off = {"HTTP_COOKIE": "flameprof_panel=off"}
        panel = self.panel(site())
        self.assertEqual(Answer(panel, **off).body, PAGE)
        back = Answer(panel, QUERY_STRING="flamegraph_panel=1", **off)
        self.assertIsNotNone(BADGE.search(back.body))

    def test_authorize_decides_alone(self):
        panel = self.panel(site(), authorize=lambda environ: environ["REMOTE_ADDR"] == "192.0.2.1")
        self.assertIsNotNone(BADGE.search(Answer(panel, REMOTE_ADDR="192.0.2.1").body))
        self.assertEqual(Answer(panel).body, PAGE)

    def test_no_page(self):
        plain = dict(HTML)
        for name, headers, body in (
            ("json", [("Content-Type", "application/json")], b"{}"),
            ("gzip", [*HTML, ("Content-Encoding", "gzip")], gzip.compress(PAGE)),
            ("an attachment", [*HTML, ("Content-Disposition", "attachment; filename=a")], PAGE),
            ("utf-16", [("Content-Type", "text/html; charset=UTF-16")], PAGE.decode().encode("utf-16")),
            ("a part of one", [*HTML, ("Content-Range", "bytes 0-9/10")], PAGE),
            ("a fragment", HTML, b"<p>a</p>"),
            ("empty", HTML, b""),
            ("its own policy", HTML, PAGE.replace(
                b"<title>", b"<meta http-equiv=Content-Security-Policy content='x'><title>")),
            ("no type", [("X-Own", plain["X-Own"])], PAGE),
        ):
            with self.subTest(name):
                app = site(headers, [body])
                self.assert_left_alone(Answer(self.panel(app), checked=False),
                                       Answer(app, checked=False))

    def test_requests_by_script(self):
        app = site()
        self.assert_left_alone(Answer(self.panel(app), HTTP_SEC_FETCH_DEST="empty"), Answer(app), True)

    def test_what_others_may_be_answered_with_says_nothing(self):
        for name, value, said in (
            ("Cache-Control", "public", False), ("cache-control", "max-age=60", False),
            ("Cache-Control", "s-maxage=60", False), ("X-Accel-Expires", "60", False),
            ("Surrogate-Control", "max-age=60", False), ("CDN-Cache-Control", "max-age=60", False),
            ("Cache-Control", "private, max-age=0", True), ("Cache-Control", "no-store", True),
        ):
            with self.subTest(header=(name, value)):
                app = site([("Content-Type", "application/json"), (name, value)], [b"{}"])
                answer = Answer(self.panel(app), HTTP_SEC_FETCH_DEST="empty")
                self.assert_left_alone(answer, Answer(app), said)

    def test_a_script_waits_no_longer_for_its_first_byte(self):
        seen = []

        def parts():
            for part in (b"{", b"}"):
                seen.append(part)
                yield part

        def app(environ, start_response):
            start_response("200 OK", [("Content-Type", "application/json"), ("Content-Length", "2")])
            return parts()

        answer = Answer(self.panel(app), HTTP_SEC_FETCH_DEST="empty")
        self.assertEqual((answer.body, bool(answer.profile)), (b"{}", True))
        seen.clear()
        self.panel(app)({"REMOTE_ADDR": "127.0.0.1", "HTTP_HOST": "127.0.0.1",
                         "SERVER_PROTOCOL": "HTTP/1.1", "REQUEST_METHOD": "GET",
                         "HTTP_SEC_FETCH_DEST": "empty"}, lambda *_: None)
        self.assertEqual(seen, [])

    def test_a_list_stays_a_list(self):
        body = [b"<p>no whole page</p>"]

        def app(environ, start_response):
            start_response("200 OK", list(HTML))
            return body

        for destination in ("document", "empty"):
            answer = Answer(self.panel(app), checked=False, HTTP_SEC_FETCH_DEST=destination)
            self.assertIs(answer.returned, body)

    def test_one_behind_the_other_samples_once(self):
        panel = self.panel(self.panel(self.panel(site())))
        environ = {"HTTP_SEC_FETCH_DEST": "document"}
        answer = Answer(panel, **environ)
        self.assertEqual(len(BADGE.findall(answer.body)), 1)
        self.assertEqual(len(answer.all("Server-Timing")), 1)
        self.assertEqual(len(os.listdir(self.folder)), 1)

    def test_the_mark_for_the_others_goes(self):
        environ = {"REMOTE_ADDR": "127.0.0.1", "HTTP_HOST": "127.0.0.1", "REQUEST_METHOD": "GET",
                   "SERVER_PROTOCOL": "HTTP/1.1", "HTTP_SEC_FETCH_DEST": "document"}
        before = dict(environ)
        self.panel(site())(environ, lambda *_: None)
        self.assertEqual(environ, before)

    def test_odd_headers_and_bodies_are_the_servers(self):
        for headers in ([*HTML, ["Content-Length", "27"]], [*HTML, ("X-A", "\u20ac")],
                        [*HTML, ("X-A", b"bytes")]):
            with self.subTest(headers=headers):
                app = site(headers)
                answer = Answer(self.panel(app), checked=False)
                self.assertEqual((answer.headers, answer.body), (headers, PAGE))

        def a_tuple(environ, start_response):
            start_response("200 OK", tuple(HTML))
            return [PAGE]

        self.assertEqual(Answer(self.panel(a_tuple), checked=False).headers, tuple(HTML))
        odd = [bytearray(PAGE)]

        def of_arrays(environ, start_response):
            start_response("200 OK", list(HTML))
            return odd

        self.assertIs(Answer(self.panel(of_arrays), checked=False).returned, odd)

    def test_what_a_script_did_stands_beside_the_sites_own_timing(self):
        app = site([*HTML, ("Server-Timing", "db;dur=3")])
        answer = Answer(self.panel(app), HTTP_SEC_FETCH_DEST="empty")
        self.assertEqual(len(answer.all("Server-Timing")), 2)
        self.assertIn("db;dur=3", answer.all("Server-Timing"))

    def test_streamed_pages_are_passed_on_as_they_come(self):
        seen = []

        def streams(environ, start_response):
            start_response("200 OK", list(HTML))
            for part in (PAGE[:20], PAGE[20:]):
                seen.append(part)
                yield part

        def late(environ, start_response):
            yield b""
            start_response("200 OK", list(HTML))
            yield PAGE

        def returns_a_stream(environ, start_response):
            start_response("200 OK", list(HTML))
            return (part for part in (PAGE,))

        for app in (streams, late, returns_a_stream):
            with self.subTest(app=app.__name__):
                self.assert_left_alone(Answer(self.panel(app), checked=False),
                                       Answer(app, checked=False))
        started = self.panel(streams)({"REMOTE_ADDR": "127.0.0.1", "HTTP_HOST": "127.0.0.1",
                                       "SERVER_PROTOCOL": "HTTP/1.1", "REQUEST_METHOD": "GET",
                                       "HTTP_SEC_FETCH_DEST": "document"}, lambda *_: None)
        seen.clear()
        next(iter(started))
        self.assertEqual(len(seen), 1)

    def test_written(self):
        def app(environ, start_response):
            write = start_response("200 OK", list(HTML))
            write(PAGE[:10])
            write(PAGE[10:])
            return []

        answer = Answer(self.panel(app))
        self.assertEqual(b"".join(answer.written), PAGE)
        self.assertEqual(answer.headers, HTML)
        self.assertEqual(answer.started, 1)

    def test_head(self):
        app = site(body=[])
        answer = Answer(self.panel(app), REQUEST_METHOD="HEAD")
        self.assertEqual(answer.headers, HTML)

    def test_larger_than_a_page(self):
        part = b"x" * (1 << 20)
        app = site([*HTML], [PAGE[:-14], *[part] * 20, b"</body></html>"])
        self.assert_left_alone(Answer(self.panel(app)), Answer(app))

    def test_raises(self):
        def at_once(environ, start_response):
            raise KeyError("no")

        with self.assertRaises(KeyError):
            Answer(self.panel(at_once))
        body = Closing([PAGE[:10]], ValueError("no"))

        def in_the_body(environ, start_response):
            start_response("200 OK", [*HTML, ("Content-Length", str(len(PAGE)))])
            return body

        answer = Answer(self.panel(in_the_body), checked=False)
        self.assertEqual(answer.body, PAGE[:10])
        self.assertIsInstance(answer.error, ValueError)
        self.assertEqual(body.closed, 1)
        self.assertEqual(answer.header("Content-Length"), str(len(PAGE)))

    def test_replaced_by_an_error_page(self):
        def app(environ, start_response):
            start_response("200 OK", [("Content-Type", "text/plain")])
            try:
                raise ValueError("no")
            except ValueError:
                start_response("500 Oops", list(HTML), sys.exc_info())
            return [PAGE]

        answer = Answer(self.panel(app))
        self.assertEqual(answer.status, "500 Oops")
        self.assertEqual(answer.started, 1)
        self.assertIsNotNone(BADGE.search(answer.body))

    def test_started_twice_is_the_applications_mistake(self):
        def app(environ, start_response):
            start_response("200 OK", list(HTML))
            start_response("200 OK", list(HTML))

        with self.assertRaises(AssertionError):
            Answer(self.panel(app), checked=False)

    def test_closed_once_when_the_server_does(self):
        for headers in ([*HTML, ("Content-Length", str(len(PAGE)))], HTML):
            body = Closing([PAGE])

            def app(environ, start_response, headers=headers, body=body):
                start_response("200 OK", list(headers))
                return body

            environ = {"REMOTE_ADDR": "127.0.0.1", "SERVER_PROTOCOL": "HTTP/1.1",
                       "REQUEST_METHOD": "GET", "HTTP_HOST": "127.0.0.1",
                       "HTTP_SEC_FETCH_DEST": "document"}
            returned = self.panel(app)(environ, lambda *_: None)
            list(returned)
            self.assertEqual(body.closed, 0)
            returned.close()
            returned.close() if returned is not body else None
            self.assertEqual(body.closed, 1)

    def test_nothing_is_left_behind(self):
        panel = self.panel(site([*HTML, ("Content-Security-Policy", "default-src 'self'")]))
        broken = self.panel(lambda environ, start_response: 1 / 0)

        def visit():
            Answer(panel, checked=False)
            Answer(panel, checked=False, HTTP_SEC_FETCH_DEST="empty")
            with self.assertRaises(ZeroDivisionError):
                Answer(broken, checked=False)

        visit()
        gc.collect()
        before = len(gc.get_objects()), len(os.listdir("/proc/self/fd"))
        for _ in range(20):
            visit()
        gc.collect()
        after = len(gc.get_objects()), len(os.listdir("/proc/self/fd"))
        self.assertLess(after[0] - before[0], 15)
        self.assertEqual(after[1], before[1])


class Kept(Panel):
    def ask(self, panel, profile, query="", **more):
        return Answer(panel, QUERY_STRING=f"flamegraph_profile={profile}{query}", **more)

    def test_shown_by_whoever_is_asked(self):
        profile = Answer(self.panel(site(seconds=0.1))).profile
        code = (
            "import flameprof, sys\n"
            "panel = flameprof.Middleware(lambda *_: [], panel=True, panel_folder=sys.argv[1])\n"
            "environ = dict(REMOTE_ADDR='127.0.0.1', SERVER_PROTOCOL='HTTP/1.1',"
            " HTTP_HOST='localhost', REQUEST_METHOD='GET', PATH_INFO='/',\n"
            "    QUERY_STRING='flamegraph_profile=' + sys.argv[2])\n"
            "body = panel(environ, lambda status, headers: print(status, dict(headers)))\n"
            "print(b''.join(body).decode())\n")
        done = subprocess.run([sys.executable, "-B", "-c", code, self.folder, profile],
                              stdout=subprocess.PIPE, check=True, timeout=30)
        said, _, picture = done.stdout.decode().partition("\n")
        self.assertTrue(said.startswith("200 OK"), said)
        self.assertIn("image/svg+xml", said)
        xml.etree.ElementTree.fromstring(picture)
        self.assert_seen(["work"], picture)

    def test_formats_and_options(self):
        panel = self.panel(site(seconds=0.1))
        profile = Answer(panel).profile
        for name in ("svg", "html", "png", "pdf", "folded", "json", "speedscope", "pprof", "gecko"):
            with self.subTest(format=name):
                answer = self.ask(panel, profile, f"&flamegraph_format={name}")
                self.assertEqual(answer.status, "200 OK")
                self.assertEqual(answer.header("Cache-Control"), "no-store")
                self.assertTrue(answer.body)
        cpu = self.ask(panel, profile, "&flamegraph_format=folded&flamegraph_clock=cpu")
        self.assert_seen([b"work"], cpu.body)
        bad = self.ask(panel, profile, "&flamegraph_width=1")
        self.assertEqual(bad.status, "400 Bad Request")

    def test_none_such(self):
        panel = self.panel(site())
        for profile in ("0" * 32, "x", "", "../" * 9, "%2e%2e%2f"):
            with self.subTest(profile=profile):
                answer = self.ask(panel, profile)
                self.assertEqual(answer.status, "404 Not Found")
                self.assertEqual(len(answer.body.splitlines()), 1)

    def test_not_longer_than_an_hour(self):
        panel = self.panel(site())
        profile = Answer(panel).profile
        os.utime(os.path.join(self.folder, profile), (1, time.time() - 3700))
        self.assertEqual(self.ask(panel, profile).status, "404 Not Found")

    def test_strangers_have_the_page(self):
        panel = self.panel(site())
        profile = Answer(panel).profile
        for more in STRANGERS:
            self.assertEqual(self.ask(panel, profile, **more).body, PAGE)
        without = lifted.Middleware(site(), panel_folder=self.folder)
        self.assertEqual(self.ask(without, profile).body, PAGE)


if __name__ == "__main__":
    unittest.main()
