"""%flameprof and %%flameprof in a kernel, and in IPython on a terminal."""

import html
import re
import subprocess
import sys
import tempfile
import unittest

import pexpect
from kernels import Kernels, Measuring, environment

OURS = re.compile(r"flameprof/ipython\.py|run_cell_magic|run_line_magic|\.structured_traceback")

THREADS = """
import glob
[name for name in glob.glob('/proc/self/task/*/comm') if 'flame' in open(name).read()]
"""


def folded(test, cell, *options):
    """The stacks of a cell: [[name, ...], microseconds]."""
    path = test.folder / "a.folded"
    answer = test.run_cell(" ".join(["%%flameprof -o", str(path), *options]) + "\n" + cell)
    test.assertEqual(answer.status, "ok", answer.error)
    lines = [line.rsplit(" ", 1) for line in path.read_text().splitlines()]
    return [([re.sub(r" \(.*", "", name) for name in names.split(";")], int(took))
            for names, took in lines]


class Cells(Measuring, Kernels):
    def test_a_frame_and_the_value(self):
        answer = self.run_cell("%%flameprof\nwait(0.1)\nseen = 41\nseen + 1")
        self.assertEqual((answer.status, answer.value), ("ok", "42"))
        (shown,) = answer.displayed
        self.assertRegex(shown["text/html"], r'<iframe [^>]*sandbox="allow-scripts[^"]*" [^>]*srcdoc="')
        page = html.unescape(re.search(r'srcdoc="([^"]*)"', shown["text/html"])[1])
        self.assertTrue(page.startswith("<!DOCTYPE html>"))
        self.assertIn("wait", page)
        self.assertRegex(shown["text/plain"], r"samples[^$]*wait")
        self.assertEqual(self.run_cell("seen").value, "41")
        self.assertEqual(self.run_cell("_flameprof_value").status, "error")

    def test_the_graph_begins_at_the_cell(self):
        stacks = folded(self, "wait(0.1)\nfor i in range(3):\n    wait(0.02)\nNone")
        self.assertEqual({names[0] for names, _ in stacks}, {"<module>"})
        waited = sum(took for names, took in stacks if names[1:2] == ["wait"])
        self.assertAlmostEqual(waited / 1e6, 0.16, delta=0.08)

    def test_calls_in_cells_have_their_names(self):
        if sys.version_info < (3, 11):
            self.skipTest("code knows no columns before Python 3.11")
        stacks = folded(self, "time.sleep(0.2)\nwait(0.2)")
        found = {names[-1] for names, _ in stacks}
        self.assertIn("time.sleep(…)", {name for names, _ in stacks for name in names[1:2]})
        self.assertIn("time.sleep(…)", found)

    def test_a_file_that_is_gone_and_whose_name_is_no_text(self):
        """A traceback has had its lines."""
        self.run_cell("import linecache\nlinecache.cache['/gone\\udce9'] = (1, None, ['x'], '')")
        self.assertEqual(self.run_cell("%flameprof 6 * 7").value, "42")

    def test_clock_lines_threads(self):
        total = sum(took for _, took in folded(self, "wait(0.3)", "--clock", "offcpu"))
        self.assertGreater(total, 0.25e6)
        self.assertLess(sum(took for _, took in folded(self, "wait(0.3)", "--clock", "cpu")), 0.1e6)
        thread = "import threading\nt = threading.Thread(target=wait, args=(0.3,))\nt.start()\nt.join()"
        self.assertNotIn("'wait'", str(folded(self, thread)))
        self.assertIn("'wait'", str(folded(self, thread, "--threads")))
        self.folder.joinpath("a.folded").unlink()
        self.run_cell("%%flameprof --lines -o a.folded\nwait(0.3)")
        self.assertRegex(self.folder.joinpath("a.folded").read_text(), r";wait \(\S+:3\)")

    def test_every_format(self):
        for ending in ("svg", "html", "json", "folded", "pb.gz", "speedscope.json", "png", "pdf"):
            self.assertEqual(self.run_cell(f"%flameprof -o 'a b.{ending}' wait(0.01)").status, "ok")
            self.assertTrue(self.folder.joinpath(f"a b.{ending}").stat().st_size, ending)

    def test_a_line(self):
        answer = self.run_cell("got = %flameprof -i 0.0005 wait(0.05) or {'a': \"$HOME {x}\"}\ngot")
        self.assertEqual(answer.value, "{'a': '$HOME {x}'}")
        self.assertIn("interval 500.0 µs asked", html.unescape(answer.displayed[0]["text/html"]))
        self.assertEqual(self.run_cell("%flameprof later = wait(0.01)").status, "ok")
        self.assertIsNone(self.run_cell("later").value)

    def test_a_semicolon(self):
        self.assertIsNone(self.run_cell("%%flameprof\n'ü'; 5;  # quiet").value)
        self.assertEqual(self.run_cell("%%flameprof\n'ü'; 5  # not; quiet").value, "5")
        self.assertIsNone(self.run_cell("%%flameprof\nx = 5").value)

    def test_other_magics_in_it(self):
        answer = self.run_cell("%%flameprof\nhere = %pwd\n!echo from-a-shell\nhere")
        self.assertIn("from-a-shell", answer.said)
        self.assertEqual(answer.value, repr(str(self.folder)))


