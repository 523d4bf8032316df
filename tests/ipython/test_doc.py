"""docs/ipython.md, as somebody follows it who has nothing else."""

import pathlib
import re
import textwrap
import unittest

from kernels import Kernels

ROOT = pathlib.Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs" / "ipython.md").read_text()
FENCED = re.compile(r"^```python\n(.*?)^```", re.M | re.S)
CONFIG, AWAITS = FENCED.findall(PAGE)
CELLS = [
    textwrap.dedent(cell).strip()
    for cell in re.findall(r"^((?: {4}.*\n)+)", FENCED.sub("", PAGE), re.M)
]


class Session(Kernels):
    def test_the_cells(self):
        self.assertEqual(len(CELLS), 4)
        load, cell, line, options = CELLS
        self.assertEqual(self.run_cell(load).status, "ok")
        for text, value in ((cell, "["), (line, "["), (options, "[")):
            answer = self.run_cell(text)
            self.assertEqual(answer.status, "ok", answer.error)
            self.assertTrue(answer.value.startswith(value))
            self.assertIn("<iframe", answer.displayed[0]["text/html"])
        self.assertIn("<svg", (self.folder / "sorted.svg").read_text())

    def test_what_awaits(self):
        answer = self.run_cell(AWAITS)
        self.assertEqual(answer.status, "ok", answer.error)
        self.assertIn("<iframe", answer.displayed[0]["text/html"])

    def test_what_is_not_done(self):
        """A profile that runs, or has not begun, is shown as any object."""
        for begun in ("", "; p.start()"):
            shown = self.run_cell(f"import flameprof; p = flameprof.Profiler(){begun}\ndisplay(p)")
            self.assertEqual(list(shown.displayed[0]), ["text/plain"])
        self.run_cell("p.stop()")

    def test_every_option_and_trait(self):
        rows = set(re.findall(r"^\| `(-\S+)` \|", PAGE, re.M))
        shown = self.run_cell("print(get_ipython().find_line_magic('flameprof').__doc__)").said
        self.assertEqual(rows, set(re.findall(r"^ *(-\S+) ", shown, re.M)))
        traits = self.run_cell("%config FlameprofMagics").said
        self.assertEqual(set(re.findall(r"FlameprofMagics\.(\w+) =", CONFIG)),
                         set(re.findall(r"^FlameprofMagics\.(\w+)=", traits, re.M)))


class Always(Kernels):
    config = CONFIG

    def test_the_configuration(self):
        shown = self.run_cell("%flameprof wait(0.05)").displayed[0]["text/html"]
        self.assertIn("height: 600px", shown)
        self.assertIn("interval 500.0 µs asked", shown)
        for line in re.findall(r"`(%config [^`]*)`", PAGE):
            self.assertEqual(self.run_cell(line).status, "ok")
        shown = self.run_cell("%flameprof wait(0.05)").displayed[0]["text/html"]
        self.assertIn("interval 10.00 ms asked", shown)


if __name__ == "__main__":
    unittest.main()
