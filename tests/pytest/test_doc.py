"""docs/pytest.md, as somebody follows it who has nothing else."""

import pathlib
import re
import unittest

from runs import ENTRY_POINT, PACKAGE, Measuring, Runs

ROOT = pathlib.Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs" / "pytest.md").read_text()
PYTHON = re.findall(r"^```python\n(.*?)^```", PAGE, re.M | re.S)
COMMANDS = re.findall(r"^    ((?:\S+=\S+ )?pytest .*)$", PAGE, re.M)
SHOP = """
import time
class Shop:
    def fill(self, count): time.sleep(0.05)
    def checkout(self, basket): time.sleep(0.2)
    def reload(self): pass
"""
FIXTURES = "import pytest, shop\n@pytest.fixture(name='shop')\ndef a_shop(): return shop.Shop()\n"


class Document(Measuring, Runs):
    def setUp(self):
        super().setUp()
        self.assertEqual(len(PYTHON), 2)
        self.write(SHOP, "shop.py")
        self.write(FIXTURES, "conftest.py")
        self.write(PYTHON[0] + "\n\n" + PYTHON[1] + "\n\ndef test_other(): pass\n")

    def follow(self, command):
        """A command of the page, with the pytest of this Python."""
        names, _, arguments = command.partition("pytest ")
        self.assertIn(names, ("", "PYTHONPATH=build/python "))
        return self.pytest(*arguments.split(), plugin=())

    def test_the_commands(self):
        self.assertEqual(len(COMMANDS), 3)
        first, built, workers = COMMANDS
        self.assertEqual(len(self.listed(self.follow(built))), 3)
        self.install()
        for command in (first, workers):
            said = self.follow(command)
            self.assertEqual(len(self.listed(said)), 3)
            self.assertIn("flame graphs of tests", said)
        checkout = self.graph("test_checkout")
        self.assertIn("Shop.checkout", checkout)
        self.assertNotIn("Shop.fill", checkout)

    def test_without_the_option(self):
        self.install()
        said = self.pytest(plugin=())
        self.assertEqual(self.told(said), ["test_checkout", "test_price"])

    def test_the_conftest_and_the_name(self):
        line = re.search(r"`(pytest_plugins = .*?)`", PAGE)[1]
        self.write(FIXTURES + line + "\n", "conftest.py")
        self.assertEqual(len(self.listed(self.pytest("--flameprof", plugin=()))), 3)
        self.assertIn("`-p no:flameprof`", PAGE)
        self.assertIn("flameprof =", ENTRY_POINT)

    def test_every_option(self):
        shown = self.pytest("--help")
        rows = re.findall(r"^\| `(--[\w-]+)` \|.*\| (\S*) ?\|$", PAGE, re.M)
        options = {}
        for name, rest in re.findall(r"^ +(--flameprof[\w-]*)(.*(?:\n {20,}.*)*)", shown, re.M):
            default = re.search(r"\(default:\s+(\S+)\)", rest)
            options[name] = default[1] if default else ""
        self.assertEqual({name: default.strip("`") for name, default in rows}, options)
        self.assertTrue((pathlib.Path(PACKAGE) / "flameprof").is_dir())


if __name__ == "__main__":
    unittest.main()
