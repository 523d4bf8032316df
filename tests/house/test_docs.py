"""Links between the documents lead somewhere, and commands in them exist."""

import re
import unittest

import tree

LINK = re.compile(r"\]\(([^)#\s]+)(?:#[^)]*)?\)")
TARGET = re.compile(r"^([a-z][a-z-]*):", re.M)
MAKE = re.compile(r"\bmake ([a-z][a-z-]*)")


class Documents(unittest.TestCase):
    def test_links(self):
        for path in tree.tracked("*.md"):
            for link in LINK.findall(path.read_text()):
                if re.match(r"\w+:", link):
                    continue
                with self.subTest(file=str(path.relative_to(tree.ROOT)), link=link):
                    self.assertTrue((path.parent / link).exists())

    def test_make_targets(self):
        makefiles = [tree.ROOT / "Makefile", *tree.tracked("*.mk")]
        targets = {name for path in makefiles for name in TARGET.findall(path.read_text())}
        for path in tree.tracked("*.md"):
            code = "\n".join(re.findall(r"`[^`]+`|^    .*$", path.read_text(), re.M))
            for target in MAKE.findall(code):
                with self.subTest(file=str(path.relative_to(tree.ROOT)), target=target):
                    self.assertIn(target, targets)

    def test_help_lists_every_target(self):
        text = (tree.ROOT / "Makefile").read_text()
        phony = set(re.search(r"^\.PHONY: (.*)$", text, re.M).group(1).split())
        described = set(re.findall(r"^([a-z-]+):.*## ", text, re.M))
        for fragment in tree.tracked("*.mk"):
            described |= set(re.findall(r"^([a-z-]+):.*## ", fragment.read_text(), re.M))
        self.assertEqual(phony - described, set())


if __name__ == "__main__":
    unittest.main()
