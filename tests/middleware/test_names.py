"""What pictures tell of files and functions, and what they do not: the WSGI door, code."""

import json
import os
import pathlib
import sys
import tempfile
import threading
import time
import unittest
import wsgiref.util

import flameprof
import lifted

sys.path.insert(1, str(pathlib.Path(__file__).resolve().parent.parent))

from measuring import Seeing  # noqa: E402

FORMATS = ("svg", "html", "folded", "json", "speedscope", "gecko")
SECRET = "def {name}():\n    import time, json, threading\n    end = time.thread_time() + 0.08\n"\
    "    while time.thread_time() < end:\n        json.dumps(list(range(200)))\n"


def load(path, name):
    """A function of that file, which busies itself."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(SECRET.format(name=name))
    space = {}
    exec(compile(path.read_text(), str(path), "exec"), space)
    return space[name]


def ask(middleware, query):
    environ = {"QUERY_STRING": f"flamegraph=1&{query}", "REMOTE_ADDR": "127.0.0.1",
               "HTTP_HOST": "localhost", "SERVER_PROTOCOL": "HTTP/1.1"}
    wsgiref.util.setup_testing_defaults(environ)
    said = []
    body = middleware(environ, lambda status, headers: said.append(status))
    return said[0], b"".join(body)


class Names(Seeing):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = pathlib.Path(folder.name).resolve()
        self.root = self.folder / "srv" / "site" / "project"
        self.functions = [
            load(self.root / "shop" / "views.py", "view"),
            load(self.root / "billing" / "card.py", "charge"),
            load(self.folder / "venv" / "site-packages" / "paylib" / "api.py", "call"),
            load(self.folder / "else" / "where" / "deep" / "tool.py", "tool"),
        ]
        sys.path.insert(0, str(self.root))
        self.addCleanup(sys.path.remove, str(self.root))

    def app(self, environ, start_response):
        for function in self.functions:
            function()
        start_response("200 OK", [])
        return []

    def folded(self, **options):
        status, body = ask(lifted.Middleware(self.app, **options), "flamegraph_format=folded")
        self.assertEqual(status, "200 OK")
        return body.decode()

    def test_paths_are_short(self):
        text = self.folded()
        self.assert_seen(["view (shop/views.py:1)", "charge (billing/card.py:1)",
                          "call (paylib/api.py:1)", "tool (…/deep/tool.py:1)",
                          "(<stdlib>/json/"], text)

    def test_no_format_tells_a_folder(self):
        middleware = lifted.Middleware(self.app)
        for name in FORMATS:
            with self.subTest(format=name):
                _, body = ask(middleware, f"flamegraph_format={name}")
                self.assert_seen([b"card.py"], body)
                for secret in (str(self.folder), "srv/site", os.path.dirname(os.__file__)):
                    self.assertNotIn(secret.encode(), body)
                    self.assertNotIn(secret.replace("/", "\\/").encode(), body)

    def test_full_paths(self):
        text = self.folded(full_paths=True)
        self.assert_seen([f"view ({self.root}/shop/views.py:1)",
                          f"({os.path.dirname(os.__file__)}/json/"], text)

    def test_no_parameter_brings_them_back(self):
        for query in ("flamegraph_full_paths=1", "flamegraph_full-paths=1"):
            status, body = ask(lifted.Middleware(self.app), query)
            self.assertEqual(status, "400 Bad Request")
            self.assertNotIn(str(self.folder).encode(), body)

    def test_redact(self):
        for full in (False, True):
            text = self.folded(redact=["* (billing/)", "call"], full_paths=full)
            self.assert_seen(["view (", "[redacted]"], text)
            for secret in ("charge", "card.py", "call (", "paylib"):
                self.assertNotIn(secret, text)

    def test_redacted_in_every_format(self):
        middleware = lifted.Middleware(self.app, redact=["* (billing/)"])
        for name in FORMATS:
            _, body = ask(middleware, f"flamegraph_format={name}")
            self.assert_seen([b"[redacted]"], body)
            self.assertNotIn(b"charge", body)
            self.assertNotIn(b"card.py", body)

    def test_patterns_that_make_no_sense(self):
        for wrong in ("view", [""], [5], ["a\0b"], ["x" * 1001], ["\ud800"], 7):
            with self.assertRaises((ValueError, TypeError), msg=wrong):
                lifted.Middleware(self.app, redact=wrong)
            with self.assertRaises((ValueError, TypeError), msg=wrong):
                flameprof.Session(redact=wrong)

    def test_names_are_any_text(self):
        self.functions = [load(self.root / "shop" / "größe.py", "größe")]
        self.assert_seen(["größe (shop/größe.py"], self.folded())
        self.assertNotIn("größe", self.folded(redact=["größe"]))

    def test_origins_stay(self):
        def origins(**options):
            middleware = lifted.Middleware(self.app, **options)
            document = json.loads(ask(middleware, "flamegraph_format=json")[1])
            names = ("view", "charge", "call", "dumps")
            found = {function["name"]: function["origin"] for function in document["functions"]
                     if function["name"] in names}
            self.assert_seen(names, found)
            return found

        short = origins()
        self.assertEqual(short, origins(full_paths=True))
        self.assertEqual(short["call"], "library")
        self.assertEqual(short["dumps"], "standard library")
        self.assertEqual(short["view"], "application")

    def test_many_threads_at_once(self):
        """The roots are read by the first of them."""
        middleware = lifted.Middleware(self.app)
        texts = []

        def one():
            texts.append(ask(middleware, "flamegraph_format=folded")[1].decode())

        threads = [threading.Thread(target=one) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        self.assertEqual(len(texts), 8)
        for text in texts:
            self.assert_seen(["view (shop/views.py:1)"], text)
            self.assertNotIn(str(self.folder), text)


class Sessions(Names):
    """The same of code: whoever made it knows the paths, unless he says otherwise."""

    def folded(self, **options):
        options.setdefault("full_paths", False)
        profiler = flameprof.Profiler(**options)
        profiler.start()
        for function in self.functions:
            function()
        profiler.stop()
        return profiler.render("folded").decode()

    def test_no_format_tells_a_folder(self):
        session = flameprof.Session(full_paths=False)
        session.start()
        self.functions[1]()
        session.stop()
        for name in FORMATS:
            body = session.snapshot().render(name)
            self.assert_seen([b"card.py"], body)
            self.assertNotIn(str(self.folder).encode(), body)
        files = {row[1] for row in session.functions()}
        self.assertIn("billing/card.py", files)

    def test_full_paths_are_the_default(self):
        profiler = flameprof.Profiler()
        profiler.start()
        time.sleep(0.05)
        self.functions[0]()
        profiler.stop()
        self.assertIn(str(self.root), profiler.render("folded").decode())


if __name__ == "__main__":
    unittest.main()
