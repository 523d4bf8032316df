"""The pages in Chromium: every button pressed, in light and dark, nothing refused."""

import os
import pathlib
import sys
import time
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "browser"))

from server import Server
from webdriver import Browser

# Where the pictures of the pages go, for who wants to look at them.
SHOTS = os.environ.get("SHOTS")


class Pages(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.browser = Browser(1100, 800)
        cls.addClassCleanup(cls.browser.close)
        cls.server = Server("werkzeug")
        cls.addClassCleanup(cls.server.__exit__)
        cls.site = f"http://127.0.0.1:{cls.server.port}"

    def text(self):
        return self.browser.script("document.body.innerText")

    def shoot(self, name):
        if SHOTS:
            self.browser.screenshot(os.path.join(SHOTS, name + ".png"))

    def test_a_visit(self):
        browser = self.browser
        browser.go(self.site + "/flameprof/")
        self.shoot("index")
        self.press('main a[href$="/unpause"]')
        self.press("main button")
        self.assertIn("running", browser.script("document.querySelector('h1').innerText"))
        self.server.get("/slow/0.5")
        browser.script("(document.querySelector('[name=interval]').value = '0.005')")
        self.press("#set-interval")
        for _ in range(3):
            self.server.get("/slow/0.3")
        browser.go(self.site + "/flameprof/status")
        self.assertEqual(browser.script("document.querySelector('[name=interval]').value"), "0.005")
        self.shoot("status")
        browser.emulate(prefers_color_scheme="dark")
        self.shoot("status-dark")
        self.assertEqual(self.paper(), "rgb(25, 23, 21)")
        browser.emulate(prefers_color_scheme="light")
        self.assertEqual(self.paper(), "rgb(251, 250, 248)")

        browser.script("(document.querySelector('[name=re_filter]').value = '^slow')")
        self.press("#filter")
        rows = browser.script(
            "[...document.querySelectorAll('td.function')].map((cell) => cell.innerText)"
        )
        self.assertEqual([row.split()[0] for row in rows], ["slow"])
        width = browser.script(
            "document.querySelector('.share rect').getBoundingClientRect().width"
        )
        self.assertGreater(width, 50)

        self.press('nav a[href$="/graph"]')
        self.assertIn("all threads of process", browser.script("document.title"))
        self.wait("document.querySelectorAll('#flame-graph rect').length > 5")
        self.shoot("graph")
        browser.go(self.site + "/flameprof/status")
        self.press("#switch")
        self.assertIn("paused", browser.script("document.querySelector('h1').innerText"))
        self.press('nav a[href$="/show_req_times"]')
        self.shoot("requests")
        self.assertIn("slow /slow/<float:seconds>", self.text())
        self.press('th a[href$="sort=hits"]')
        self.assertIn("sort=hits", browser.script("location.search"))
        self.narrow()
        refused = [line["message"] for line in browser.log() if line["level"] == "SEVERE"]
        self.assertEqual([line for line in refused if "favicon.ico" not in line], [])

    def paper(self):
        return self.browser.script("getComputedStyle(document.body).backgroundColor")

    def wait(self, condition):
        deadline = time.monotonic() + 10
        while not self.browser.script(condition):
            self.assertLess(time.monotonic(), deadline, condition)
            time.sleep(0.05)

    def press(self, selector):
        """Clicks, and waits for the page that this leads to."""
        self.browser.run("window.before = true")
        self.browser.click(selector)
        self.wait("!window.before && document.readyState === 'complete'")

    def narrow(self):
        """Nothing sticks out of a telephone's screen."""
        self.browser.screen(360, 700)
        for name in ("", "status", "show_req_times", "pause", "set_interval"):
            self.browser.go(f"{self.site}/flameprof/{name}")
            self.shoot(f"narrow-{name}")
            wide = self.browser.script("document.documentElement.scrollWidth")
            self.assertLessEqual(wide, 360, name)

    def test_another_site_cannot_press(self):
        """A form on another origin, sent by the browser of somebody on this machine."""
        self.server.press("pause")
        other = Server("werkzeug")
        self.addCleanup(other.__exit__)
        self.browser.go(f"http://127.0.0.1:{other.port}/quick")
        self.browser.run(
            "const form = document.createElement('form'); form.method = 'post';"
            f"form.action = '{self.site}/flameprof/start';"
            "form.innerHTML = '<input name=flameprof_token value=x>';"
            "document.cookie = 'flameprof_token=x; path=/flameprof';"
            "document.body.append(form); form.submit();"
        )
        self.wait(f"location.port === '{self.server.port}'")
        self.assertIn("did not come from a form here", self.text())
        self.assertIn(">paused<", self.server.get("/flameprof/status"))


if __name__ == "__main__":
    unittest.main()
