"""The badge in a real browser, on a site of three processes."""

import os
import pathlib
import signal
import subprocess
import sys
import tempfile
import time
import unittest
import urllib.request

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "browser"))
import webdriver  # noqa: E402 (its folder is known only now)

BADGE = "document.querySelector('flameprof-badge')"
INSIDE = BADGE + "?.shadowRoot"
FRAME = INSIDE + "?.querySelector('iframe')"


class Badge(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.folder = tempfile.TemporaryDirectory(prefix="flameprof-badge-")
        cls.url = f"http://127.0.0.1:{webdriver.free_port()}"
        cls.server = subprocess.Popen(
            # Threads, since browsers open connections that they do not use yet.
            [sys.executable, "-B", "-m", "gunicorn", "--workers", "3", "--threads", "16",
             "--graceful-timeout", "1", "--bind", cls.url[7:],
             "badge_site:application"],
            cwd=HERE, env=dict(os.environ, TMPDIR=cls.folder.name),
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )
        try:
            cls.wait_for_server()
            cls.browser = webdriver.Browser(1200, 800)
        except BaseException:
            cls.end_server()
            raise

    @classmethod
    def wait_for_server(cls):
        for _ in range(100):
            try:
                return urllib.request.urlopen(cls.url, timeout=10).close()
            except OSError:
                time.sleep(0.1)
        raise AssertionError("the site does not answer")

    @classmethod
    def end_server(cls):
        cls.server.send_signal(signal.SIGINT)
        cls.server.wait(20)
        cls.folder.cleanup()

    @classmethod
    def tearDownClass(cls):
        cls.browser.close()
        cls.end_server()

    def setUp(self):
        self.browser.devtools("Network.clearBrowserCookies")

    def go(self, path="/"):
        self.browser.go(self.url + path)
        self.browser.log()

    def press(self, selector):
        self.browser.run(f"{INSIDE}.querySelector({selector!r}).click()")

    def graph(self):
        """The text of the graph that is shown."""
        return self.browser.wait_for_text(
            FRAME, "location.search.includes('flamegraph_profile')"
                   " && document.querySelectorAll('rect').length > 2")

    def test_the_graph_over_the_page_whichever_worker_is_asked(self):
        for _ in range(5):
            self.go()
            self.assertRegex(self.browser.script(f"{INSIDE}.querySelector('.open').innerText"),
                             r"\d+ ms\s*\d+ samples")
            self.press(".open")
            text = self.graph()
            self.assertIn("GET /", text)
            self.assertIn("compute", text)
            self.browser.key("\ue00c")  # Escape
            self.browser.wait_for(f"!{FRAME}?.clientWidth")

    def test_it_and_the_page_do_not_meet(self):
        self.go()
        self.assertEqual(
            self.browser.script("getComputedStyle(document.querySelector('p')).color"),
            "rgb(0, 128, 0)")
        self.assertEqual(self.browser.script("document.body.children.length"), 2)
        self.assertGreater(self.browser.script(f"{INSIDE}.querySelector('.open').clientWidth"), 50)
        self.assertNotEqual(
            self.browser.script(f"getComputedStyle({INSIDE}.querySelector('.open')).color"),
            "rgb(255, 0, 0)")
        self.press(".open")
        self.graph()
        size = self.browser.script(f"[{FRAME}.clientWidth, {FRAME}.clientHeight]")
        self.assertGreater(size[0], 1000)
        self.assertGreater(size[1], 500)

    def test_requests_by_scripts(self):
        self.go()
        for path in ("/data?a=1", "/more"):
            self.browser.promise(f"fetch('{path}').then((answer) => answer.text())")
        self.browser.promise(
            "new Promise((done) => { const asked = new XMLHttpRequest();"
            " asked.onload = done; asked.open('GET', '/old'); asked.send(); })"
            ".then(() => 1)")
        self.browser.wait_for(f"{INSIDE}.querySelector('.open').innerText.includes('+3')")
        self.press(".open")
        self.graph()
        names = self.browser.script(
            f"[...{INSIDE}.querySelectorAll('nav button')].map((one) => one.title)")
        self.assertEqual(names[0], "This page")
        self.assertEqual(sorted(names[1:]), ["/data?a=1", "/more", "/old"])
        self.press("nav button[title='/data?a=1']")
        for _ in range(50):
            text = self.graph()
            if "GET /data?a=1" in text:
                break
            time.sleep(0.1)
        self.assertIn("GET /data?a=1", text)
        self.assertIn("fetched", text)

    def test_policies(self):
        for path in ("/strict", "/nonce"):
            with self.subTest(path=path):
                self.go(path)
                self.press(".open")
                self.assertIn("compute", self.graph())
                self.assertEqual(self.browser.complaints(), [])

    def test_no_frames(self):
        self.go("/noframe")
        self.press(".open")
        self.assertIn("lets no frame in", self.browser.script(f"{INSIDE}.querySelector('p').innerText"))
        alone = self.browser.script(f"{INSIDE}.querySelector('footer a').href")
        self.assertEqual(self.browser.complaints(), [])
        self.browser.go(alone)
        self.browser.wait_for("document.querySelectorAll('rect').length > 2")

    def test_formats(self):
        self.go()
        self.press(".open")
        self.graph()
        links = self.browser.script(
            f"[...{INSIDE}.querySelectorAll('footer a')].map((one) => one.href)")
        self.assertEqual(len(links), 9)
        for link in links:
            with self.subTest(link=link), urllib.request.urlopen(link, timeout=10) as answer:
                self.assertEqual(answer.status, 200)

    def test_hidden_and_back(self):
        self.go()
        self.press(".hide")
        self.assertIsNone(self.browser.script(BADGE))
        self.go()
        self.assertIsNone(self.browser.script(BADGE))
        self.go("/?flamegraph_panel=1")
        self.assertTrue(self.browser.script(INSIDE))
        self.go()
        self.assertTrue(self.browser.script(INSIDE))

    def test_keyboard(self):
        self.go()
        self.browser.key("\ue004")  # Tab
        self.assertEqual(self.browser.script(f"{INSIDE}.activeElement.className"), "open")
        self.browser.key("\ue007")  # Enter
        self.graph()
        self.browser.key("\ue00c")
        self.browser.wait_for(f"{INSIDE}.activeElement?.className === 'open'")


if __name__ == "__main__":
    unittest.main()
