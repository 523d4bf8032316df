"""The frame in real notebooks, in Chromium: Jupyter Notebook's and JupyterLab's pages,
those that are installed."""

import importlib.util
import json
import os
import pathlib
import subprocess
import sys
import tempfile
import time
import unittest
import urllib.error
import urllib.request

from kernels import WORK, environment

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT / "tests"), str(ROOT / "tests" / "browser")]
import flameprof  # noqa: E402
import webdriver  # noqa: E402
from measuring import NotSeen, Seeing, until  # noqa: E402

BUILD = pathlib.Path(os.environ.get("BUILD", "build"))
SHIFT, ENTER = "\ue008", "\ue007"
FRAME = "document.querySelector('iframe[title=\"Flame graph\"]')"
CLASSIC = "!!(window.Jupyter && Jupyter.notebook && Jupyter.notebook.kernel)"
CELLS = (
    "%load_ext flameprof\n" + WORK + "def deep(n):\n    deep(n - 1) if n else wait(0.1)",
    "%%flameprof\nfor i in range(3):\n    deep(50)\n6 * 7",
)


def notebook(texts=CELLS, outputs=()):
    return {
        "cells": [
            {"cell_type": "code", "execution_count": None, "id": f"cell{number}", "metadata": {},
             "outputs": list(outputs), "source": text}
            for number, text in enumerate(texts)
        ],
        "metadata": {"kernelspec": {"display_name": "Python 3", "language": "python",
                                    "name": "python3"}},
        "nbformat": 4,
        "nbformat_minor": 5,
    }


def somebody_elses():
    """What has run where Jupyter does not know it, and is not trusted therefore."""
    with flameprof.profile() as profiler:
        time.sleep(0.01)
    data = {"text/html": profiler._repr_html_(), "text/plain": "a table"}
    return notebook(CELLS[1:], [{"output_type": "display_data", "metadata": {}, "data": data}])


class Server:
    """A notebook server of its own on 127.0.0.1."""

    def __init__(self, module, folder):
        for name, content in (("work", notebook()), ("theirs", somebody_elses())):
            pathlib.Path(folder, f"{name}.ipynb").write_text(json.dumps(content))
        self.port = webdriver.free_port()
        self.log = open(os.path.join(folder, "log"), "w+")
        self.process = subprocess.Popen(
            [sys.executable, "-m", module, "--no-browser", "--allow-root", "--ip=127.0.0.1",
             f"--port={self.port}"],
            cwd=folder, env={**environment(folder), "JUPYTER_TOKEN": "abc"},
            stdout=self.log, stderr=subprocess.STDOUT,
        )  # fmt: skip

    def wait(self):
        ends = time.monotonic() + 60
        while time.monotonic() < ends and self.process.poll() is None:
            try:
                urllib.request.urlopen(f"http://127.0.0.1:{self.port}/api", timeout=2).close()
                return
            except OSError:
                time.sleep(0.2)
        self.log.seek(0)
        raise AssertionError("no server: " + self.log.read()[-2000:])

    def has_kernel(self):
        """One that a page is connected to, and that has nothing to do."""
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/api/kernels?token=abc") as answer:
                kernels = json.load(answer)
        except urllib.error.HTTPError:  # 500 while one starts
            return False
        return any(kernel["connections"] > 0 and kernel["execution_state"] == "idle"
                   for kernel in kernels)

    def stop(self):
        self.process.terminate()
        try:
            self.process.wait(20)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self.log.close()


