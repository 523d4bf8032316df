"""docs/options.md says what the plugin's --help and the middleware's signature say."""

import os
import re
import subprocess
import sys
import unittest

import tree

TABLE_ROW = re.compile(r"^\|(.+)\|$", re.M)
CODE = re.compile(r"`([^`]+)`")


def documented():
    """The table's first three columns: sets of options, keywords, parameters."""
    text = (tree.ROOT / "docs" / "options.md").read_text()
    columns = (set(), set(), set())
    for row in TABLE_ROW.findall(text)[2:]:
        for column, cell in zip(columns, row.split("|")):
            column.update(CODE.findall(cell))
    return columns


class Options(unittest.TestCase):
    def test_plugin_help(self):
        uwsgi = os.environ.get("UWSGI", "uwsgi")
        plugin = ["--plugins-dir", str(tree.BUILD), "--plugin", "flameprof"]
        # uWSGI shows its help when it comes to that option, so it goes last.
        result = subprocess.run([uwsgi, *plugin, "--help"], capture_output=True, text=True)
        shown = set(re.findall(r"^\s+(--flameprof-[\w-]+)", result.stdout, re.M))
        self.assertTrue(shown, result.stdout[-500:] + result.stderr[-500:])
        self.assertEqual(documented()[0], shown)

    def test_middleware_signature(self):
        code = "import flameprof, inspect; print(*inspect.signature(flameprof.Middleware).parameters)"
        result = subprocess.run(
            [sys.executable, "-B", "-c", code],
            env={**os.environ, "PYTHONPATH": str(tree.BUILD / "python")},
            capture_output=True,
            text=True,
        )
        self.assertEqual(result.returncode, 0, result.stderr)
        _application, *keywords = result.stdout.split()
        self.assertEqual(documented()[1], set(keywords))

    def test_parameters_are_those_the_code_looks_for(self):
        text = "".join(path.read_text() for path in tree.sources("middleware"))
        names = set(re.findall(r'"((?:flamegraph(?:_[a-z]+)?)|interval)"', text))
        self.assertEqual(documented()[2], names)


if __name__ == "__main__":
    unittest.main()
