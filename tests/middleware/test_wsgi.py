"""The WSGI door: response shapes, errors, what is kept, what is left alone."""

import gc
import io
import itertools
import os
import random
import re
import sys
import threading
import time
import unittest
import wsgiref.util
import wsgiref.validate
import xml.etree.ElementTree

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
import lifted  # noqa: E402 (its folder is known only now)
from measuring import Measuring, until  # noqa: E402


class Closing:
    """An iterable body that remembers whether it was closed."""

    def __init__(self, parts, error=None):
        self.parts = iter(parts)
        self.error = error
        self.closed = 0

    def __iter__(self):
        return self

    def __next__(self):
        part = next(self.parts, None)
        if part is not None:
            return part
        if self.error is not None:
            raise self.error
        raise StopIteration

    def close(self):
        self.closed += 1


PLAIN = [("Content-Type", "text/plain"), ("Set-Cookie", "a=1"), ("Set-Cookie", "b=2")]


def simple(status="200 OK", headers=PLAIN, body=(b"hello",)):
    def app(environ, start_response):
        start_response(status, list(headers))
        return list(body)

    return app


def writes(environ, start_response):
    write = start_response("200 OK", list(PLAIN))
    write(b"first")
    write(b"second")
    return [b"third"]


def generator(environ, start_response):
    start_response("200 OK", list(PLAIN))
    for _ in range(3):
        yield b"part"


def late_start(environ, start_response):
    yield b""
    start_response("200 OK", list(PLAIN))
    yield b"late"


def raises(environ, start_response):
    raise ValueError("no")


def raises_after_start(environ, start_response):
    start_response("200 OK", list(PLAIN))
    raise ValueError("no")


def raises_in_body(environ, start_response):
    start_response("200 OK", list(PLAIN))
    yield b"part"
    raise KeyError("no")


def replaces_with_exc_info(environ, start_response):
    start_response("200 OK", list(PLAIN))
    try:
        raise ValueError("no")
    except ValueError:
        start_response("500 Oops", [("Content-Type", "text/plain")], sys.exc_info())
    return [b"error page"]


def file_wrapper(environ, start_response):
    start_response("200 OK", list(PLAIN))
    return wsgiref.util.FileWrapper(io.BytesIO(b"x" * 100000))


def starts_twice(environ, start_response):
    start_response("200 OK", list(PLAIN))
    start_response("200 OK", list(PLAIN))
    return []


def returns_none(environ, start_response):
    start_response("200 OK", list(PLAIN))


SPOILING = [
    ("Content-Type", "text/html"),
    ("Content-Length", "5"),
    ("ETag", '"x"'),
    ("Content-Encoding", "gzip"),
    ("Location", "/elsewhere"),
    ("Access-Control-Allow-Origin", "*"),
    ("Cache-Control", "max-age=99"),
    ("Set-Cookie", "a=1"),
    ("X-Own", "kept"),
]

# name: (application, its own status or None, the exception it ends with or None)
SHAPES = {
    "list": (simple(), "200 OK", None),
    "empty": (simple(body=()), "200 OK", None),
    "no content": (simple("204 No Content", []), "204 No Content", None),
    "not modified": (simple("304 Not Modified", []), "304 Not Modified", None),
    "not found": (simple("404 Not Found"), "404 Not Found", None),
    "redirect": (simple("302 Found", SPOILING), "302 Found", None),
    "server error": (simple("500 Oops"), "500 Oops", None),
    "many parts": (simple(body=[b"x" * 1000] * 100), "200 OK", None),
    "empty parts": (simple(body=[b""] * 10), "200 OK", None),
    "spoiling headers": (simple(headers=SPOILING), "200 OK", None),
    "latin-1 header": (simple(headers=[("X-L", "caf\xe9")]), "200 OK", None),
    "write()": (writes, "200 OK", None),
    "generator": (generator, "200 OK", None),
    "start in the body": (late_start, "200 OK", None),
    "file wrapper": (file_wrapper, "200 OK", None),
    "exc_info": (replaces_with_exc_info, "500 Oops", None),
    "raises": (raises, None, "ValueError"),
    "raises after start": (raises_after_start, "200 OK", "ValueError"),
    "raises in the body": (raises_in_body, "200 OK", "KeyError"),
    "starts twice": (starts_twice, "200 OK", "AssertionError"),
    "returns None": (returns_none, "200 OK", "TypeError"),
}


