"""tests/twice: what it runs once more, and what it does not."""

import os
import shutil
import subprocess
import tempfile
import unittest
from pathlib import Path

import tree

# Each test fails until its file is there, as one that is in nobody's way the second time.
MAKEFILE = """
test: $(TESTS)
test-good:
\t@echo good $(WORD)
test-once:
\t@test -e once || { touch once; exit 1; }
test-never:
\t@exit 1
test-crash:
\t@test -e crash || { touch crash; echo "Segmentation fault"; exit 1; }
test-built: built
\t@echo built
built:
\t@test -e half || { touch half; exit 1; }
\t@touch built
"""


class Twice(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory(prefix="flameprof-twice-")
        self.addCleanup(folder.cleanup)
        self.folder = Path(folder.name)
        (self.folder / "tests").mkdir()
        shutil.copy(tree.ROOT / "tests" / "twice", self.folder / "tests")
        (self.folder / "Makefile").write_text(MAKEFILE)
        self.environment = {
            name: value for name, value in os.environ.items() if not name.startswith(("MAKE", "MFLAGS"))
        }

    def run_twice(self, tests, *words):
        return subprocess.run(
            [self.folder / "tests" / "twice", "test", f"TESTS={tests}", *words],
            env=self.environment, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        )

    def test_all_pass(self):
        done = self.run_twice("test-good", "WORD=here")
        self.assertEqual((done.returncode, done.stdout), (0, "good here\n"))

    def test_what_fails_once_is_said(self):
        done = self.run_twice("test-once test-good")
        self.assertEqual(done.returncode, 0, done.stdout)
        self.assertEqual(done.stdout.count("FAILED"), 1, done.stdout)
        self.assertIn("FAILED ONCE: test-once\n", done.stdout)
        self.assertEqual(done.stdout.count("good"), 1)

    def test_what_fails_twice(self):
        done = self.run_twice("test-never test-once")
        self.assertNotEqual(done.returncode, 0)
        self.assertIn("FAILED TWICE: test-never\n", done.stdout)
        self.assertNotIn("FAILED TWICE: test-once\n", done.stdout)

    def test_a_crash_is_one(self):
        for tests in "test-crash", "test-once test-crash":
            with self.subTest(tests=tests):
                (self.folder / "crash").unlink(missing_ok=True)
                done = self.run_twice(tests)
                self.assertNotEqual(done.returncode, 0)
                self.assertNotIn("FAILED ONCE", done.stdout)

    def test_what_is_not_built_is_one(self):
        for tests in "test-built", "test-once test-built":
            with self.subTest(tests=tests):
                (self.folder / "half").unlink(missing_ok=True)
                done = self.run_twice(tests)
                self.assertNotEqual(done.returncode, 0)
                self.assertNotIn("FAILED ONCE", done.stdout)

    def test_no_such_target(self):
        for tests in "test-missing", "test-once test-missing":
            with self.subTest(tests=tests):
                done = self.run_twice(tests)
                self.assertNotEqual(done.returncode, 0)
                self.assertNotIn("FAILED ONCE", done.stdout)


if __name__ == "__main__":
    unittest.main()
