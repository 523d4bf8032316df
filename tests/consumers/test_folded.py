"""Folded text, drawn by flamegraph.pl: FLAMEGRAPH_FOLDER is the folder it is in, a copy of
github.com/brendangregg/FlameGraph."""

import os
import pathlib
import re
import unittest
import xml.etree.ElementTree

import profiles

FOLDER = os.environ.get("FLAMEGRAPH_FOLDER")
TITLE = re.compile(r"(.*) \(([\d,]+) microseconds, [\d.]+%\)", re.S)


class Folded(unittest.TestCase):
    @unittest.skipUnless(FOLDER, "FLAMEGRAPH_FOLDER is not set: no flamegraph.pl to draw with")
    def test_drawn_whole(self):
        """The sum, and every frame that we have, under its name."""
        program = str(pathlib.Path(FOLDER) / "flamegraph.pl")
        for profile in profiles.everything():
            path = profile.render("folded")
            text = profiles.run("perl", program, "--minwidth", "0", "--countname",
                                "microseconds", str(path))  # fmt: skip
            root = xml.etree.ElementTree.fromstring(text.encode())
            titles = [title.text for title in root.iter("{http://www.w3.org/2000/svg}title")]
            found = [TITLE.fullmatch(title).groups() for title in titles]
            totals = [int(total.replace(",", "")) for name, total in found if name == "all"]
            lines = path.read_text().splitlines()
            with self.subTest(profile.name):
                self.assertIn(sum(int(line.rpartition(" ")[2]) for line in lines), totals)
                frames = {line.rpartition(" ")[0] for line in lines}
                wanted = {name for frame in frames for name in frame.split(";")}
                # No name is what it calls "all".
                self.assertEqual(wanted - {name for name, _ in found} - {""}, set())

    def test_the_sum_is_ours(self):
        for profile in profiles.everything():
            lines = profile.render("folded").read_text().splitlines()
            unit = 1 if profile.document["unit"] == "samples" else 1000
            total = sum(int(line.rpartition(" ")[2]) for line in lines)
            with self.subTest(profile.name):
                self.assertLessEqual(abs(total - sum(profile.weights()) / unit), 1)


if __name__ == "__main__":
    unittest.main()
