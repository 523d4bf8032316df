"""docs/run.md: its commands, to the letter, by somebody who has nothing else."""

import os
import pathlib
import re
import subprocess
import sys
import unittest

from runs import ENVIRONMENT, PATIENCE, PROGRAM, Runs

ROOT = pathlib.Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs" / "run.md").read_text()
SCRIPT = re.search(r"^```python\n(.*?)^```", PAGE, re.M | re.S).group(1)
LINES = re.findall(r"^    (\S.*)$", PAGE.replace(SCRIPT, ""), re.M)
COMMANDS = [line for line in LINES if not line.startswith("flameprof: ")]


class Document(Runs):
    def setUp(self):
        super().setUp()
        bin = self.folder / "bin"
        bin.mkdir()
        (bin / "flameprof").symlink_to(PROGRAM)
        # Not a link: Python would look for its library beside it.
        (bin / "python3").write_text(f'#!/bin/sh\nexec {sys.executable} "$@"\n')
        (bin / "python3").chmod(0o755)
        # timeit warns of a machine that is busy elsewhere.
        self.environment = {**ENVIRONMENT, "PATH": f"{bin}:{os.environ['PATH']}",
                            "PYTHONWARNINGS": "ignore::UserWarning"}
        del self.environment["PYTHON"]
        (self.folder / "work.py").write_text(SCRIPT)

    def shell(self, command):
        return subprocess.run(
            ["sh", "-c", command], cwd=self.folder, env=self.environment, text=True,
            stdin=subprocess.DEVNULL, capture_output=True, timeout=PATIENCE,
        )

    def test_commands(self):
        """Each does what it says; the pictures are there."""
        self.assertEqual(len(COMMANDS), 8)
        outputs = ["3000 rows\n", None, "333332833333500000\n", "", "10000 rows\n", "", "10000 rows\n", ""]
        for command, output in zip(COMMANDS, outputs):
            with self.subTest(command=command):
                done = self.shell(command)
                status = 143 if command.startswith("timeout") else 0
                self.assertEqual(done.returncode, status, done.stderr)
                if output is not None:
                    self.assertEqual(done.stdout, output)
                file = re.search(r"-o (\S+)", command)
                name = file.group(1) if file else "work.py.svg" if "work.py" in command else "timeit.svg"
                self.assertGreater((self.folder / name).stat().st_size, 20, done.stderr)
                if " run " in command:
                    self.assertRegex(done.stderr, rf"\Aflameprof: {re.escape(name)}: .* samples.*\n\Z")
        text = (self.folder / "work.folded").read_text()
        self.assertIn("wait_for_a_friend", text)
        self.assertRegex(text, r"(?m)^\[thread friend\];")
        self.assertIn("table", text)
        self.assertIn("<string>", (self.folder / "waited.folded").read_text())

    def test_what_it_says_at_the_end(self):
        said = next(line for line in LINES if line.startswith("flameprof: "))
        pattern = re.sub(r"\d+", r"[\\d,]+", re.escape(said))
        done = self.shell(COMMANDS[0])
        self.assertRegex(done.stderr, pattern)

    def test_options(self):
        """The table has those of --help."""
        helped = self.shell("flameprof --help").stdout.split("\nrender and diff")[0]
        offered = set(re.findall(r"^ .{5}(--[a-z-]+)", helped, re.M))
        table = PAGE.split("## Options")[1].split("##")[0]
        self.assertEqual(set(re.findall(r"`(--[a-z-]+)", table)), offered)

    def test_python_options_are_the_scripts(self):
        (self.folder / "flags.py").write_text("import sys; print(sys.flags.optimize, sys.flags.dev_mode)")
        done = self.shell("python3 -O -X dev -m flameprof run flags.py")
        self.assertEqual(done.stdout, "1 True\n", done.stderr)

    def test_the_other_flameprof(self):
        """As PyPI's: a module, not a package."""
        (self.folder / "theirs").mkdir()
        (self.folder / "theirs" / "flameprof.py").write_text("print('theirs')")
        self.environment["PYTHONPATH"] = f"{self.folder}/theirs"
        done = self.shell("flameprof run work.py")
        self.assertEqual(done.returncode, 1)
        self.assertIn("has no flameprof of ours", done.stderr)
        self.assertEqual(done.stderr.count("\n"), 1, done.stderr)
        self.assertNotIn("rows", done.stdout)

    def test_the_names_of_the_formats(self):
        (self.folder / "one.py").write_text("sum(range(3000000))")
        row = next(line for line in PAGE.splitlines() if line.startswith("| `-o FILE`"))
        endings = re.findall(r"`(\.[a-z.]+)`", row.split("ending says")[1].split(" | ")[0])
        self.assertEqual(len(endings), 9)
        for ending in endings:
            with self.subTest(ending=ending):
                done = self.shell(f"flameprof run -o p{ending} one.py")
                self.assertEqual(done.returncode, 0, done.stderr)
                self.assertGreater((self.folder / f"p{ending}").stat().st_size, 20)


if __name__ == "__main__":
    unittest.main()
