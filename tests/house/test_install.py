"""make install puts each file where it belongs, and make uninstall takes it away."""

import os
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
                    "/opt/flame/include/flameprof/renderer/renderer.h": 0o644,
                    "/opt/flame/include/flameprof/sampler/profile.h": 0o644,
                    "/opt/flame/lib/libflameprof.a": 0o644,
                    "/opt/flame/lib/pkgconfig/flameprof.pc": 0o644,
                    "/opt/flame/share/bash-completion/completions/flameprof": 0o644,
                    "/opt/flame/share/fish/vendor_completions.d/flameprof.fish": 0o644,
                    "/opt/flame/share/man/man1/flameprof.1": 0o644,
                    "/opt/flame/share/man/man3/flameprof.3": 0o644,
                    "/opt/flame/share/zsh/site-functions/_flameprof": 0o644,
                },
            )
            self.make("uninstall", stage)
            self.assertEqual([p for p in Path(stage).rglob("*") if p.is_file()], [])

    def test_a_program_can_be_built_with_the_library(self):
        with tempfile.TemporaryDirectory() as stage:
            # pkg-config's own idea of a stage would add its name to /usr/include, too
            result = subprocess.run(
                ["make", "-C", str(tree.ROOT), "install", f"PREFIX={stage}",
                 f"UWSGI_PLUGIN_DIR={stage}", f"BUILD={tree.BUILD}"],
                capture_output=True, text=True,
            )
            self.assertEqual(result.returncode, 0, result.stderr)
            flags = subprocess.run(
                ["pkg-config", "--cflags", "--libs", "flameprof"],
                env={**os.environ, "PKG_CONFIG_PATH": f"{stage}/lib/pkgconfig"},
                capture_output=True, text=True, check=True,
            ).stdout.split()
            program = f"{stage}/draw"
            source = str(tree.ROOT / "examples/draw/draw.c")
            subprocess.run(["cc", "-Wall", "-Werror", source, *flags, "-o", program], check=True)
            drawn = subprocess.run([program], input=b"a;b 1\n", capture_output=True, check=True)
            self.assertIn(b"Drawn by the library", drawn.stdout)
            self.assertTrue(drawn.stdout.endswith(b"</svg>\n"))
            nothing = subprocess.run([program], input=b'{"a": 1}', capture_output=True)
            self.assertEqual(nothing.returncode, 1)
            self.assertIn(b"no profile of ours", nothing.stderr)

    def test_the_library_manual_names_what_the_header_has(self):
        header = (tree.ROOT / "renderer/renderer.h").read_text()
        manual = (tree.ROOT / "docs/flameprof.3").read_text()
        for name in set(re.findall(r"flame_[a-z_]+(?=\()", manual)):
            self.assertRegex(header, rf"\b{name}\(")

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
