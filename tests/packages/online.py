"""docs/install.md with the newest of PyPI: pip builds as it does for everybody, and the other
flameprof is installed, too. For tests/matrix/newest, since it needs the network."""

import pathlib
import re
import shutil
import tempfile
import unittest

from installing import PAGE, VERSION, commands, copy_sources, run

IMPORTS = "venv/bin/python -c 'import flameprof; print(flameprof.__file__)'"


class Online(unittest.TestCase):
    def setUp(self):
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="flameprof-online-"))
        self.addCleanup(shutil.rmtree, self.folder)
        copy_sources(self.folder)

    def do(self, command, code=0):
        status, said = run(command, self.folder)
        self.assertEqual(status, code, f"{command}\n{said}")
        return said

    def test_pip(self):
        make, install, show, _, uninstall = commands("With pip")
        for command in (make, "venv/bin/pip install --upgrade pip", install):
            self.do(command)
        self.assertEqual(self.do(show).strip(), VERSION)
        self.do("venv/bin/pip check")
        self.assertRegex(self.do("venv/bin/pip show uwsgi-flameprof"), r"License.*: MIT\n")
        self.do(uninstall)
        self.assertEqual(list((self.folder / "venv").rglob("*lameprof*")), [])

    def test_both_in_one_environment(self):
        make, install, *_ = commands("With pip")
        script = self.folder / "venv" / "bin" / "flameprof"
        self.do(make)
        self.do("venv/bin/pip install flameprof")
        self.assertRegex(self.do(IMPORTS), r"/flameprof\.py\n$")
        self.do(install)
        self.do("venv/bin/pip check")
        self.assertRegex(self.do(IMPORTS), r"/flameprof/__init__\.py\n$")
        with self.subTest("the one that goes takes the command with it"):
            self.do("venv/bin/pip uninstall -y flameprof")
            self.assertFalse(script.exists())
            self.assertRegex(self.do(IMPORTS), r"/flameprof/__init__\.py\n$")
        with self.subTest("the command comes back"):
            again, = re.findall(r"`(venv/bin/pip install --force-reinstall [^`]*)`", PAGE)
            self.do(again)
            points = self.do("venv/bin/python -c 'import importlib.metadata as m; print("
                             "m.distribution(\"uwsgi-flameprof\").entry_points)'")
            self.assertEqual(script.exists(), "console_scripts" in points)
        with self.subTest("installed last, the other one's runs python -m flameprof"):
            self.do("venv/bin/pip install flameprof")
            self.assertIn("python -m flameprof", script.read_text())
            self.assertRegex(self.do(IMPORTS), r"/flameprof/__init__\.py\n$")

    def test_one_environment_for_each(self):
        *make, version = commands("The other flameprof")
        for command in make:
            self.do(command)
        self.assertRegex(self.do(version), r"\d+\.\d+")


if __name__ == "__main__":
    unittest.main()
