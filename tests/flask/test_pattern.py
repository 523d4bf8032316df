"""Filters find what re.search finds, and none takes long."""

import collections
import random
import re
import time
import unittest

from flameprof.flask import pattern

Record = collections.namedtuple("Record", "name")
NAMES = ["front (app.py:3)", "Basket.add (/srv/shop/basket.py:40)", "<lambda> (a.py:1)", "x" * 500]
EVIL = [
    "(a+)+$", "(a*)*b", "(a|a)*b", "(a|aa)+$", "([a-z]+)*$", "(.*)*x", "(a+){10}x",
    "(?:a+)+$", "((a))+$", "(?x)(a+) +$", "(?ix: (a+)#c\n+)$", "(?:(?x)(a+) +)$", "(a+)(?#c)+$",
    "a.*a.*a.*a.*a.*x", "a*a*a*a*a*b", "a?" * 25 + "a" * 25, "(a|a)" * 25 + "b",
    r"(a*)(a*)\1\2\1\2x", "(?P<q>a*)(?P=q)(?P=q)(?P=q)x", "a{1,99}a{1,99}a{1,99}a{1,99}b",
]  # fmt: skip


class Pattern(unittest.TestCase):
    def test_finds_what_search_finds(self):
        for text in (".*", "", "^.*$", "front", ".*add.*", r"basket\.py", "^B", "front|add", "a.*b",
                     r"^.*?a", r"\(app", "[A-Z]", "(?i)FRONT", r"<lambda>.*", r"y:\d+\)$", r"\.*",
                     "a.*s.*t", "(Basket|front) "):  # fmt: skip
            with self.subTest(pattern=text):
                found = [record.name for record in pattern.matching(list(map(Record, NAMES)), text)]
                self.assertEqual(found, [name for name in NAMES if re.search(text, name[:200])])

    def test_none_takes_long(self):
        records = [Record("a" * 200), Record("a" * 40 + "!")] * 20
        for text in EVIL:
            with self.subTest(pattern=text):
                begun = time.monotonic()
                with self.assertRaisesRegex(ValueError, "too long|no regular expression"):
                    pattern.matching(records, text)
                self.assertLess(time.monotonic() - begun, 0.2)

    def test_the_worst_that_is_taken(self):
        """Random ones of what makes a search slow, over the text that makes it slowest."""
        dice = random.Random(5)
        pieces = ["a*", "a+", "a?", ".*", "(a|a)", "(a?)", "a{1,9}", "[ab]*?", "(?=a*)", "b"]
        slowest = 0.0
        for _ in range(400):
            text = "".join(dice.choice(pieces) for _ in range(dice.randint(1, 12))) + "!"
            try:
                compiled = pattern.compiled(text)
            except ValueError:
                continue
            begun = time.process_time()
            compiled.search("a" * pattern.LONGEST)
            slowest = max(slowest, time.process_time() - begun)
        self.assertLess(slowest, 1)

    def test_all_of_them_have_an_end(self):
        records = [Record("a" * 200)] * 100_000
        begun = time.monotonic()
        with self.assertRaisesRegex(ValueError, "took too long"):
            pattern.matching(records, "a*[ab]*!")
        self.assertLess(time.monotonic() - begun, 3)

    def test_sentences(self):
        for text in ("(", "[", "*", "a**", "(?P<x", "x" * 201, "a{99999999999}"):
            with self.subTest(pattern=text):
                with self.assertRaisesRegex(ValueError, "^re_filter .*[^\n]$"):
                    pattern.compiled(text)


if __name__ == "__main__":
    unittest.main()
