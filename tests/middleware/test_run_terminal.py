"""flameprof run on a terminal: a line says how far it is, and nothing else is moved."""

import fcntl
import os
import pty
import select
import signal
import struct
import sys
import termios
import time
import unittest

import pyte
from runs import ENVIRONMENT, PATIENCE, Runs

ROWS, COLUMNS = 10, 80


class Screen(pyte.Screen):
    """As terminals do it: without numbers, all lines scroll."""

    def set_margins(self, top=None, bottom=None):
        super().set_margins(None if (top, bottom) == (0, None) else top, bottom)


class Terminal:
    """A program on a terminal of its own, and what can be seen there."""

    def __init__(self, words, folder, term="xterm"):
        self.screen = Screen(COLUMNS, ROWS)
        self.stream = pyte.ByteStream(self.screen)
        self.said = b""
        self.process, self.terminal = pty.fork()
        if self.process == 0:
            os.chdir(folder)
            os.execvpe(words[0], words, {**ENVIRONMENT, "TERM": term})
        self.resize(ROWS)

    def resize(self, rows):
        self.screen.resize(rows, COLUMNS)
        fcntl.ioctl(self.terminal, termios.TIOCSWINSZ, struct.pack("HHHH", rows, COLUMNS, 0, 0))

    def read(self):
        """False: it has ended."""
        if select.select([self.terminal], [], [], 0.1)[0]:
            try:
                data = os.read(self.terminal, 65536)
            except OSError:
                return False
            self.said += data
            self.stream.feed(data)
        return True

    def until(self, seen):
        """The lines of the screen once they are so."""
        patience = time.monotonic() + PATIENCE
        while not seen(self.screen.display):
            if time.monotonic() > patience or not self.read():
                raise AssertionError("\n".join(self.screen.display))
        return [line.rstrip() for line in self.screen.display]

    def end(self):
        patience = time.monotonic() + PATIENCE
        while self.read():
            if time.monotonic() > patience:
                os.kill(self.process, signal.SIGKILL)
        return os.waitstatus_to_exitcode(os.waitpid(self.process, 0)[1])

    def close(self):
        os.close(self.terminal)


class Progress(Runs):
    def open(self, text, *options, **kinds):
        words = [sys.executable, "-m", "flameprof", "run", "-o", "p.svg", *options]
        terminal = Terminal([*words, self.script(text)], self.folder, **kinds)
        self.addCleanup(terminal.close)
        return terminal

    def test_it_is_there_and_goes(self):
        terminal = self.open(
            """
            import time
            for i in range(20):
                print("line", i)
                time.sleep(0.15)
            """
        )
        lines = terminal.until(lambda lines: "samples" in lines[-1] and "line 9" in "".join(lines))
        self.assertRegex(lines[-1], r"^flameprof: \d+ s, [\d,]+ samples$")
        self.assertEqual(sum("flameprof" in line for line in lines), 1)
        self.assertRegex(lines[-3], r"^line \d+$")
        self.assertEqual(terminal.end(), 0)
        lines = [line.rstrip() for line in terminal.screen.display]
        last = max(i for i, line in enumerate(lines) if line.startswith("line"))
        self.assertEqual(lines[last], "line 19")
        self.assertRegex(lines[last + 1], r"^flameprof: p\.svg: .* samples")
        self.assertEqual("".join(lines[last + 2 :]), "")
        self.assertEqual(terminal.screen.margins, None)

    def test_the_cursor_stays_where_it_is(self):
        terminal = self.open("print('what', input('say it: '))")
        lines = terminal.until(lambda lines: "samples" in lines[-1])
        self.assertEqual(lines[0], "say it:")
        self.assertEqual((terminal.screen.cursor.x, terminal.screen.cursor.y), (8, 0))
        os.write(terminal.terminal, b"this\n")
        self.assertEqual(terminal.end(), 0)
        self.assertEqual(terminal.screen.display[0].rstrip(), "say it: this")
        self.assertEqual(terminal.screen.display[1].rstrip(), "what this")

    def test_another_size(self):
        terminal = self.open("input()")
        terminal.until(lambda lines: "samples" in lines[-1])
        terminal.resize(ROWS + 5)
        terminal.until(lambda lines: len(lines) == ROWS + 5 and "samples" in lines[-1])
        os.write(terminal.terminal, b"\n")
        self.assertEqual(terminal.end(), 0)
        self.assertEqual(terminal.screen.margins, None)

    def test_ends_by_a_key(self):
        for key, number in ((b"\x03", signal.SIGINT), (b"\x1c", signal.SIGQUIT)):
            with self.subTest(signal=number.name):
                (self.folder / "p.svg").unlink(missing_ok=True)
                terminal = self.open("input()")
                terminal.until(lambda lines: "samples" in lines[-1])
                os.write(terminal.terminal, key)
                self.assertEqual(terminal.end(), -number)
                self.assertEqual(terminal.screen.display[-1].strip(), "")
                self.assertEqual(terminal.screen.margins, None)
                self.assertTrue((self.folder / "p.svg").exists())

    def test_ends_by_a_key_while_nothing_can_be_written(self):
        terminal = self.open("sum(range(10**12))")
        terminal.until(lambda lines: "samples" in lines[-1])
        os.write(terminal.terminal, b"\x1c")
        terminal.until(lambda lines: "".join(lines).strip() == "^\\")
        os.write(terminal.terminal, b"\x1c")
        self.assertEqual(terminal.end(), -signal.SIGQUIT)
        self.assertEqual(terminal.screen.margins, None)

    def test_ends_by_a_signal(self):
        terminal = self.open("input()")
        terminal.until(lambda lines: "samples" in lines[-1])
        os.kill(terminal.process, signal.SIGTERM)
        self.assertEqual(terminal.end(), -signal.SIGTERM)
        self.assertEqual(terminal.screen.display[-1].strip(), "")
        self.assertEqual(terminal.screen.margins, None)

    def silent(self, terminal):
        self.assertEqual(terminal.end(), 0)
        self.assertNotIn(b"\x1b", terminal.said)
        self.assertEqual(terminal.said.count(b"flameprof"), 1, terminal.said)

    def test_none(self):
        wait = "import time; time.sleep(2.5)"
        for what, text, options, kinds in (
            ("unwanted", wait, ["--no-progress"], {}),
            ("a terminal that cannot", wait, [], {"term": "dumb"}),
            ("over soon", "pass", [], {}),
            ("a program that draws itself", f"import tty; tty.setraw(0); {wait}", [], {}),
            ("standard error is none", f"import os; os.dup2(os.open('log', 577), 2); {wait}\n"
             "os.dup2(1, 2)", [], {}),
        ):
            with self.subTest(what=what):
                self.silent(self.open(text, *options, **kinds))

    def test_none_where_nobody_sees_it(self):
        done, _ = self.run_script("-o", "p.svg", self.script("import time; time.sleep(2.5)"))
        self.assertEqual((done.stdout, done.stderr), ("", ""))


if __name__ == "__main__":
    unittest.main()
