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

ROWS = """[...document.querySelectorAll('tr')].slice(1).map(
    row => [...row.cells].map(cell => cell.textContent))"""
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
        while time.monotonic() < end and not browser.script(ROWS):
            time.sleep(0.1)
        self.assertEqual(browser.script("document.title"), profiles.TITLE + " - speedscope")
        shown = browser.script(ROWS)
        weights = self.shown_weights(profile)
        functions = profile.by_function(weights)
        whole = sum(weights)
        self.assertEqual({row[2] for row in shown} - set(profile.names), set())
        for total, own, name in shown:
            self.assertShare(own, functions[name] / whole)
        root = profile.names[profile.places["function"][0]]
        self.assertEqual([row[0][-6:] for row in shown if row[2] == root], ["(100%)"])

    def shown_weights(self, profile):
        """In the order of time: of the request's own thread, else all."""
        if "stretches" not in profile.document:
            return profile.weights()
        own = [0] * len(profile.places["self"])
        stretches = profile.document["stretches"]
        for place, length in zip(stretches["place"], stretches["microseconds"]):
            own[place] += length
        return own

    def assertShare(self, text, share):
        bound, number = SHARE.search(text).groups()
        number = float(number)
        if bound is not None:
            self.assertTrue(share * 100 < number if bound == "<" else share * 100 > number)
        else:
            self.assertAlmostEqual(share * 100, number, delta=max(0.006, number * 0.06))


if __name__ == "__main__":
    unittest.main()
