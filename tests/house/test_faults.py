"""Every row of docs/faults.md names tests, and each is there."""

import ast
import re
import unittest

import tree

ROW = re.compile(r"^\|(.+)\|$", re.M)
TEST = re.compile(r"`(tests/[\w/]+\.(?:py|c))::([\w.]+)`")


def tests_of(path):
    """"Class.test" of a file of Python's, "test" of one in C."""
    text = path.read_text()
    if path.suffix == ".c":
        return set(re.findall(r"^static void (\w+)\(void \*\*state\)", text, re.M))
    return {
        f"{found.name}.{test.name}"
        for found in ast.parse(text).body
        if isinstance(found, ast.ClassDef)
        for test in found.body
        if isinstance(test, ast.FunctionDef) and test.name.startswith("test_")
    }


class Faults(unittest.TestCase):
    def test_each_row_is_tested(self):
        text = (tree.ROOT / "docs" / "faults.md").read_text()
        rows = ROW.findall(text)[2:]
        self.assertGreater(len(rows), 20)
        for row in rows:
            what, happens, tests = (cell.strip() for cell in row.split("|"))
            with self.subTest(row=what):
                self.assertTrue(what and happens)
                self.assertTrue(TEST.findall(tests), "no test")
                self.assertEqual(TEST.sub("", tests).strip(), "", "not a test")
                for file, name in TEST.findall(tests):
                    self.assertTrue((tree.ROOT / file).exists(), file)
                    self.assertIn(name, tests_of(tree.ROOT / file))


if __name__ == "__main__":
    unittest.main()