def environ_for(query="flamegraph=1", **more):
    environ = {}
    wsgiref.util.setup_testing_defaults(environ)
    environ.update(
        QUERY_STRING=query,
        PATH_INFO="/shop/",
        REMOTE_ADDR="127.0.0.1",
        SERVER_PROTOCOL="HTTP/1.1",
        **{"wsgi.errors": io.StringIO()}
    )
    environ.update(more)
    return environ


def call(app, environ):
    """(status, headers, body) as a server sees them; raises what app raises."""
    seen = []

    def start_response(status, headers, exc_info=None):
        seen[:] = [status, headers]
        return seen.append

    parts = app(environ, start_response)
    try:
        body = b"".join(parts)
    finally:
        if hasattr(parts, "close"):
            parts.close()
    return seen[0], seen[1], body


class Shapes(unittest.TestCase):
    def check(self, name, method):
        app, status, raised = SHAPES[name]
        environ = environ_for(REQUEST_METHOD=method)
        got, headers, body = call(lifted.Middleware(app), environ)
        names = [header.lower() for header, _ in headers]
        fields = {header.lower(): value for header, value in headers}
        self.assertEqual(got, "200 OK")
        self.assertEqual(fields["content-type"], "image/svg+xml")
        self.assertEqual(fields["cache-control"], "no-store")
        self.assertEqual(fields["x-content-type-options"], "nosniff")
        self.assertIn("default-src 'none'", fields["content-security-policy"])
        for once in ("content-type", "content-length", "cache-control"):
            self.assertEqual(names.count(once), 1, once)
        for gone in ("etag", "location", "content-encoding", "access-control-allow-origin"):
            self.assertNotIn(gone, names)
        self.assertEqual(fields.get("x-flameprof-status"), status)
        if app in (SHAPES["list"][0], writes, generator):
            self.assertEqual([v for k, v in headers if k == "Set-Cookie"], ["a=1", "b=2"])
        if method == "HEAD":
            self.assertEqual(body, b"")
            self.assertGreater(int(fields["content-length"]), 1000)
        else:
            self.assertEqual(int(fields["content-length"]), len(body))
            root = xml.etree.ElementTree.fromstring(body)
            self.assertTrue(root.tag.endswith("svg"))
            text = "".join(root.itertext())
            self.assertIn("/shop/?flamegraph=1", text)
            if raised:
                self.assertIn(raised, text)
        self.assertIn("/shop/", environ["wsgi.errors"].getvalue())

    def test_get(self):
        for name in SHAPES:
            with self.subTest(name):
                self.check(name, "GET")

    def test_head(self):
        for name in SHAPES:
            with self.subTest(name):
                self.check(name, "HEAD")

    def test_not_profiled(self):
        for name, (app, _, raised) in SHAPES.items():
            for more in (
                {"query": ""},
                {"query": "flamegraph=10"},
                {"REQUEST_METHOD": "POST"},
                {"REMOTE_ADDR": "10.0.0.1"},
            ):
                with self.subTest(name, **more):
                    try:
                        expected = call(app, environ_for(**more))
                    except Exception as error:
                        with self.assertRaises(type(error)):
                            call(lifted.Middleware(app), environ_for(**more))
                        continue
                    self.assertEqual(
                        call(lifted.Middleware(app), environ_for(**more)), expected
                    )