class Errors(Measuring, Kernels):
    def fails(self, cell, *said):
        answer = self.run_cell(cell)
        self.assertEqual(answer.status, "error")
        text = answer.error or answer.said
        for part in said:
            self.assertIn(part, text)
        self.assertNotRegex(text, OURS)
        return text, answer

    def test_a_cell_that_raises(self):
        text, answer = self.fails(
            "%%flameprof\n\ndef bad():\n    wait(0.2)\n    raise KeyError('abc')\nbad()",
            "----> 6 bad()", "----> 5     raise KeyError('abc')", "KeyError: 'abc'")
        self.assertIn("wait", answer.displayed[0]["text/plain"])
        self.assertEqual(text.count("KeyError: 'abc'"), 1)
        self.assertEqual(self.run_cell(THREADS).value, "[]")
        self.assertEqual(self.run_cell("%flameprof 6 * 7").value, "42")

    def test_an_error_is_shown_anew_each_time(self):
        self.run_cell("error = ValueError('mine')")
        self.fails("%%flameprof\nraise error", "----> 2 raise error")
        self.assertIn("----> 3 again()", self.run_cell("def again():\n    raise error\nagain()").error)

    def test_a_cell_that_is_no_python(self):
        text, answer = self.fails("%%flameprof\nx = = 1", "x = = 1", "SyntaxError: invalid syntax")
        self.assertEqual(answer.displayed, [])
        self.assertIn("line 2", text)

        self.fails("%%flameprof\nreturn 5", "return 5", "SyntaxError: 'return' outside function")
        text, _ = self.fails("%%flameprof\nimport ast\nast.parse('y = = 1')", "y = = 1")
        self.assertIn("ast.parse", text)

    def test_one_in_another(self):
        text, _ = self.fails("%%flameprof\n%flameprof wait(0.01)")
        self.assertEqual(text.strip(), "UsageError: %flameprof: a flame graph is being made already, "
                                       "with this in it")
        self.assertEqual(self.run_cell("%flameprof 6 * 7").value, "42")

    def test_exit_and_interrupt(self):
        answer = self.run_cell("%%flameprof\nraise KeyboardInterrupt")
        self.assertEqual(answer.status, "error")
        self.assertNotRegex(answer.error, OURS)

    def test_one_sentence(self):
        for line, said in (
            ("%flameprof", "takes a statement"),
            ("%flameprof -i abc wait(9)", "-i abc: it takes seconds"),
            ("%flameprof -i 7 wait(9)", "interval takes seconds from 0.00005 to 1"),
            ("%flameprof --clock moon wait(9)", "one of wall, cpu, offcpu and gil"),
            ("%flameprof -o a.doc wait(9)", "no format has this ending"),
            ("%flameprof -o /nowhere/a.svg wait(9)", "No such file or directory: '/nowhere'"),
            ("%flameprof -z wait(9)", "option -z not recognized"),
            ("%%flameprof wait(9)\n5", "options and a cell below, not 'wait(9)'"),
            ("%%flameprof\nimport asyncio\nawait asyncio.sleep(0)", "awaits"),
        ):
            with self.subTest(line=line):
                text, answer = self.fails(line, "UsageError: ", said)
                self.assertEqual(len(text.strip().splitlines()), 1)
                self.assertEqual(answer.displayed, [])


