"""The stubs say what the package has, and mypy takes what the documents show."""

import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile
import unittest

import tree

# What C cannot say of itself: the signature of a type's slot.
ALLOWED = ["flameprof.Session.__init__"]
RIGHT = """
import flameprof
from flameprof.django import FlameprofMiddleware
from flameprof.django.panel import FlamegraphPanel
from flameprof.launcher import SimpleLauncher

with flameprof.profile(interval=0.0005, print_summary=True) as profiler:
    pass
profiler.save("work.svg", clock="cpu")
rows = [(row.name, row.own + 1.0) for row in profiler.top(5)]

@flameprof.flamegraph
def one(x: int) -> str:
    return str(x)

@flameprof.flamegraph(open_svg=True, interval=0.01)
def other(x: int) -> str:
    return str(x)

text: str = one(1) + other(2)
launcher = SimpleLauncher.launch()
records, stacks = launcher.query(re_filter="x", max_records=3)

def app(environ, start_response):  # type: ignore
    return []

flameprof.Middleware(app, panel=True, authorize=lambda environ: "REMOTE_USER" in environ)
"""
WRONG = """
import flameprof
flameprof.Profiler().render(format="gif")
flameprof.profile(1, 2, 3)
number: str = flameprof.Profiler().top()[0].own
"""


class Types(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory(prefix="flameprof-types-")
        self.addCleanup(folder.cleanup)
        self.folder = pathlib.Path(folder.name)
        self.package = tree.BUILD / "python"

    def mypy(self, *arguments, package=None):
        package = str(package or self.package)
        return subprocess.run(
            [sys.executable, "-m", *arguments], cwd=self.folder, stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT, text=True, timeout=300,
            env={**os.environ, "MYPYPATH": package, "PYTHONPATH": package},
        )

    def test_stubs_are_what_is_there(self):
        # The frameworks, which have no types themselves, are left out, what nobody imports
        # but pytest and IPython, and what only a process of `flameprof run` can import.
        package = self.folder / "package"
        shutil.copytree(self.package, package,
                        ignore=shutil.ignore_patterns("django", "flask", "ipython.py",
                                                      "pytest_plugin", "sitecustomize.py",
                                                      "__pycache__"))
        allowed = self.folder / "allowed"
        allowed.write_text("\n".join(ALLOWED))
        done = self.mypy("mypy.stubtest", "flameprof", "--ignore-missing-stub",
                         "--ignore-unused-allowlist", "--allowlist", str(allowed), package=package)
        self.assertEqual(done.returncode, 0, done.stdout)

    def test_use(self):
        (self.folder / "right.py").write_text(RIGHT)
        done = self.mypy("mypy", "--strict", "right.py")
        self.assertEqual(done.returncode, 0, done.stdout)
        (self.folder / "wrong.py").write_text(WRONG)
        done = self.mypy("mypy", "--strict", "wrong.py")
        lines = set(re.findall(r"^wrong\.py:(\d+): error:", done.stdout, re.M))
        self.assertEqual(lines, {"3", "4", "5"}, done.stdout)


if __name__ == "__main__":
    unittest.main()
