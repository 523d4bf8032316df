"""make install puts each file where it belongs, and make uninstall takes it away."""

import re
import subprocess
import tempfile
import unittest
from pathlib import Path

import tree


class Install(unittest.TestCase):
    def make(self, target, stage):
        variables = [f"DESTDIR={stage}", "PREFIX=/opt/flame", f"BUILD={tree.BUILD}"]
        result = subprocess.run(
            ["make", "-C", str(tree.ROOT), target, *variables], capture_output=True, text=True
        )
        self.assertEqual(result.returncode, 0, result.stderr)

    def test_there_and_back(self):
        cflags = subprocess.run(["uwsgi", "--cflags"], capture_output=True, text=True).stdout
        directory = cflags.split('UWSGI_PLUGIN_DIR="\\"')[1].split('\\"')[0]
        with tempfile.TemporaryDirectory() as stage:
            self.make("install", stage)
            files = {
                "/" + str(path.relative_to(stage)): path.stat().st_mode & 0o777
                for path in Path(stage).rglob("*")
                if path.is_file()
            }
            self.assertEqual(
                files,
                {
                    f"{directory}/flameprof_plugin.so": 0o644,
                    "/opt/flame/bin/flameprof": 0o755,
                    "/opt/flame/share/man/man1/flameprof.1": 0o644,
                },
            )
            self.make("uninstall", stage)
            self.assertEqual([p for p in Path(stage).rglob("*") if p.is_file()], [])

    def test_the_manual_has_every_option_and_the_version(self):
        manual = (tree.ROOT / "docs/flameprof.1").read_text().replace("\\-", "-")
        program = str(tree.BUILD / "flameprof")
        shown = subprocess.run([program, "--help"], capture_output=True, text=True).stdout
        for option in re.findall(r"--[a-z-]+", shown):
            self.assertIn(option, manual)
        version = (tree.ROOT / "VERSION").read_text().strip()
        self.assertIn(f'"flameprof {version}"', manual)


if __name__ == "__main__":
    unittest.main()