class Notebooks(Seeing):
    def opened(self, module, page, name="work"):
        folder = tempfile.TemporaryDirectory(prefix="flameprof-notebook-")
        self.addCleanup(folder.cleanup)
        self.server = Server(module, folder.name)
        self.addCleanup(self.server.stop)
        self.server.wait()
        browser = webdriver.Browser(1280, 1000)
        self.addCleanup(browser.close)
        # Debian forky's Notebook 7.4.7 has other web components than it was built for, which
        # may report a RangeError 40,000 times; each waits for WebDriver to take it.
        browser.before_pages("console.error = () => {}")
        browser.go(f"http://127.0.0.1:{self.server.port}/{page}/{name}.ipynb?token=abc")
        return browser

    def run_cells(self, browser):
        browser.wait_for(f"{CLASSIC} || !!document.querySelector('.jp-CodeCell .cm-content')", 60)
        if browser.script(CLASSIC):
            self.run_classic(browser)
        else:
            # JupyterLab 4 is idle before it has a kernel, and forgets a cell that is run then.
            self.assertTrue(until(self.server.has_kernel, 60))
            browser.wait_for("document.querySelector('.jp-Notebook-ExecutionIndicator[data-status=idle]')", 60)
            browser.wait_for("document.querySelector('.jp-CodeCell .cm-content').checkVisibility()")
            for number in (1, 2):
                self.run_cell(browser, number)
        browser.wait_for(f"{FRAME}?.clientWidth", 60)

    def run_classic(self, browser):
        """On a busy machine Debian 13's Notebook 6.4 may miss its kernel's first words: then it
        lets the page in after its kernel_info_timeout, 60 s, or never tells it what came."""
        browser.wait_for("Jupyter.notebook.kernel.is_connected()", 120)
        browser.run("Jupyter.notebook.execute_all_cells()")
        try:
            browser.wait_for("Jupyter.notebook.get_cell(1).output_area.outputs"
                             ".some((e) => e.output_type === 'execute_result')", 60)
        except AssertionError as error:
            raise NotSeen("the notebook's server passes nothing on") from error

    def run_cell(self, browser, number):
        """Its number is there."""
        cell = f"document.querySelectorAll('.jp-CodeCell')[{number - 1}]"
        browser.run(f"{cell}.querySelector('.cm-content').focus()")
        browser.wait_for(f"{cell}.classList.contains('jp-mod-active')")
        try:
            browser.key(SHIFT, ENTER)
        except TimeoutError as error:  # forky's again, on a busy machine
            raise NotSeen("the page answers no more") from error
        browser.wait_for(f"{cell}.querySelector('.jp-InputPrompt').textContent === '[{number}]:'", 60)

    def check(self, module, page, name):
        browser = self.opened(module, page)
        self.run_cells(browser)
        browser.wait_for_text(FRAME, "document.querySelector('#flame-graph rect')")
        browser.script(f"{FRAME}.scrollIntoView({{block: 'center'}})")
        browser.log()
        with browser.inside(FRAME):
            here = browser.script("location.href")
            # As wide as its frame, though the frame may have got its width later.
            browser.wait_for("Math.max(...[...document.querySelectorAll('#flame-graph rect')]"
                             ".map((e) => e.getBoundingClientRect().width)) > innerWidth - 60")
            self.assertIn("wait", browser.script("document.body.textContent"))
            self.assertTrue(browser.script("[...document.querySelectorAll('.ui p')].some((e) => "
                                           "e.textContent.includes(' samples · ') && e.checkVisibility())"))
            # A deep graph is higher than its frame, and seen from its root.
            self.assertTrue(browser.script("((s) => s.scrollHeight > s.clientHeight && s.scrollTop + "
                                           "s.clientHeight > s.scrollHeight - 2)"
                                           "(document.querySelector('.scroller'))"))
            self.assertEqual(browser.script("(() => { try { return parent.document.title } "
                                            "catch (error) { return error.name } })()"), "SecurityError")
        browser.screenshot(str(BUILD / "shots" / f"{name}.png"))
        with browser.inside(FRAME):
            self.assertTrue(browser.script(
                "[...document.querySelectorAll('button')].some((b) => b.textContent === 'Table' && "
                "(b.click(), true))"))
            browser.wait_for("document.querySelector('table')")
            browser.type("input", "wait")
            browser.wait_for("location.hash.includes('wait')")
            self.assertEqual(browser.script("location.href.split('#')[0]"), here.split("#")[0])
        self.resize(browser)
        self.assertEqual([line for line in browser.complaints() if "srcdoc" in line], [])

    def resize(self, browser):
        """By the strip below it, with the mouse."""
        box = f"{FRAME}.parentElement"
        for change in (60, -120):
            browser.script(f"{FRAME}.scrollIntoView({{block: 'center'}})")
            before = browser.script(f"{box}.offsetHeight")
            x, y = browser.script("((r) => [r.left + r.width / 2, r.bottom - 7])"
                                  f"({box}.getBoundingClientRect())")
            browser.drag((x, y), (x, y + change), seconds=0.3)
            self.assertAlmostEqual(browser.script(f"{box}.offsetHeight"), before + change, delta=15)

    def test_notebook(self):
        if importlib.util.find_spec("notebook") is None:
            self.skipTest("there is no Jupyter Notebook")
        self.check("notebook", "notebooks", "notebook")

    def test_lab(self):
        if importlib.util.find_spec("jupyterlab") is None:
            self.skipTest("there is no JupyterLab")
        self.check("jupyterlab", "lab/tree", "lab")

    def test_not_trusted(self):
        """JupyterLab takes the frame away, and says in its place what brings it back."""
        if importlib.util.find_spec("jupyterlab") is None:
            self.skipTest("there is no JupyterLab")
        browser = self.opened("jupyterlab", "lab/tree", "theirs")
        browser.wait_for("document.querySelector('.jp-RenderedHTMLCommon[data-mime-type=\"text/html\"]')", 60)
        self.assertFalse(browser.script(FRAME))
        self.assertIn("once the notebook is trusted",
                      browser.script("document.querySelector('.jp-OutputArea-output').innerText"))


if __name__ == "__main__":
    unittest.main()
