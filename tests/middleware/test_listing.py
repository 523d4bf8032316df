"""The list of what is kept, in a browser: light and dark, sorted, compared.

With a folder as its argument it leaves pictures of the page there."""

import os
import pathlib
import shutil
import subprocess
import sys
import tempfile
import time
import unittest
import urllib.error
import urllib.request

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "browser"))
import webdriver  # noqa: E402 (its folder is known only now)

KEEP = "?flamegraph=1&flamegraph_keep=1"
PICTURES = None
ROWS = "[...document.querySelectorAll('tbody tr')]"


def keep(url, path):
    separator = "&" if "?" in path else "?"
    asked = urllib.request.Request(f"{url}{path}{separator}{KEEP[1:]}")
    try:
        with urllib.request.urlopen(asked, timeout=20) as answer:
            answer.read()  # else its client is gone
            return answer.headers["X-Flameprof-Kept"]
    except urllib.error.HTTPError as answer:
        answer.read()
        return answer.headers["X-Flameprof-Kept"]


class Listing(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.folder = tempfile.mkdtemp(prefix="flameprof-listing-")
        cls.url = f"http://127.0.0.1:{webdriver.free_port()}"
        cls.server = subprocess.Popen(
            [sys.executable, "-B", "-m", "gunicorn", "--workers", "2", "--threads", "4",
             "--graceful-timeout", "1", "--bind", cls.url[7:], "server_app:kept"],
            cwd=HERE, env=dict(os.environ, FLAMEPROF_DIR=os.path.join(cls.folder, "kept"),
                     TMPDIR=cls.folder),
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        cls.browser = None
        try:
            cls.wait_for_server()
            cls.names = [keep(cls.url, path) for path in (
                "/shop/?page=2&q=coffee", "/missing", "/shop/basket/checkout/",
                "/raises", "/long?seconds=0.6", "/<script>document.title='no'</script>")]
            time.sleep(0.5)
            cls.browser = webdriver.Browser(1280, 720)
        except BaseException:
            cls.tearDownClass()
            raise

    @classmethod
    def tearDownClass(cls):
        if cls.browser:
            cls.browser.close()
        cls.server.terminate()
        cls.server.wait(20)
        shutil.rmtree(cls.folder)

    @classmethod
    def wait_for_server(cls):
        for _ in range(100):
            try:
                return urllib.request.urlopen(cls.url, timeout=10).close()
            except OSError:
                time.sleep(0.1)
        raise AssertionError("the site does not answer")

    def open(self, query=""):
        self.browser.go(f"{self.url}/_flameprof/{query}")

    def picture(self, name):
        if PICTURES:
            self.browser.screenshot(os.path.join(PICTURES, name + ".png"))

    def paths(self):
        return self.browser.script(
            f"{ROWS}.map(row => row.querySelector('.path a').textContent)")

    def test_everything_is_there(self):
        self.open()
        self.assertEqual(self.browser.script("document.title"), "Kept profiles")
        paths = self.paths()
        self.assertEqual(len(paths), 6)
        self.assertIn("/shop/?page=&q=", paths)
        self.assertIn("/<script>document.title='no'</script>", paths)
        text = self.browser.script("document.body.innerText")
        for word in ("RuntimeError", "404 Not Found", "asked"):
            self.assertIn(word, text)
        self.picture("light")
        self.assertEqual(self.browser.complaints(), [])  # no policy was violated

    def test_its_style_is_let_in(self):
        colour = "getComputedStyle(document.body).backgroundColor"
        self.open()
        light = self.browser.script(colour)
        self.browser.emulate(**{"prefers_color_scheme": "dark"})
        try:
            self.open()
            dark = self.browser.script(colour)
            self.picture("dark")
        finally:
            self.browser.emulate()
        self.assertEqual((light, dark), ("rgb(255, 253, 251)", "rgb(29, 27, 26)"))

    def test_headings_sort(self):
        self.open()
        self.browser.click("th a[href='?path']")
        self.browser.wait_for("location.search == '?path'")
        self.assertEqual(self.paths(), sorted(self.paths()))
        self.browser.click("th a[href='?duration']")
        self.browser.wait_for("location.search == '?duration'")
        self.assertEqual(self.paths()[0], "/long?seconds=")

    def test_compare(self):
        self.open()
        self.browser.click("tbody tr:nth-child(2) input[name=flamegraph_diff]")
        self.browser.click("tbody tr:nth-child(3) input[name=flamegraph_profile]")
        self.browser.click("button")
        self.browser.wait_for("document.documentElement.nodeName == 'svg'")
        self.picture("compared")

    def test_a_profile(self):
        self.open()
        self.browser.click("tbody tr:nth-child(1) .path a")
        self.browser.wait_for("document.documentElement.nodeName == 'svg'")

    def test_narrow(self):
        self.browser.screen(390, 800)
        try:
            self.open()
            self.picture("narrow")
            self.assertLessEqual(
                self.browser.script("document.documentElement.scrollWidth"), 390)
        finally:
            self.browser.screen(1280, 720)


if __name__ == "__main__":
    if len(sys.argv) > 1 and os.path.isdir(sys.argv[1]):
        PICTURES = sys.argv.pop(1)
    unittest.main()