class Details(unittest.TestCase):
    def test_close_is_called_once(self):
        for error in (None, RuntimeError("in the body")):
            body = Closing([b"a", b"b"], error)

            def app(environ, start_response):
                start_response("200 OK", [])
                return body

            call(lifted.Middleware(app), environ_for())
            self.assertEqual(body.closed, 1)

    def test_an_error_in_close_is_said(self):
        class Body(Closing):
            def close(self):
                raise OSError("in close")

        def app(environ, start_response):
            start_response("200 OK", [])
            return Body([b"a"])

        body = call(lifted.Middleware(app), environ_for())[2]
        self.assertIn(b"OSError", body)

    def test_exits_pass_and_leave_nothing(self):
        for error in (SystemExit, KeyboardInterrupt, GeneratorExit):

            def app(environ, start_response):
                raise error

            tasks = len(os.listdir("/proc/self/task"))
            with self.assertRaises(error):
                call(lifted.Middleware(app), environ_for())
            self.assertTrue(until(lambda: len(os.listdir("/proc/self/task")) <= tasks, patience=5))

    def test_query_string_and_environ_arrive_unchanged(self):
        seen = []

        def app(environ, start_response):
            seen.append(environ)
            start_response("200 OK", [])
            return []

        environ = environ_for("a=b&flamegraph=1&interval=0.01")
        before = dict(environ)
        call(lifted.Middleware(app), environ)
        self.assertIs(seen[0], environ)
        self.assertEqual(environ, before)

    def test_malformed_does_not_run_the_application(self):
        def app(environ, start_response):
            self.fail("the application was run")

        status, headers, body = call(
            lifted.Middleware(app), environ_for("flamegraph=1&interval=nan")
        )
        self.assertEqual(status, "400 Bad Request")
        self.assertIn(("Content-Type", "text/plain; charset=utf-8"), headers)
        self.assertIn(b'interval="nan"', body)
        self.assertEqual(body.count(b"\n"), 1)

    def test_malformed_head_has_no_body(self):
        environ = environ_for("flamegraph=1&interval=nan", REQUEST_METHOD="HEAD")
        status, _, body = call(lifted.Middleware(simple()), environ)
        self.assertEqual((status, body), ("400 Bad Request", b""))

    def test_short_requests_can_be_repeated(self):
        environs = []
        responses = []

        def app(environ, start_response):
            environs.append(dict(environ))
            responses.append(start_response)
            environ["PATH_INFO"] = "/changed/"
            del environ["SERVER_NAME"]
            time.sleep(0.002)
            start_response("200 OK", [("X-Run", str(len(environs)))])
            return [b"x"]

        query = "flamegraph=1&flamegraph_repeat=20"
        _, headers, body = call(lifted.Middleware(app), environ_for(query))
        self.assertEqual(len(environs), 20)
        self.assertEqual(len(set(map(id, responses))), 20)
        for environ in environs:
            self.assertEqual(environ["PATH_INFO"], "/shop/")
            self.assertIn("SERVER_NAME", environ)
        self.assertIn(("X-Flameprof-Runs", "20"), headers)
        self.assertIn(("X-Run", "20"), headers)
        self.assertNotIn(("X-Run", "19"), headers)
        self.assertIn(b"called 20 of 20 times", body)

    def test_repeating_ends_with_the_time_the_first_error_or_a_body(self):
        def app(environ, start_response):
            runs.append(1)
            time.sleep(0.03)
            if len(runs) == fails_at:
                raise ValueError("not again")
            start_response("200 OK", [])
            return []

        query = "flamegraph=1&flamegraph_repeat=1000"
        fails_at = 0
        runs = []
        _, headers, _ = call(lifted.Middleware(app, max_seconds=0.2), environ_for(query))
        self.assertTrue(2 <= len(runs) <= 7, runs)
        self.assertIn(("X-Flameprof-Runs", str(len(runs))), headers)
        fails_at = 3
        runs = []
        _, headers, body = call(lifted.Middleware(app), environ_for(query))
        self.assertEqual(len(runs), 3)
        self.assertIn(b"ValueError", body)
        for more in ({"CONTENT_LENGTH": "5"}, {"HTTP_TRANSFER_ENCODING": "chunked"}):
            runs = []
            call(lifted.Middleware(app), environ_for(query, **more))
            self.assertEqual(len(runs), 1)

    def test_memory_stays_flat_over_a_large_body(self):
        import resource

        def app(environ, start_response):
            start_response("200 OK", [])
            return (b"x" * 1000000 for _ in range(500))

        call(lifted.Middleware(app), environ_for())
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        call(lifted.Middleware(app), environ_for())
        after = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        self.assertLess(after - before, 5000)

    def test_nothing_is_left_behind(self):
        app = lifted.Middleware(simple())

        def state():
            gc.collect()
            patience = time.monotonic() + 5  # the ticker ends after the last profile has
            while len(os.listdir("/proc/self/task")) > 1 and time.monotonic() < patience:
                time.sleep(0.01)
            with open("/proc/self/statm") as statm:
                resident = int(statm.read().split()[1])
            return (
                len(os.listdir("/proc/self/fd")),
                len(os.listdir("/proc/self/task")),
                len(gc.get_objects()),
                resident,
            )

        for _ in range(200):
            call(app, environ_for())
        before = state()
        for _ in range(2000):
            call(app, environ_for())
        after = state()
        self.assertEqual(after[:2], before[:2])
        self.assertLess(after[2] - before[2], 50)
        self.assertLess(after[3] - before[3], 250)  # pages: 1 MB

    def test_valid_inside_and_around(self):
        inside = lifted.Middleware(wsgiref.validate.validator(simple()))
        around = wsgiref.validate.validator(lifted.Middleware(simple()))
        for app in (inside, around):
            for query in ("", "flamegraph=1", "flamegraph=1&interval=nan"):
                status = call(app, environ_for(query))[0]
                self.assertEqual(status[:3], "400" if "nan" in query else "200")

    def test_options(self):
        for options in (
            {"interval": 0},
            {"interval": 2},
            {"interval": float("nan")},
            {"max_seconds": 0},
            {"max_seconds": 86401},
            {"allow": ["nonsense"]},
            {"allow": [7]},
            {"allow": ["10.0.0.0\0/8"]},
            {"allow": "10.0.0.0/8"},
            {"allow": ""},
        ):
            with self.assertRaises(ValueError, msg=options):
                lifted.Middleware(simple(), **options)
        with self.assertRaises(TypeError):
            lifted.Middleware(None)
        lifted.Middleware(simple(), max_seconds=86400)  # as --flameprof-max-seconds
        wide = lifted.Middleware(simple(), allow=["10.0.0.0/8"])
        status, headers, _ = call(wide, environ_for(REMOTE_ADDR="10.9.8.7"))
        self.assertIn(("Content-Type", "image/svg+xml"), headers)

    def test_a_body_without_an_end_is_closed_with_the_profile(self):
        closed = []

        def app(environ, start_response):
            start_response("200 OK", [])
            try:
                while not closed:
                    time.sleep(0.01)
                    yield b"tick"
            finally:
                closed.append(True)

        giving_up = threading.Timer(5, closed.append, ["too late"])
        giving_up.start()
        call(lifted.Middleware(app, max_seconds=0.1), environ_for())
        giving_up.cancel()
        self.assertEqual(closed, [True])

    def test_what_a_server_would_not_send_costs_no_picture(self):
        def app(environ, start_response):
            headers = [("X-A", "b\r\nX-C: d"), ("X-Wide", "\u20ac"), ("X-Number", 5), "X",
                       ("X-Own", "kept")]  # fmt: skip
            start_response("200 \u20ac", headers)
            return []

        status, headers, body = call(lifted.Middleware(app), environ_for())
        self.assertEqual(status, "200 OK")
        self.assertIn(("X-Own", "kept"), headers)
        for _, value in headers:
            self.assertNotRegex(value, r"[^\x20-\x7e]")

    def test_what_a_thread_says_after_the_end_is_not_heard(self):
        over = threading.Event()

        def app(environ, start_response):
            def go_on():
                for count in itertools.count():
                    if over.is_set():
                        return
                    start_response("200 Late %d" % count, [("X-Late", "yes")], (1, 2, 3))

            start_response("200 In Time", [])
            threading.Thread(target=go_on).start()
            return [b""]

        before = sys.getswitchinterval()
        sys.setswitchinterval(1e-5)
        try:
            for _ in range(20):
                over.clear()
                _, headers, body = call(lifted.Middleware(app), environ_for())
                over.set()
                status = dict(headers)["X-Flameprof-Status"].encode()
                self.assertTrue(status in body, status)
        finally:
            over.set()
            sys.setswitchinterval(before)

    def test_a_middleware_is_made_once(self):
        middleware = lifted.Middleware(simple())
        with self.assertRaises(RuntimeError):
            middleware.__init__(simple("404 Not Found"))
        self.assertEqual(call(middleware, environ_for(""))[0], "200 OK")


