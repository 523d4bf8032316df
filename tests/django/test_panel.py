"""The toolbar's panel in a real browser: off, on, workers, threads, history, policies."""

import os
import re
import sys
import time
import unittest
import urllib.error

import django
import served

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "..", "browser"))
import webdriver  # noqa: E402 (its folder is known only now)
from measuring import Seeing  # noqa: E402

TOOLBAR = "(document.querySelector('#djDebugRoot')?.shadowRoot || document)"
BUTTON = TOOLBAR + ".querySelector('#djdt-FlamegraphPanel')"
PANEL = TOOLBAR + ".querySelector('#FlamegraphPanel')"
FRAME = PANEL + "?.querySelector('iframe')"


class Panel(Seeing):
    @classmethod
    def setUpClass(cls):
        cls.browser = webdriver.Browser(1400, 900)

    @classmethod
    def tearDownClass(cls):
        cls.browser.close()

    def serve(self, *arguments, **settings):
        """A site, with the toolbar shown and nothing else remembered by the browser."""
        site = served.Site(*arguments, **settings)
        self.addCleanup(site.stop)
        self.browser.devtools("Network.clearBrowserCookies")
        self.browser.go(site.url)
        self.browser.run("localStorage.setItem('djdt.show', 'true')")
        self.browser.go(site.url)
        self.browser.log()
        return site

    def press(self, element):
        """Once the toolbar has been made ready, which is when it is shown."""
        self.browser.wait_for(TOOLBAR + ".querySelector('#djDebugToolbar')?.offsetWidth")
        self.browser.run(element + ".click()")

    def switch_on(self, site):
        self.press(BUTTON + ".querySelector('input')")
        self.browser.go(site.url)

    def open(self):
        """The text of the graph in the panel."""
        self.press(BUTTON + ".querySelector('a')")
        return self.browser.wait_for_text(FRAME, "document.querySelectorAll('rect').length > 5")

    def test_off_until_it_is_ticked(self):
        site = self.serve()
        self.assertFalse(self.browser.script(BUTTON + ".querySelector('input').checked"))
        self.assertIsNone(self.browser.script(PANEL))
        self.assertEqual(os.listdir(site.folder.name), ["log"])
        self.switch_on(site)
        self.assertTrue(self.browser.script(BUTTON + ".querySelector('input').checked"))
        self.assertRegex(self.browser.script(BUTTON + ".innerText"), r"\d+ ms, \d+ samples")
        self.press(BUTTON + ".querySelector('input')")
        self.browser.go(site.url)
        self.assertIsNone(self.browser.script(PANEL))

    def test_no_token_stands_in_the_title(self):
        site = self.serve()
        self.switch_on(site)
        self.browser.go(site.url + "/?flamegraph%5Ftoken=permission")
        text = self.open()
        self.assertIn("flamegraph_token=...", text)
        self.assertNotIn("permission", text)

    def test_the_graph_is_the_request(self):
        site = self.serve()
        self.switch_on(site)
        text = self.open()
        self.assert_seen(["[request]", "compute", "wait", "page"], text)
        self.assertIn("GET /", text)
        # It fills the panel.
        size = self.browser.script(
            f"[{PANEL}.querySelector('iframe').clientWidth, {PANEL}.clientWidth]")
        self.assertGreater(size[0], 0.9 * size[1])
        with self.browser.inside(FRAME):  # another clock, in the graph itself
            button = ("[...document.querySelectorAll('button')]"
                      ".find((button) => button.textContent === 'CPU')")
            self.assertEqual(self.browser.script(f"{button}.ariaPressed"), "false")
            self.browser.run(f"{button}.click()")
            self.browser.wait_for(f"{button}.ariaPressed === 'true'")
        self.assertEqual(self.browser.complaints(), [])

    def test_full_screen_and_formats(self):
        site = self.serve()
        self.switch_on(site)
        self.open()
        links = self.browser.script(
            f"[...{PANEL}.querySelectorAll('p a')].map((a) => [a.textContent, a.href])")
        self.assertEqual([name for name, _ in links],
                         ["Full screen", "html", "png", "pdf", "folded", "json", "speedscope",
                          "pprof", "gecko"])
        for name, url in links:
            with self.subTest(format=name):
                answer = site.get(url[len(site.url):])
                self.assertEqual(answer.status, 200)
                self.assertEqual(answer.headers["X-Frame-Options"], "SAMEORIGIN")
                self.assertEqual(answer.headers["Cache-Control"], "no-store")
                self.assertEqual(name in ("Full screen", "html"),
                                 "Content-Security-Policy" in answer.headers)
                if name == "folded":
                    self.assert_seen(["compute"], answer.text)
        profile = links[0][1].split("/")[-3]
        for path, status in ((f"/__debug__/flameprof/{'0' * 32}/svg/", 404),
                             (f"/__debug__/flameprof/{profile}/gif/", 400),
                             (f"/__debug__/flameprof/{profile}/svg/?width=3", 400),
                             (f"/__debug__/flameprof/{profile}/svg/?idle=1", 400),
                             (f"/__debug__/flameprof/{profile}/svg/?clock=cpu", 200)):
            with self.subTest(path=path):
                try:
                    self.assertEqual(site.get(path).status, status)
                except urllib.error.HTTPError as error:
                    self.assertEqual(error.code, status)
                    self.assertEqual(len(error.read().splitlines()), 1)

    def test_whichever_worker(self):
        site = self.serve("--workers", "3")
        self.switch_on(site)
        for _ in range(6):
            self.browser.go(site.url)
            self.assert_seen(["compute"], self.open())
        self.assertEqual(self.browser.complaints(), [])

    def test_on_worker_threads(self):
        site = self.serve("--workers", "1", "--threads", "4")
        self.switch_on(site)
        self.assert_seen(["compute"], self.open())

    def test_history_of_requests_by_script(self):
        site = self.serve("--workers", "1", "--threads", "4",
                          DEBUG_TOOLBAR_CONFIG={"UPDATE_ON_FETCH": True})
        self.switch_on(site)
        self.assertIn('"wait"', self.open())
        of_page = self.browser.script(BUTTON + ".innerText")
        self.browser.promise("fetch('/data/').then((answer) => answer.text())")
        of_data = self.browser.wait_for(f"{BUTTON}.innerText !== {of_page!r} && {BUTTON}.innerText")
        text = self.open()
        self.assertIn("GET /data/", text)
        self.assertNotIn('"wait"', text)
        # And back to the page's.
        self.press(TOOLBAR + ".querySelector('#djdt-HistoryPanel a')")
        row = (f"[...{TOOLBAR}.querySelectorAll('#HistoryPanel tr[id^=historyMain_]')]"
               ".find((row) => !row.innerText.includes('/data/'))")
        self.browser.wait_for(f"{row}?.offsetHeight")
        self.browser.run(f"{row}.querySelector('.switchHistory').click()")
        self.browser.wait_for(f"{BUTTON}.innerText !== {of_data!r}")
        text = self.open()
        self.assertNotIn("GET /data/", text)
        self.assertIn('"wait"', text)

    def test_under_a_policy(self):
        site = self.serve(POLICY="default-src 'self'")
        self.switch_on(site)
        self.assert_seen(["compute"], self.open())
        self.assertEqual(self.browser.complaints(), [])

    @unittest.skipIf(django.VERSION < (6, 0), "Django has nonces of its own since 6.0")
    def test_under_a_policy_of_nonces(self):
        site = self.serve(POLICY="nonce")
        self.switch_on(site)
        self.assert_seen(["compute"], self.open())
        self.assertEqual(self.browser.complaints(), [])

    def test_no_folder_to_keep_it_in(self):
        site = self.serve(FLAMEPROF_CONFIG={"FOLDER": "/proc/no/such"})
        self.switch_on(site)
        self.assertIn("No profile can be kept", self.browser.script(BUTTON + ".innerText"))

    def test_settings_take_effect(self):
        site = self.serve(FLAMEPROF_CONFIG={"INTERVAL": 0.01, "INVERTED": True, "LINES": True})
        self.switch_on(site)
        text = self.open()
        self.assertIn("interval 10.00 ms asked", text)
        folded = self.browser.script(
            f"[...{PANEL}.querySelectorAll('a')].find((a) => a.textContent === 'folded').href")
        lines = set(re.findall(r"compute \(.*?urls\.py:(\d+)\)",
                               site.get(folded[len(site.url):]).text))
        self.assertTrue(lines & {"11", "12", "13"}, lines)  # not that of its def


if __name__ == "__main__":
    unittest.main()
