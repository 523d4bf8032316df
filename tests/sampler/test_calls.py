"""What the leaf is calling, told from the application's source."""

import os
import sys
import tempfile
import time
import unittest

from watching import Measuring, profiled, weights

COLUMNS = sys.version_info >= (3, 11)

WORK = '''
import time, zlib

BLOCK = bytes(range(256)) * 2000


def plain(end):
    while time.perf_counter() < end:
        zlib.compress(BLOCK, 6)


def chained(end):
    while time.perf_counter() < end:
        "|".join(
            map(str, range(2000))
        ).encode("utf-8").hex().upper()


def in_a_sum(end):
    total = 0
    while time.perf_counter() < end:
        total += 1 + sum(range(20000))


def no_call(end):
    number = 3**2000
    while time.perf_counter() < end:
        number * number * number


def callee(end):
    while time.perf_counter() < end:
        pass


def of_python(end):
    callee(end)


'''


def module(source, path):
    names = {}
    exec(compile(source, path, "exec"), names)
    return names


@unittest.skipUnless(COLUMNS, "before 3.11 CPython keeps no columns")
class Calls(Measuring):
    @classmethod
    def setUpClass(cls):
        cls.folder = tempfile.TemporaryDirectory()
        cls.path = os.path.join(cls.folder.name, "work.py")
        with open(cls.path, "w") as file:
            file.write(WORK)
        cls.names = module(WORK, cls.path)

    @classmethod
    def tearDownClass(cls):
        cls.folder.cleanup()

    def leaves(self, name, names=None):
        """{the leaf below the function, or "" for itself: its share}"""
        function = (names or self.names)[name]
        session = profiled(lambda: function(time.perf_counter() + 0.2))
        found = {}
        for stack, weight in weights(session).items():
            if name in stack:
                below = stack[stack.index(name) + 1 :]
                leaf = below[-1] if below else ""
                found[leaf] = found.get(leaf, 0) + weight
        total = sum(found.values())
        return {leaf: weight / total for leaf, weight in found.items()}

    def test_the_call_is_named(self):
        self.assertGreater(self.leaves("plain")["zlib.compress(…)"], 0.9)

    def test_across_lines_and_chained(self):
        found = self.leaves("chained")
        self.assertGreater(found['"…".join(…)'], 0.5)
        # Over several lines CPython places a method call at the method's own name.
        rest = {"", "encode(…)", "hex()", "upper()", "map(…)", "range(…)", "time.perf_counter()"}
        self.assertTrue(set(found) <= rest | {'"…".join(…)'}, found)

    def test_a_call_within_an_expression(self):
        self.assertGreater(self.leaves("in_a_sum")["sum(…)"], 0.9)

    def test_what_is_no_call_is_the_function_s_own(self):
        found = self.leaves("no_call")
        self.assertGreater(found[""], 0.9)
        self.assertTrue(set(found) <= {"", "time.perf_counter()"}, found)

    def test_the_call_of_a_python_function_is_its_frame(self):
        self.assertTrue(set(self.leaves("of_python")) <= {"", "callee", "time.perf_counter()"})

    def test_long_names_end_where_the_call_does(self):
        source = "def work(end):\n    import time\n    %s = sorted\n" % ("x" * 500)
        source += "    while time.perf_counter() < end:\n        %s(range(30000))\n" % ("x" * 500)
        path = os.path.join(self.folder.name, "long.py")
        with open(path, "w") as file:
            file.write(source)
        found = self.leaves("work", module(source, path))
        name = max(found, key=found.get)
        self.assertTrue(name.startswith("…xxx") and name.endswith("xx(…)"), name)
        self.assertLess(len(name), 80)

    def test_sources_that_are_not_there(self):
        for path in ("<string>", "/nowhere/work.py", self.folder.name, "/dev/zero", ""):
            with self.subTest(path=path):
                found = self.leaves("plain", module(WORK, path))
                self.assertEqual(set(found), {""})

    def test_sources_that_have_changed(self):
        path = os.path.join(self.folder.name, "changed.py")
        names = module(WORK, path)
        for text in ("", "\n" * 5, "(" * 5000, "))))\n" * 50, "'\n" * 50, "\0\xff" * 500):
            with open(path, "w", encoding="latin-1") as file:
                file.write(text)
            with self.subTest(text=text[:10]):
                self.assertEqual(set(self.leaves("plain", names)), {""})

    def test_a_fifo_does_not_block(self):
        path = os.path.join(self.folder.name, "fifo")
        os.mkfifo(path)
        self.assertEqual(set(self.leaves("plain", module(WORK, path))), {""})


@unittest.skipIf(COLUMNS, "CPython keeps columns from 3.11 on")
class NoColumns(unittest.TestCase):
    def test_the_function_has_the_time(self):
        session = profiled(lambda: time.sleep(0.1))
        self.assertFalse([s for s in weights(session) if s[-1].endswith("(…)")])


if __name__ == "__main__":
    unittest.main()
