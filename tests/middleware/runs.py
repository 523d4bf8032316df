"""What the tests of `flameprof run` share: scripts, and how they are run."""

import os
import pathlib
import re
import signal
import subprocess
import sys
import tempfile
import textwrap
import unittest

import flameprof

PROGRAM = os.path.abspath(os.environ["FLAMEPROF"])
PACKAGE = os.path.dirname(os.path.dirname(os.path.abspath(flameprof.__file__)))
ENVIRONMENT = {**os.environ, "PYTHONPATH": PACKAGE, "PYTHON": sys.executable}
PATIENCE = 120
BUSY = """
import time
def busy(seconds):
    end = time.perf_counter() + seconds
    while time.perf_counter() < end:
        pass
"""

# As a shell starts programs; nohup, and a shell's background, ignore these.
signal.signal(signal.SIGHUP, signal.SIG_DFL)
signal.signal(signal.SIGQUIT, signal.SIG_DFL)
signal.signal(signal.SIGINT, signal.default_int_handler)


def placeless(text):
    """Without addresses, which are never the same twice."""
    return re.sub(r"0x[0-9a-f]+|\b\d{12,}\b", "ADDRESS", text)


class Runs(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory(prefix="flameprof-run-")
        self.addCleanup(folder.cleanup)
        self.folder = pathlib.Path(folder.name)

    def script(self, text, name="script.py"):
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(textwrap.dedent(text))
        return name

    def call(self, words, **options):
        options = {"env": ENVIRONMENT, "input": "", **options}
        if "stdin" in options:
            del options["input"]
        return subprocess.run(
            words, cwd=self.folder, capture_output=True, text=True, timeout=PATIENCE, **options
        )

    def run_script(self, *words, **options):
        """What it did, and what we said of it."""
        done = self.call([sys.executable, "-m", "flameprof", "run", *words], **options)
        lines = done.stderr.splitlines(keepends=True)
        ours = [line for line in lines if line.startswith("flameprof: ")]
        done.stderr = "".join(line for line in lines if line not in ours)
        return done, "".join(ours)

    def assertSame(self, *target, **options):
        """Run with and without us, it says the same and ends the same way."""
        python = options.pop("python", [])
        without = self.call([sys.executable, *python, *target], **options)
        with_us = self.call(
            [sys.executable, *python, "-m", "flameprof", "run", "-o", "p.folded", *target], **options
        )
        ours = r"^flameprof: p\.folded: .* samples.*\n"
        said, times = re.subn(ours, "", with_us.stderr, flags=re.M)
        self.assertEqual(times, 1, "it speaks of the picture once: " + with_us.stderr)
        self.assertEqual(
            (placeless(with_us.stdout), said, with_us.returncode),
            (placeless(without.stdout), without.stderr, without.returncode),
        )
        return without

    def folded(self, name="p.folded"):
        return (self.folder / name).read_text()
