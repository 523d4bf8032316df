"""pprof's profiles, written and read, as `go tool pprof` sees them."""

import collections
import re
import unittest

import profiles

# "   1024ns  5.1%  5.1%   2048ns 10.2%  name": its own, two shares, with children, a share
ROW = re.compile(r" *(\d+)(?:ns)? +\S+ +\S+ +\d+(?:ns)? +\S+  (.*)")
TOTAL = re.compile(r"(?:100% of|, \S+ of) (\d+)(?:ns)? total")
SAMPLE = re.compile(r" +(\d+(?: +\d+)*): [\d ]+$")
LABEL = re.compile(r" +(\w+):\[(.*)\]$")
GO = """package main

import ("fmt"; "os"; "runtime/pprof"; "sort"; "strings"; "time")

func words(n int) []string {
    var all []string
    for i := 0; i < n; i++ { all = append(all, strings.Repeat(fmt.Sprint(i), 3)) }
    sort.Strings(all)
    return all
}

func main() {
    file, err := os.Create(os.Args[1])
    if err != nil { panic(err) }
    pprof.StartCPUProfile(file)
    for start := time.Now(); time.Since(start) < time.Second; { words(20000) }
    pprof.StopCPUProfile()
    file.Close()
}
"""


def pprof(path, *options):
    return profiles.run("go", "tool", "pprof", *options, str(path))


def top(path, kind):
    """The total, and {name: its own}, as -top says."""
    text = pprof(path, "-top", "-unit=ns", "-nodecount=100000", "-nodefraction=0",
                 "-edgefraction=0", "-sample_index=" + kind)  # fmt: skip
    head, rows = re.split(r"^ *flat .*\n", text, flags=re.M)
    found = collections.Counter()
    for row in rows.splitlines():
        own, name = ROW.fullmatch(row).groups()
        found[re.sub(r" \((partial-)?inline\)$", "", name)] += float(own)
    return int(TOTAL.search(head).group(1)), +found


def raw(path):
    """{kind/unit: total} and, of the kind that is shown at first, {(key, label): total}."""
    lines = iter(pprof(path, "-raw").splitlines())
    while next(lines) != "Samples:":
        pass
    kinds = next(lines).split()
    shown = next((i for i, kind in enumerate(kinds) if kind.endswith("[dflt]")), -1)
    totals, labels, values = [0] * len(kinds), collections.Counter(), None
    for line in lines:
        if line == "Locations":
            break
        sample, label = SAMPLE.match(line), LABEL.match(line)
        if sample:
            values = [int(value) for value in sample.group(1).split()]
            totals = [total + value for total, value in zip(totals, values)]
        else:
            labels[label.groups()] += values[shown]
    return dict(zip((kind.replace("[dflt]", "") for kind in kinds), totals)), +labels


class Pprof(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        profiles.needed("go")

    def check(self, profile, kind, weights):
        """As doubles, which -top counts in. It has a word for no name, and its columns
        do not keep spaces around one."""
        total, functions = top(profile.render("pprof"), kind)
        self.assertEqual(float(total), float(sum(weights)))
        wanted = collections.Counter()
        for name, weight in profile.by_function(weights).items():
            wanted[name.strip() or "<unknown>"] += float(weight)
        self.assertEqual({name.strip(): own for name, own in functions.items()}, wanted)

    def test_functions_and_totals(self):
        for profile in profiles.everything():
            kind = "samples" if profile.document["unit"] == "samples" else "wall"
            kind = "after" if profile.name == "difference" else kind
            with self.subTest(profile.name):
                self.check(profile, kind, profile.weights())

    def test_every_kind_of_time(self):
        profile = profiles.request()
        kinds = {
            "samples": profile.weights("samples"),
            "wall": profile.weights("wall"),
            "cpu": profile.weights("cpu_ns"),
            "gil": profile.weights("gil_wait_ns"),
            "blocked": profile.weights("blocked_ns"),
            "no_cpu": profile.weights("no_cpu_ns"),
        }
        off = ("gil", "blocked", "no_cpu")
        kinds["offcpu"] = [sum(times) for times in zip(*(kinds[kind] for kind in off))]
        totals, _ = raw(profile.render("pprof"))
        self.assertEqual(  # all digits of them
            totals,
            {
                kind + ("/count" if kind == "samples" else "/nanoseconds"): sum(weights)
                for kind, weights in kinds.items()
            },
        )
        for kind, weights in kinds.items():
            if any(weights):
                with self.subTest(kind):
                    self.check(profile, kind, weights)

    def test_labels(self):
        profile = profiles.request()
        wanted = collections.Counter()
        for mark, weight in zip(profile.marks(), profile.weights()):
            key, label = re.fullmatch(r"\[(?:(thread) )?(.*)\]", mark).groups()
            wanted[(key or "phase", label)] += weight
        self.assertIn(("thread", "helper"), wanted)
        self.assertIn(("phase", "application"), wanted)
        _, labels = raw(profile.render("pprof"))
        self.assertEqual(labels, +wanted)

    def test_title(self):
        comments = pprof(profiles.example().render("pprof"), "-comments")
        self.assertIn(profiles.TITLE, comments.splitlines())

    def test_of_another_producer(self):
        """Go's own CPU profile, read by us and by its own tool."""
        source, path = profiles.CACHE / "busy.go", profiles.CACHE / "go.pb.gz"
        source.write_text(GO)
        profiles.run("go", "run", str(source), str(path))
        kinds, _ = raw(path)
        self.assertIn("cpu/nanoseconds", kinds)
        total, functions = top(path, "cpu")
        self.assertGreater(total, 0)
        text = profiles.run(profiles.FLAMEPROF, "render", "-f", "json", str(path))
        read = profiles.Profile("go", text.encode())
        self.assertEqual(read.document["unit"], "nanoseconds")
        self.assertEqual(sum(read.weights()), total)
        self.assertEqual(read.by_function(read.weights()), functions)


if __name__ == "__main__":
    unittest.main()
