"""Every allocation of the program fails once, and all after it: it ends with a sentence,
never with a crash, and never with success and something else than it should have written.
"""
import gzip
import itertools
import os
import subprocess
import tempfile
import unittest

FLAMEPROF = os.environ["FLAMEPROF"]
NO_MEMORY = os.environ["NO_MEMORY"]
FOLDED = b"[thread a];f (x.py:1) 3\nf (x.py:1);g 4\nf (x.py:1);\\x3bh 5\nnonsense\n"
# Its tables grow more than once, and in the middle of lines.
LARGE = b"".join(b"f%d;g%d 1\n" % (i, i) for i in range(200))
FORMATS = ("svg", "html", "folded", "json", "speedscope", "pprof", "gecko")
# More than any of these runs makes: the test would not end without it.
MOST = 1000


class NoMemory(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = folder.name

    def file(self, name, data):
        path = os.path.join(self.folder, name)
        with open(path, "wb") as file:
            file.write(data)
        return path

    def run_with(self, arguments, **fail):
        return subprocess.run(
            (FLAMEPROF, *arguments), capture_output=True, timeout=60,
            env={**os.environ, **fail})

    def check(self, *arguments, exact=True):
        good = self.run_with(arguments)
        self.assertEqual(good.returncode, 0, good.stderr)
        for rest in ({}, {"FAIL_FROM": "1"}):
            for at in itertools.count(1):
                self.assertLess(at, MOST)
                result = self.run_with(arguments, LD_PRELOAD=NO_MEMORY, FAIL_AT=str(at), **rest)
                said = (arguments, at, rest, result.returncode, result.stderr)
                if result.returncode == 0 and result.stdout == good.stdout:
                    break  # nothing failed any more
                if exact or result.returncode != 0:
                    self.assertEqual(result.returncode, 1, said)
            self.assertGreater(at, 5)

    def test_every_format_is_written(self):
        path = self.file("x.folded", FOLDED)
        for form in FORMATS:
            self.check("render", "-f", form, path)
        self.check("render", "--callers", path)

    def test_every_format_is_read(self):
        path = self.file("x.folded", FOLDED)
        for form in ("json", "pprof"):
            data = self.run_with(("render", "-f", form, path)).stdout
            # jansson goes on without a byte that it had no memory for.
            self.check("render", self.file("x." + form, data), exact=form != "json")
        self.check("render", self.file("x.gz", gzip.compress(FOLDED)))

    def test_tables_that_grow(self):
        path = self.file("x.folded", LARGE)
        self.check("render", "-f", "folded", path)
        self.check("diff", "-f", "folded", path, path)

    def test_a_difference(self):
        before, after = self.file("a", b"a;b 5\n"), self.file("b", b"a;c 5\n")
        self.check("diff", before, after)
        self.check("diff", "--callers", before, after)


if __name__ == "__main__":
    unittest.main()
