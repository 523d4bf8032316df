"""speedscope's profiles: by its published schema, and in its app in a browser."""

import functools
import http.server
import pathlib
import re
import sys
import threading
import time
import unittest

import profiles
from test_json import validate

sys.path.insert(0, str(pathlib.Path(__file__).parents[1] / "browser"))
from webdriver import Browser  # noqa: E402

# The profiles if there are several, a head, the functions.
TABLES = """[...document.querySelectorAll('table')].map(table => [...table.rows].map(
    row => [...row.cells].map(cell => cell.textContent)))"""
SHARE = re.compile(r"\((>|<)?([\d.]+)%\)$")


class Handler(http.server.SimpleHTTPRequestHandler):
    """The app, and the profiles beside it."""

    def translate_path(self, path):
        if path.startswith("/profile/"):
            return str(profiles.CACHE / path.rpartition("/")[2])
        return super().translate_path(path)

    def log_message(self, *arguments):
        pass


class Speedscope(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.app = profiles.npm() / "speedscope" / "dist" / "release"

    def test_schema(self):
        paths = [profile.render("speedscope") for profile in profiles.everything()]
        validate(self.app / "file-format-schema.json", *paths)

    def test_app(self):
        handler = functools.partial(Handler, directory=str(self.app))
        server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        self.url = "http://127.0.0.1:%d" % server.server_address[1]
        # It draws with WebGL only, and of its table what can be seen.
        browser = Browser(height=5000, arguments=("--enable-unsafe-swiftshader",))
        try:
            for profile in profiles.everything():
                with self.subTest(profile.name):
                    self.show(browser, profile)
        finally:
            browser.close()
            server.shutdown()
            server.server_close()

    def show(self, browser, profile):
        """The table of functions: shares of the whole, to the two digits that it shows."""
        path = profile.render("speedscope")
        browser.go("about:blank")
        browser.go("%s/#view=sandwich&profileURL=%%2Fprofile%%2F%s" % (self.url, path.name))
        end = time.monotonic() + 30
        while time.monotonic() < end and len(browser.script(TABLES)) < 2:
            time.sleep(0.1)
        self.assertEqual(browser.script("document.title"), profiles.TITLE + " - speedscope")
        *others, _head, shown = browser.script(TABLES)
        weights = profile.stretched() if profile is profiles.request() else profile.weights()
        functions = profile.by_function(weights)
        whole = sum(weights)
        self.assertEqual({row[2] for row in shown} - set(profile.names), set())
        for total, own, name in shown:
            self.assertShare(own, functions[name] / whole)
        root = profile.names[profile.places["function"][0]]
        self.assertEqual([row[0][-6:] for row in shown if row[2] == root], ["(100%)"])
        if profile is profiles.request():
            self.show_threads(others, profile, whole)

    def show_threads(self, others, profile, request):
        """Both are offered, with what each took: "12.34ms"."""
        ((_head, *rows),) = others
        names, times = zip(*((name, float(time[: -len("ms")])) for _, name, time in rows))
        self.assertEqual(names, (profiles.TITLE, "[thread helper]"))
        self.assertAlmostEqual(times[0], request / 1000, delta=0.006)
        helper = sum(profile.under("[thread helper]"))
        self.assertAlmostEqual(times[1], helper / 10**6, delta=0.006)

    def assertShare(self, text, share):
        bound, number = SHARE.search(text).groups()
        number = float(number)
        if bound is not None:
            self.assertTrue(share * 100 < number if bound == "<" else share * 100 > number)
        else:
            self.assertAlmostEqual(share * 100, number, delta=max(0.006, number * 0.06))


if __name__ == "__main__":
    unittest.main()
