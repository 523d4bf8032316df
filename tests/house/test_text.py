"""No machine's paths in the tree, no left-overs, and C as clang-format writes it."""

import re
import shutil
import subprocess
import unittest

import tree

# Spelt in pieces, so that this file does not find itself.
PATHS = re.compile("|".join(["/" + "work/", "/" + "root/", r"/home/\w+/", r"/Users/\w+/"]))
# clang-format's releases disagree; this one, Debian 12's, has the last word.
CLANG_FORMAT = "14."
LEFT = re.compile(r"\b(" + "|".join(["TO" + "DO", "FIX" + "ME", "X" * 3]) + r")\b")


def texts():
    for path in tree.tracked():
        try:
            yield path, path.read_text()
        except UnicodeDecodeError:
            continue  # a picture


class Text(unittest.TestCase):
    def find(self, pattern):
        for path, text in texts():
            for number, line in enumerate(text.splitlines(), 1):
                if pattern.search(line):
                    yield f"{path.relative_to(tree.ROOT)}:{number}: {line.strip()[:100]}"

    def test_no_machine_paths(self):
        self.assertEqual(list(self.find(PATHS)), [])

    def test_no_left_overs(self):
        self.assertEqual(list(self.find(LEFT)), [])

    def test_clang_format(self):
        self.assertTrue(shutil.which("clang-format"), "clang-format is in packages.txt")
        version = subprocess.run(
            ["clang-format", "--version"], capture_output=True, text=True, check=True
        ).stdout.strip()
        if f"version {CLANG_FORMAT}" not in version:
            self.skipTest(f"wants clang-format {CLANG_FORMAT}x, has: {version}")
        files = [str(path) for path in tree.tracked("*.c", "*.h")]
        result = subprocess.run(
            ["clang-format", "--dry-run", "-Werror", *files],
            cwd=tree.ROOT,
            capture_output=True,
            text=True,
        )
        self.assertEqual(result.returncode, 0, result.stderr[:2000])


if __name__ == "__main__":
    unittest.main()
