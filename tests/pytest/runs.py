"""A folder with tests of somebody's, and real pytest in it."""

import os
import pathlib
import re
import subprocess
import sys
import tempfile
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))
from measuring import Measuring  # noqa: E402, F401

PACKAGE = os.path.abspath(os.environ["PYTHONPATH"].split(os.pathsep)[0])
PLUGIN = ("-p", "flameprof.pytest_plugin")
ENTRY_POINT = "[pytest11]\nflameprof = flameprof.pytest_plugin\n"
LISTED = re.compile(r"^ +([\d.]+) s  (\S+::.*?)  (\S+\.svg)$", re.M)


class Runs(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory(prefix="flameprof-pytest-")
        self.addCleanup(folder.cleanup)
        self.folder = pathlib.Path(folder.name)
        self.path = [PACKAGE]

    def write(self, text, name="test_shop.py"):
        (self.folder / name).write_text(text)

    def install(self):
        """As pip would: the distribution's entry point."""
        info = self.folder / "site" / "uwsgi_flameprof-0.1.dist-info"
        info.mkdir(parents=True)
        (info / "METADATA").write_text("Metadata-Version: 2.1\nName: uwsgi-flameprof\nVersion: 0.1\n")
        (info / "entry_points.txt").write_text(ENTRY_POINT)
        self.path.append(str(info.parent))

    def pytest(self, *arguments, plugin=PLUGIN, says=None, code=0):
        """What it prints; its exit code is `code`."""
        done = subprocess.run(
            [sys.executable, "-B", "-m", "pytest", "-p", "no:cacheprovider", *plugin, *arguments],
            cwd=self.folder, input=says or "", stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
            text=True, errors="replace", timeout=120,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(self.path), "COLUMNS": "200"},
        )
        self.assertEqual(done.returncode, code, done.stdout)
        return done.stdout

    def listed(self, text):
        """(seconds, test, file) of each graph that the summary has."""
        return [(float(took), test, name) for took, test, name in LISTED.findall(text)]

    def told(self, text):
        return [test.split("::", 1)[1] for _, test, _ in self.listed(text)]

    def graphs(self, folder="flameprof-tests"):
        return sorted(path.name for path in (self.folder / folder).glob("*.svg"))

    def graph(self, name):
        """The names in the graph of a test of test_shop.py's, as its script has them."""
        return (self.folder / "flameprof-tests" / f"test_shop.py.{name}.svg").read_text()
