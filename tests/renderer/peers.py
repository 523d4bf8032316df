r"""Beside flamegraph.pl and difffolded.pl: the same frames, the same weights.

FLAMEGRAPH_FOLDER and INFERNO_FOLDER name checkouts of brendangregg/FlameGraph and
jonhoo/inferno, whose folded test data is read here; the scripts are the former's.
Without them this says SKIPPED.

- Each frame that flamegraph.pl draws (all of them: --minwidth 0) is a place of ours
  with the same total, and the other way round.
- In all formats that have weights they have the sum they have in the file.
- `flameprof diff` of two files makes the lines that difffolded.pl makes.

Where the scripts do something else on purpose or by mistake, and what is done about it:

- They take a comment that ends in a number for a stack, and ignore lines that end in
  CR LF. They are given a copy without comments and CR: `cleaned`.
- flamegraph.pl knows a frame by its name, its depth and where it ends, so that of
  frames of no weight that are side by side one is left: only others are compared.
- It rounds each frame to whole numbers: it is asked for thousandths (--factor 1000).
- It does not show the marks of perf's frames, as in `read_[k]`: taken off ours.
- It draws nothing, and fails, where there are no stacks: there we have to say so.
- We write a backslash as `\x5c`, so that names can be told from escapes: undone here.
- difffolded.pl writes stacks that both files have with a weight of 0: left out. It takes
  the first of two numbers for a part of the name, a line that makes no sense for a stack
  without a name, and adds decimals as floating point: such files are not compared.
"""
import collections
import decimal
import functools
import gzip
import html
import itertools
import json
import os
import pathlib
import re
import subprocess
import sys
import tempfile
import unittest

FLAMEPROF = os.environ["FLAMEPROF"]
# Where the checkouts have folded text.
FOLDED = {
    "FLAMEGRAPH_FOLDER": ["test/results/*.txt"],
    "INFERNO_FOLDER": [
        "tests/data/*/results/*.txt",
        "tests/data/*/results/*.folded",
        "tests/data/diff-folded/*.txt",
        "tests/data/flamegraph/*/*.txt",
    ],
}
ELSE = re.compile(r"/nameattr")  # what else matches: attributes of frames

NUMBER = r" (\d+(?:\.\d*)?)"
LINE = re.compile(rf"(.+?)(?:{NUMBER})?{NUMBER}[ \t]*")
TITLE = re.compile(r"<title>(.*) \(([\d,]+) samples, [\d.]+%(?:; [-+\d.]+%)?\)</title>")
MARK = re.compile(r"_\[[kwij]\]$")


def output_of(*command):
    result = subprocess.run(command, capture_output=True, timeout=120)
    return result.returncode, result.stdout


class Folded:
    """A file of folded text, as anybody can read it without the programs under test."""

    def __init__(self, path):
        self.path = path
        with open(path, encoding="utf-8", newline="") as file:
            self.text = file.read()
        lines = [line for line in self.text.splitlines() if line and line[0] != "#"]
        self.cleaned = "".join(line + "\n" for line in lines)
        found = [LINE.fullmatch(line) for line in lines]
        self.broken = found.count(None)
        numbers = [match.group(2, 3) for match in found if match]
        self.two_columns = bool(numbers) and all(first for first, _ in numbers)
        self.decimals = any("." in number for pair in numbers for number in pair if number)
        self.total = sum(thousandths(last) for _, last in numbers)
        self.before = sum(thousandths(first) for first, _ in numbers if self.two_columns)

    def for_scripts(self, folder):
        """The path of what the scripts are given."""
        if self.cleaned == self.text:
            return self.path
        copy = os.path.join(folder, "cleaned")
        with open(copy, "w", encoding="utf-8") as file:
            file.write(self.cleaned)
        return copy


def thousandths(number):
    return int(decimal.Decimal(number) * 1000)


@functools.lru_cache(maxsize=None)
def files():
    paths = [
        path
        for variable, patterns in FOLDED.items()
        for pattern in patterns
        for path in sorted(pathlib.Path(os.environ[variable]).glob(pattern))
        if not ELSE.search(str(path))
    ]
    return [Folded(str(path)) for path in paths]


def script(name):
    return os.path.join(os.environ["FLAMEGRAPH_FOLDER"], name)


# ---- what the programs say ------------------------------------------------------------


def ours(path, form):
    """The numbers of a file are microseconds here: thousandths of them are kept."""
    status, found = output_of(FLAMEPROF, "render", "-f", form, path)
    assert status in (0, 3), (path, status)
    return found


def our_frames(path):
    """{(name, total in thousandths): how many}"""
    profile = json.loads(ours(path, "json"))
    names = [
        "%(name)s (%(file)s:%(line)s)" % function if function["file"] else function["name"]
        for function in profile["functions"]
    ]
    places = profile["places"]
    totals = list(map(int, places["self"]))
    for place in range(len(totals) - 1, 0, -1):
        totals[places["parent"][place]] += totals[place]
    shown = (MARK.sub("", names[function]) for function in places["function"])
    frames = collections.Counter(itertools.islice(zip(shown, totals), 1, None))
    frames["all", totals[0]] += 1
    return frames