class Measurements(Measuring):
    def test_folded_sums_to_the_duration(self):
        def app(environ, start_response):
            begun = time.perf_counter()
            time.sleep(0.2)
            sum(range(3000000))
            elapsed.append(time.perf_counter() - begun)
            start_response("200 OK", [])
            return []

        elapsed = []
        status, headers, body = call(
            lifted.Middleware(app), environ_for("flamegraph=1&flamegraph_format=folded")
        )
        self.assertIn(("Content-Type", "text/plain; charset=utf-8"), headers)
        total = sum(int(line.rsplit(b" ", 1)[1]) for line in body.splitlines())
        self.assertAlmostEqual(total / 1e6 / elapsed[0], 1, delta=0.01)
        self.assertIn(b"app (%s:" % os.path.basename(__file__).encode(), body)

    def test_phases_are_root_frames(self):
        class Body(Closing):
            def __next__(self):
                time.sleep(0.05)
                return super().__next__()

            def close(self):
                time.sleep(0.1)

        def app(environ, start_response):
            time.sleep(0.2)
            start_response("200 OK", [])
            return Body([b"a", b"b", b"c"])

        environ = environ_for("flamegraph=1&flamegraph_format=folded")
        found = {}
        for line in call(lifted.Middleware(app), environ)[2].decode().splitlines():
            stack, weight = line.rsplit(" ", 1)
            root = stack.split(";")[0]
            found[root] = found.get(root, 0) + int(weight) / 1e6
        self.assertEqual(set(found), {"[application]", "[iteration]", "[close]"})
        # The ends of these are exact, however coarse the sampling.
        for root, seconds in (("[application]", 0.2), ("[iteration]", 0.2), ("[close]", 0.1)):
            self.assertGreaterEqual(found[root], seconds)
            self.assertLess(found[root], seconds + 0.05)

    def test_repeated_phases_show_their_functions(self):
        """Most of them pass between two samples: they are where the others were."""

        def spin(seconds):
            """CPU time, as others on this machine take wall time from either; never twice the
            same, as the samples would come in step with it."""
            end = time.thread_time() + seconds * random.uniform(0.5, 1.5)
            while time.thread_time() < end:
                pass

        def long():
            spin(0.00015)

        def short():
            spin(0.00005)

        def app(environ, start_response):
            short()
            long()
            start_response("200 OK", [])
            return []

        asked = environ_for("flamegraph=1&flamegraph_format=folded&flamegraph_repeat=1000"
                            "&flamegraph_clock=cpu")
        found = dict.fromkeys(["long", "short", "[application]"], 0)
        for line in call(lifted.Middleware(app), asked)[2].decode().splitlines():
            stack, weight = line.rsplit(" ", 1)
            for name in found:
                if name in stack:
                    found[name] += int(weight)
        # They take 0.2 s; a fifth of it in the runs that have samples of their own.
        inside = found["long"] + found["short"]
        self.assertGreater(inside, 100000)
        self.assertGreater(inside, 0.4 * found["[application]"])
        self.assertAlmostEqual(found["long"] / inside, 0.75, delta=0.2)

    def test_interval_is_obeyed(self):
        def app(environ, start_response):
            end = time.perf_counter() + 0.3
            while time.perf_counter() < end:
                pass
            start_response("200 OK", [])
            return []

        due = []  # per second: on a busy machine it takes longer
        for interval in ("0.0005", "0.002"):
            environ = environ_for("flamegraph=1&interval=" + interval)
            call(lifted.Middleware(app), environ)
            line = environ["wsgi.errors"].getvalue()
            figures = r": ([\d.]+) s, (\d+) samples, (\d+) missed"
            took, taken, missed = map(float, re.search(figures, line).groups())
            self.assertGreater(taken, 0)
            due.append((taken + missed) / took)
        self.assertAlmostEqual(due[0] / due[1], 4, delta=0.8)

    def test_max_seconds_ends_the_profile_not_the_request(self):
        def app(environ, start_response):
            time.sleep(0.4)
            start_response("200 OK", [])
            return []

        environ = environ_for("flamegraph=1&flamegraph_format=folded")
        body = call(lifted.Middleware(app, max_seconds=0.1), environ)[2]
        total = sum(int(line.rsplit(b" ", 1)[1]) for line in body.splitlines())
        self.assertAlmostEqual(total / 1e6, 0.1, delta=0.02)


if __name__ == "__main__":
    unittest.main()