class Configured(Kernels):
    config = """
c = get_config()
c.InteractiveShellApp.extensions = ["flameprof"]
c.FlameprofMagics.interval = 0.002
c.FlameprofMagics.clock = "cpu"
c.FlameprofMagics.height = 333
"""

    def test_the_traits(self):
        page = self.run_cell("%flameprof wait(0.05)").displayed[0]
        self.assertIn("height: 333px", page["text/html"])
        self.assertIn("interval 2.000 ms asked", page["text/html"])
        self.run_cell("%config FlameprofMagics.interval = 0.005")
        page = self.run_cell("%flameprof wait(0.05)").displayed[0]
        self.assertIn("interval 5.000 ms asked", page["text/html"])
        for wrong in ("interval = 5", "interval = 0", 'clock = "moon"', "height = 0"):
            name = wrong.split()[0]
            before = self.run_cell(f"%config FlameprofMagics.{name}").value
            self.assertIn(f"'{name}' trait", str(vars(self.run_cell(f"%config FlameprofMagics.{wrong}"))))
            self.assertEqual(self.run_cell(f"%config FlameprofMagics.{name}").value, before)
            # IPython keeps what was wrong, and would have it again at %reload_ext.
            self.run_cell(f"%config FlameprofMagics.{name} = {before}")
        self.assertIn("FlameprofMagics.threads", self.run_cell("%config FlameprofMagics").said)

    def test_unloaded(self):
        self.assertEqual(self.run_cell("%reload_ext flameprof\n%flameprof 6 * 7").value, "42")
        self.run_cell("%unload_ext flameprof")
        self.assertIn("not found", str(vars(self.run_cell("%flameprof 1"))))
        left = "[name for name in get_ipython().magics_manager.registry if 'lame' in name]"
        self.assertEqual(self.run_cell(left).value, "[]")
        self.assertEqual(self.run_cell("%load_ext flameprof\n%flameprof 6 * 7").value, "42")


class Terminal(unittest.TestCase):
    def test_a_table_and_a_file(self):
        with tempfile.TemporaryDirectory(prefix="flameprof-terminal-") as folder:
            shell = pexpect.spawn(
                sys.executable, ["-B", "-m", "IPython", "--simple-prompt", "--no-banner",
                                 "--colors=nocolor", "--HistoryManager.enabled=False"],
                cwd=folder, env=environment(folder), encoding="utf-8", timeout=60,
                dimensions=(50, 200),
            )
            try:
                for number, line in enumerate(("%load_ext flameprof", "import time", "%flameprof "
                                               "time.sleep(0.1) or 6 * 7"), 1):
                    shell.expect(rf"In \[{number}\]: ")
                    shell.sendline(line)
                shell.expect(r"samples, \d+ missed")
                shell.expect(r"own s +total s +function")
                shell.expect(rf"({folder}/cell-\w+\.svg)\r\n")
                path = shell.match[1]
                shell.expect(r"Out\[3\]: 42")
                with open(path) as file:
                    self.assertIn("<svg", file.read())
                shell.sendline("exit")
                shell.expect(pexpect.EOF)
            finally:
                shell.close(force=True)

    def test_a_picture_that_cannot_be_drawn(self):
        """The value is there, and the statement's own error is what is shown."""
        with tempfile.TemporaryDirectory(prefix="flameprof-terminal-") as folder:
            with open(f"{folder}/librsvg-2.so.2", "w"):
                pass  # what is no library
            cell = "%load_ext flameprof\n{}%flameprof -o a.png {}\nprint(x)"
            for before, statement, said in (
                ("x = ", "[6 * 7]", "[42]"), ("", "1 / 0", "ZeroDivisionError: division by zero")
            ):
                done = subprocess.run(
                    [sys.executable, "-B", "-m", "IPython", "--colors=nocolor",
                     "--HistoryManager.enabled=False", "-c", cell.format(before, statement)],
                    cwd=folder, env={**environment(folder), "LD_LIBRARY_PATH": folder}, timeout=60,
                    stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                    text=True,
                )
                self.assertIn(f"{said}\n", done.stdout)
                self.assertIn("%flameprof: PNG and PDF need librsvg", done.stdout)
                self.assertNotIn("RuntimeError", done.stdout)


if __name__ == "__main__":
    unittest.main()