def flamegraph_frames(path):
    _, picture = output_of(
        "perl", script("flamegraph.pl"), "--minwidth", "0", "--factor", "1000", path
    )
    return collections.Counter(
        (html.unescape(name), int(total.replace(",", "")))
        for name, total in TITLE.findall(picture.decode())
    )


def with_weight(frames):
    return {frame: count for frame, count in frames.items() if frame[1] != 0}


# ---- sums -----------------------------------------------------------------------------


def number_at(data, at):
    """One of protobuf's numbers, and where the next thing stands."""
    value = shift = 0
    while data[at] > 127:
        value |= (data[at] & 127) << shift
        shift += 7
        at += 1
    return value | data[at] << shift, at + 1


def fields(message):
    """(number, value) of protobuf's fields, of which ours are numbers and bytes."""
    at = 0
    while at < len(message):
        key, at = number_at(message, at)
        value, at = number_at(message, at)
        if key & 7 == 2:
            at += value
            value = message[at - value : at]
        yield key >> 3, value


def numbers(packed):
    at = 0
    while at < len(packed):
        value, at = number_at(packed, at)
        yield value


def pprof_sums(profile):
    """Of each of the values that a sample has: Profile.sample is 2, Sample.value too."""
    samples = [
        list(numbers(values))
        for field, sample in fields(gzip.decompress(profile))
        if field == 2
        for part, values in fields(sample)
        if part == 2
    ]
    return [sum(column) for column in zip(*samples)]


def folded_sums(text, two_columns):
    lines = text.decode().splitlines()
    columns = (-1, -2) if two_columns else (-1,)
    return [sum(int(line.split(" ")[column]) for line in lines) for column in columns]


def to_whole(weight):
    return (weight + 500) // 1000


# ---- the tests ------------------------------------------------------------------------


@unittest.skipUnless(
    all(os.environ.get(variable) for variable in FOLDED),
    "%s name no checkouts of FlameGraph and inferno" % " and ".join(FOLDED),
)
class Peers(unittest.TestCase):
    def setUp(self):
        self.compared = collections.Counter()
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = folder.name

    def tearDown(self):
        """A folder that has moved its data must not look like success."""
        for variable in FOLDED:
            self.assertGreater(self.compared[variable], 0, variable)
        print(self.id().split(".")[-1], dict(self.compared))

    def count(self, file):
        for variable in FOLDED:
            self.compared[variable] += file.path.startswith(os.environ[variable])

    def test_frames(self):
        for file in files():
            with self.subTest(file=file.path):
                theirs = flamegraph_frames(file.for_scripts(self.folder))
                found = our_frames(file.path)
                if not theirs:
                    self.assertEqual((file.total, found), (0, {("all", 0): 1}))
                self.assertEqual(with_weight(found), with_weight(theirs))
            self.count(file)
            self.compared["cleaned"] += file.cleaned != file.text
            self.compared["frames"] += sum(theirs.values())

    def test_sums(self):
        for file in files():
            with self.subTest(file=file.path):
                sums = [file.total, file.before] if file.two_columns else [file.total]
                profile = json.loads(ours(file.path, "json"))
                self.assertEqual(sum(map(int, profile["places"]["self"])), file.total)
                if file.two_columns:
                    self.assertEqual(int(profile["places"]["before_total"][0]), file.before)
                (scope,) = json.loads(ours(file.path, "speedscope"))["profiles"]
                self.assertEqual(sum(map(int, scope["weights"])), file.total)
                self.assertEqual(int(scope["endValue"]), file.total)
                written = pprof_sums(ours(file.path, "pprof"))
                self.assertEqual(written, sums if any(sums) else [])
                self.assertEqual(
                    folded_sums(ours(file.path, "folded"), file.two_columns),
                    list(map(to_whole, sums)),
                )
            self.count(file)

    def difference(self, before, after):
        """difffolded.pl's lines and ours, sorted."""
        _, theirs = output_of("perl", script("difffolded.pl"), before.path, after.path)
        status, found = output_of(
            *[FLAMEPROF, "diff", "-u", "samples", "-f", "folded"], before.path, after.path
        )
        self.assertEqual(status, 0)
        lines = (line for line in theirs.splitlines() if not line.endswith(b" 0 0"))
        return sorted(lines), sorted(found.replace(b"\\x5c", b"\\").splitlines())

    def test_differences(self):
        """Of each file and the next one: mostly of one recording, folded in another way."""
        usable = [
            file
            for file in files()
            if file.total
            and file.cleaned == file.text
            and not (file.two_columns or file.decimals or file.broken)
        ]
        for before, after in zip(usable, usable[1:]):
            with self.subTest(before=before.path, after=after.path):
                theirs, found = self.difference(before, after)
                self.assertEqual(found, theirs)
            self.count(before)
            self.compared["lines"] += len(theirs)


if __name__ == "__main__":
    suite = unittest.defaultTestLoader.loadTestsFromTestCase(Peers)
    outcome = unittest.TextTestRunner(verbosity=1).run(suite)
    for test, reason in outcome.skipped:
        print(f"SKIPPED: {test}: {reason}")
    sys.exit(not outcome.wasSuccessful())
