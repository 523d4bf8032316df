"""The program build/flameprof as a person runs it: exit codes, files, formats."""
import gzip
import html.parser
import json
import os
import random
import re
import resource
import struct
import subprocess
import tempfile
import time
import unittest
import xml.etree.ElementTree
import zlib

FLAMEPROF = os.environ["FLAMEPROF"]
GOLDEN = os.path.join(os.path.dirname(__file__), "golden/example.folded")
SVG = "{http://www.w3.org/2000/svg}"
FOLDED = (
    "main (/srv/app.py:1);work (/srv/app.py:5) 750000\n"
    "main (/srv/app.py:1);sleep (/srv/app.py:9) 250000\n"
)


def run(*arguments, stdin=b"", env=None):
    if isinstance(stdin, str):
        stdin = stdin.encode()
    return subprocess.run(
        (FLAMEPROF,) + arguments, input=stdin, capture_output=True, env=env, timeout=120
    )


def cpu_of_children():
    """Seconds of those that have ended: how busy the machine is does not matter."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def png_pixels(data):
    """Width, height and the set of colours of a true-colour PNG."""
    assert data[:8] == b"\x89PNG\r\n\x1a\n", data[:16]
    width, height, depth, kind = struct.unpack(">IIBB", data[16:26])
    assert depth == 8 and kind in (2, 6), (depth, kind)
    size = 4 if kind == 6 else 3
    at, packed = 8, b""
    while at < len(data):
        length, name = struct.unpack(">I4s", data[at : at + 8])
        if name == b"IDAT":
            packed += data[at + 8 : at + 8 + length]
        at += 12 + length
    raw = zlib.decompress(packed)
    stride = width * size
    colours, above = set(), bytearray(stride)
    for row in range(height):
        kind, line = raw[row * (stride + 1)], bytearray(
            raw[row * (stride + 1) + 1 : (row + 1) * (stride + 1)]
        )
        unfilter(kind, line, above, size)
        colours.update(bytes(line[x : x + 3]) for x in range(0, stride, size))
        above = line
    return width, height, colours


def unfilter(kind, line, above, size):
    for i in range(len(line)):
        left = line[i - size] if i >= size else 0
        corner = above[i - size] if i >= size else 0
        if kind == 1:
            line[i] = (line[i] + left) & 255
        elif kind == 2:
            line[i] = (line[i] + above[i]) & 255
        elif kind == 3:
            line[i] = (line[i] + (left + above[i]) // 2) & 255
        elif kind == 4:
            guess = left + above[i] - corner
            near = min((left, above[i], corner), key=lambda c: abs(guess - c))
            line[i] = (line[i] + near) & 255


class Command(unittest.TestCase):
    def test_sums_of_many_stacks(self):
        """As compiled for users: an optimiser's mistake is theirs as well."""
        rng = random.Random(1)
        weights, lines = [], []
        for _ in range(3000):
            weights.append(rng.randrange(1, 1000))
            frames = ["f%d" % rng.randrange(9) for _ in range(rng.randrange(1, 12))]
            lines.append("%s %d" % (";".join(frames), weights[-1]))
        result = run("render", "--unit", "samples", stdin="\n".join(lines))
        self.assertEqual(result.returncode, 0, result.stderr)
        root = re.search(rb"<title>\[all\]\n([\d,]+) ", result.stdout).group(1)
        self.assertEqual(int(root.replace(b",", b"")), sum(weights))

    def test_help_and_version(self):
        for arguments in (("--help",), ("render", "--help")):
            result = run(*arguments)
            self.assertEqual(result.returncode, 0)
            self.assertIn(b"usage: flameprof run", result.stdout)
        self.assertIn(b"\n       flameprof render", result.stdout)
        with open("VERSION") as file:
            version = file.read().strip()
        self.assertEqual(run("--version").stdout.decode(), "flameprof %s\n" % version)

    def test_wrong_command_lines(self):
        for arguments in (
            (),
            ("draw",),
            ("render", "--colour"),
            ("render", "-f", "gif"),
            ("render", "-u", "hours"),
            ("render", "a", "b"),
        ):
            result = run(*arguments)
            self.assertEqual(result.returncode, 2, arguments)
            self.assertEqual(result.stdout, b"")
            self.assertIn(b"Try: flameprof --help", result.stderr)

    def test_files_that_fail(self):
        result = run("render", "/nonexistent.folded")
        self.assertEqual(result.returncode, 1)
        self.assertIn(b"/nonexistent.folded: No such file", result.stderr)
        result = run("render", "-o", "/nonexistent/x.svg", stdin=FOLDED)
        self.assertEqual(result.returncode, 1)
        self.assertIn(b"/nonexistent/x.svg: No such file", result.stderr)

    def test_full_disk(self):
        with open("/dev/full", "wb") as full:
            result = subprocess.run(
                (FLAMEPROF, "render"), input=FOLDED.encode(), stdout=full,
                stderr=subprocess.PIPE,
            )
        self.assertEqual(result.returncode, 1)
        self.assertIn(b"No space left", result.stderr)

    def test_nothing_to_draw(self):
        result = run("render", stdin="\n")
        self.assertEqual(result.returncode, 3)
        self.assertIn(b"no samples", result.stderr)
        text = "".join(xml.etree.ElementTree.fromstring(result.stdout).itertext())
        self.assertIn("There is nothing to draw", text)

    def test_folded_stays_what_it_is(self):
        result = run("render", "-f", "folded", stdin=FOLDED)
        self.assertEqual(result.returncode, 0)
        self.assertEqual(
            sorted(result.stdout.decode().splitlines()), sorted(FOLDED.splitlines())
        )

    def test_svg_of_a_file(self):
        with tempfile.TemporaryDirectory() as folder:
            source = os.path.join(folder, "my app.folded")
            target = os.path.join(folder, "out.svg")
            with open(source, "w") as file:
                file.write(FOLDED + "what?\n")
            result = run("render", source, "-o", target)
            self.assertEqual((result.returncode, result.stdout), (0, b""))
            self.assertIn(b"1 line of my app.folded made no sense and was ignored: 3.", result.stderr)
            tree = xml.etree.ElementTree.parse(target)
        texts = [text.text for text in tree.iter(SVG + "text")]
        self.assertIn("my app.folded", texts)
        self.assertIn("1 line of my app.folded made no sense and was ignored: 3.", texts)
        titles = [title.text for title in tree.iter(SVG + "title")]
        self.assertIn(
            "work (/srv/app.py:5)\n750.0 ms, 75.00 %; self 750.0 ms, 75.00 %", titles
        )

    def test_a_module_says_its_file(self):
        paths = {
            "/srv/work.py": "<module> work.py", "shop/cart.py": "<module> cart.py",
            "/srv/shop/__init__.py": "<module> shop/__init__.py",
            "shop/__main__.py": "<module> shop/__main__.py", "__init__.py": "<module> __init__.py",
            "<string>": "<module> <string>", "/srv/": "<module>", "m" * 300: "<module>",
        }
        stack = ";".join(f"<module> ({path}:1)" for path in paths)
        result = run("render", stdin=f"{stack};<module>;f (/srv/f.py:1) 1\n")
        graph = xml.etree.ElementTree.fromstring(result.stdout).find(".//*[@id='flame-graph']")
        texts = [text.text for text in graph.iter(SVG + "text")]
        self.assertEqual(texts, ["[all]", *paths.values(), "<module>", "f"])

    def test_samples(self):
        result = run("render", "-u", "samples", stdin=FOLDED)
        self.assertIn(b"750,000, 75.00 %; self", result.stdout)

    def test_hostile_input_is_well_formed(self):
        """Random bytes as names: the result is XML, and says each name once."""
        import random

        generator = random.Random(1)
        for _ in range(20):
            lines = []
            for _ in range(50):
                name = bytes(generator.randrange(256) for _ in range(12))
                lines.append(name.replace(b"\n", b"") + b" 5")
            result = run("render", stdin=b"\n".join(lines))
            self.assertEqual(result.returncode, 0)
            xml.etree.ElementTree.fromstring(result.stdout)
            result.stdout.decode("utf-8")

    def test_deterministic(self):
        lines = FOLDED.splitlines(keepends=True)
        one = run("render", stdin="".join(lines)).stdout
        two = run("render", stdin="".join(reversed(lines))).stdout
        self.assertEqual(one, two)


class OtherFormats(unittest.TestCase):
    def test_every_format_that_the_help_names(self):
        text = run("--help").stdout.decode()
        names = re.findall(r"\w+", re.search(r"--format FORMAT +(.*)", text).group(1))
        names.remove("or")
        self.assertGreater(len(names), 5)
        for name in names:
            result = run("render", "-f", name, stdin=FOLDED)
            self.assertEqual((result.returncode, result.stderr), (0, b""), name)

    def test_json(self):
        found = json.loads(run("render", "-f", "json", "-t", "a </b>", stdin=FOLDED).stdout)
        self.assertEqual((found["format"], found["version"]), ("flameprof", 1))
        self.assertEqual((found["title"], found["unit"]), ("a </b>", "nanoseconds"))
        names = [function["name"] for function in found["functions"]]
        places = found["places"]
        stacks = {}
        for at, self_time in enumerate(places["self"]):
            stack, up = [], at
            while up != 0:
                stack.insert(0, names[places["function"][up]])
                up = places["parent"][up]
            stacks[";".join(stack)] = self_time
        self.assertEqual(
            stacks, {"": 0, "main": 0, "main;work": 750000000, "main;sleep": 250000000}
        )

    def test_speedscope(self):
        found = json.loads(run("render", "-f", "speedscope", stdin=FOLDED).stdout)
        self.assertEqual(found["$schema"], "https://www.speedscope.app/file-format-schema.json")
        (profile,) = found["profiles"]
        self.assertEqual((profile["type"], profile["unit"]), ("sampled", "nanoseconds"))
        self.assertEqual((profile["startValue"], profile["endValue"]), (0, 1000000000))
        frames = found["shared"]["frames"]
        stacks = [[frames[i]["name"] for i in stack] for stack in profile["samples"]]
        self.assertEqual(
            sorted(zip(stacks, profile["weights"])),
            [(["[all]", "main", "sleep"], 250000000), (["[all]", "main", "work"], 750000000)],
        )
        self.assertIn({"name": "work", "file": "/srv/app.py", "line": 5}, frames)

    def test_speedscope_threads(self):
        """What ran beside the request is a profile of its own, ordered or not."""
        for order in (False, True):
            text = FOLDED + "[thread pool];main (/srv/app.py:1) 7\n"
            if order:
                profile = json.loads(run("render", "-f", "json", stdin=text).stdout)
                profile["stretches"] = {"place": [5], "microseconds": [1000000]}
                text = json.dumps(profile)
            found = json.loads(run("render", "-f", "speedscope", "-t", "t", stdin=text).stdout)
            self.assertEqual(
                [(profile["name"], sum(profile["weights"]), profile["unit"])
                 for profile in found["profiles"]],
                [("t", 10**6, "microseconds") if order else ("t", 10**9, "nanoseconds"),
                 ("[thread pool]", 7000, "nanoseconds")],
            )  # fmt: skip

    def test_speedscope_adds_up_numbers(self):
        """Beyond 2^53 too: of strings it would make one long string."""
        text = "a 3\nb 18000000000000000000\n"
        found = json.loads(run("render", "-u", "samples", "-f", "speedscope", stdin=text).stdout)
        (profile,) = found["profiles"]
        self.assertEqual(profile["weights"], [3, 18 * 10**18])
        self.assertEqual(profile["endValue"], 3 + 18 * 10**18)

    def gecko(self, *arguments, stdin):
        """Meta, and by thread: its stacks, their times and weights."""
        found = json.loads(run("render", "-f", "gecko", *arguments, stdin=stdin).stdout)
        shared, threads = found["shared"], {}
        names = shared["stringArray"]
        for thread in found["threads"]:
            samples, stacks = thread["samples"], []
            for at in samples["stack"]:
                stack = []
                while at is not None:
                    function = shared["frameTable"]["func"][shared["stackTable"]["frame"][at]]
                    stack.insert(0, names[shared["funcTable"]["name"][function]])
                    at = shared["stackTable"]["prefix"][at]
                stacks.append(";".join(stack))
            self.assertEqual(samples["length"], len(stacks))
            threads[thread["name"]] = list(zip(stacks, samples["time"], samples["weight"]))
        return found, threads

    def test_gecko(self):
        text = FOLDED + "[thread pool];main (/srv/app.py:1) 0.001\n"
        found, threads = self.gecko("-t", "a </b>", stdin=text)
        self.assertEqual(
            threads,
            {
                "a </b>": [
                    ("[all];main;sleep", 0, 250),
                    ("[all];main;work", 250, 750),
                    ("", 1000, 0),
                ],
                "[thread pool]": [("[all];[thread pool];main", 0, 1e-6), ("", 1e-6, 0)],
            },
        )
        self.assertEqual(found["threads"][0]["samples"]["weightType"], "tracing-ms")
        shared = found["shared"]
        names, functions = shared["stringArray"], shared["funcTable"]
        work = [names[i] for i in functions["name"]].index("work")
        file = shared["sources"]["filename"][functions["source"][work]]
        self.assertEqual((names[file], functions["lineNumber"][work]), ("/srv/app.py", 5))
        categories = found["meta"]["categories"]
        self.assertEqual(
            categories[shared["frameTable"]["category"][work]]["name"], "application"
        )

    def test_gecko_counts_samples(self):
        """Plain numbers beyond 2^53 too: the profiler would append strings."""
        found, threads = self.gecko("-t", "t", "-u", "samples", stdin="a 3\nb 18000000000000000000\n")
        self.assertEqual(
            threads["t"],
            [("[all];a", 0, 3), ("[all];b", 3, 18 * 10**18), ("", 3 + 18 * 10**18, 0)],
        )
        self.assertEqual(found["threads"][0]["samples"]["weightType"], "samples")

    def ordered(self, clock):
        """Of a clock, a profile that knows the order of time."""
        profile = json.loads(run("render", "-f", "json", stdin=FOLDED).stdout)
        profile["clock"] = clock
        profile["stretches"] = {"place": [3, 2, 3], "microseconds": [700000, 250000, 50000]}
        return json.dumps(profile)

    def test_in_the_order_of_time(self):
        _, threads = self.gecko("-t", "GET /", stdin=self.ordered("wall"))
        self.assertEqual(
            threads["GET /"],
            [
                ("[all];main;work", 0, 700),
                ("[all];main;sleep", 700, 250),
                ("[all];main;work", 950, 50),
                ("", 1000, 0),
            ],
        )
        found = json.loads(
            run("render", "-f", "speedscope", stdin=self.ordered("wall")).stdout
        )
        self.assertEqual(found["profiles"][0]["weights"], [700000, 250000, 50000])

    def test_order_is_of_wall_time(self):
        """Another clock has no order: its weights are not those of the stretches."""
        _, threads = self.gecko("-t", "GET /", stdin=self.ordered("cpu"))
        self.assertEqual(threads["GET /"][0], ("[all];main;sleep", 0, 250))
        found = json.loads(
            run("render", "-f", "speedscope", stdin=self.ordered("cpu")).stdout
        )
        self.assertEqual(found["profiles"][0]["weights"], [250000000, 750000000])

    def test_pprof_labels_marks(self):
        text = "[application];work 5\n[thread pool-1];work 7\n"
        result = run("render", "-f", "pprof", stdin=text)
        self.assertEqual(result.returncode, 0, result.stderr)
        profile = zlib.decompress(result.stdout, wbits=31)
        for string in (b"phase", b"application", b"thread", b"pool-1"):
            self.assertIn(bytes([50, len(string)]) + string, profile)  # field 6, a string

    def test_pprof_that_begins_as_go_writes_it(self):
        """With the time of the profile, before what says that it is one."""
        profile = zlib.decompress(run("render", "-f", "pprof", stdin=FOLDED).stdout, wbits=31)
        result = run("render", "-f", "folded", stdin=b"\x48\xf8\xaa\x18" + profile)
        self.assertEqual(sorted(result.stdout.decode().splitlines()), sorted(FOLDED.splitlines()))

    def test_html_holds_the_same_picture(self):
        page = run("render", "-f", "html", "-t", "a </title>", stdin=FOLDED).stdout
        picture = run("render", "-t", "a </title>", stdin=FOLDED).stdout
        self.assertTrue(page.startswith(b"<!DOCTYPE html>"))
        self.assertIn(b"<title>a &lt;/title&gt;</title>", page)
        self.assertIn(picture[picture.index(b"<svg") :].rstrip(), page)

    def test_pdf(self):
        result = run("render", "-f", "pdf", stdin=FOLDED)
        self.assertEqual(result.returncode, 0, result.stderr)
        self.assertTrue(result.stdout.startswith(b"%PDF-"))
        self.assertTrue(result.stdout.rstrip().endswith(b"%%EOF"))
        text = subprocess.run(
            ("pdftotext", "-", "-"), input=result.stdout, capture_output=True, check=True
        ).stdout
        for word in (b"main", b"work", b"sleep"):
            self.assertIn(word, text)

    def test_hostile_names_are_json(self):
        generator = random.Random(2)
        lines = []
        for _ in range(300):
            name = bytes(generator.randrange(256) for _ in range(12))
            lines.append(name.replace(b"\n", b"") + b" 5")
        for form in ("json", "speedscope", "gecko"):
            json.loads(run("render", "-f", form, stdin=b"\n".join(lines)).stdout)


class Picture(unittest.TestCase):
    """The picture's options, by the names they have everywhere."""

    def draw(self, *options, stdin=FOLDED):
        result = run("render", *options, stdin=stdin)
        self.assertEqual((result.returncode, result.stderr), (0, b""))
        return xml.etree.ElementTree.fromstring(result.stdout)

    def frames(self, picture):
        """{function: (y, width)} of what is drawn, the root's margin taken off."""
        found = {}
        for group in picture.iter(SVG + "g"):
            title, rect = group.find(SVG + "title"), group.find(SVG + "rect")
            if title is not None:
                name = title.text.split("\n")[0].split(" (")[0]
                found[name] = (float(rect.get("y")), float(rect.get("width")))
        return found

    def test_title_and_subtitle(self):
        picture = self.draw("--title", "<b>", "--subtitle", "a & b")
        texts = [text.text for text in picture.iter(SVG + "text")]
        self.assertIn("<b>", texts)
        self.assertIn("a & b", texts)

    def test_width(self):
        self.assertEqual(self.draw("--width", "640").get("width"), "640")
        self.assertEqual(self.draw().get("width"), "1200")

    def test_inverted(self):
        usual = self.frames(self.draw())
        inverted = self.frames(self.draw("--inverted"))
        self.assertGreater(usual["[all]"][0], usual["work"][0])
        self.assertLess(inverted["[all]"][0], inverted["work"][0])

    def test_callers(self):
        lines = "a;b;c 3\nd;c 5\na;b 2\n"
        frames = self.frames(self.draw("--callers", stdin=lines))
        whole = frames["[all]"][1]
        self.assertAlmostEqual(frames["c"][1] / whole, 0.8, delta=0.01)
        self.assertAlmostEqual(frames["d"][1] / whole, 0.5, delta=0.01)
        self.assertLess(frames["d"][0], frames["c"][0])  # the caller stands on it

    def test_callers_of_many_levels_are_exact(self):
        generator = random.Random(3)
        lines, own = [], {}
        for _ in range(300):
            stack = [generator.choice("abcdef") for _ in range(generator.randint(1, 30))]
            weight = generator.randint(1, 1000)
            own[stack[-1]] = own.get(stack[-1], 0) + weight
            lines.append(f"{';'.join(stack)} {weight}")
        picture = self.draw("--callers", "--width", "10000", stdin="\n".join(lines))
        whole, found = sum(own.values()), {}
        for group in picture.iter(SVG + "g"):
            title, rect = group.find(SVG + "title"), group.find(SVG + "rect")
            if title is not None and "too narrow" not in title.text:
                row, name = float(rect.get("y")), title.text.split("\n")[0]
                share = float(re.search(r"([\d.]+) %", title.text).group(1)) / 100
                found.setdefault(row, {})[name] = share
        first = found[sorted(found)[-2]]  # the row on the root
        self.assertEqual(set(first), set(own))
        for name, weight in own.items():
            self.assertAlmostEqual(first[name], weight / whole, delta=0.0001)

    def test_smallest(self):
        lines = "a 1000\nb 10\n"
        self.assertIn("b", self.frames(self.draw(stdin=lines)))
        self.assertNotIn("b", self.frames(self.draw("--smallest", "20", stdin=lines)))

    def test_colours(self):
        lines = "f (/a/x.py:1);g (/a/x.py:2);h (/a/site-packages/y.py:1) 5\n"

        def classes(*options):
            picture = self.draw(*options, stdin=lines)
            return [rect.get("class") for rect in picture.iter(SVG + "rect")
                    if rect.get("height") == "17"]

        _root, f, g, h = classes("--colours", "file")
        self.assertEqual(f, g)
        self.assertNotEqual(f, h)
        warm = {int(name[1:]) for name in classes("--colours", "warm")[1:]}
        self.assertLessEqual(max(warm), 6)  # the application's
        self.assertGreater(int(classes()[3][1:]), 6)

    def test_scale(self):
        for scale, width in (("0.5", 600), ("1", 1200), ("1.5", 1800)):
            result = run("render", "-f", "png", "--scale", scale, stdin=FOLDED)
            self.assertEqual(result.returncode, 0, result.stderr)
            self.assertEqual(png_pixels(result.stdout)[0], width)
        deep = ";".join("f%d" % i for i in range(1400)) + " 1\n"
        result = run("render", "-f", "png", "--width", "10000", stdin=deep)
        self.assertIn(b"larger than allowed", result.stderr)
        result = run("render", "-f", "png", "--scale", "4", stdin=deep)
        self.assertEqual(result.returncode, 1)
        self.assertIn(b"larger than allowed", result.stderr)

    def test_nonsense(self):
        for option, value in (("width", "100"), ("width", "42949993"), ("width", "400.5"), ("smallest", "0"), ("scale", "9"),
                              ("colours", "pink")):
            result = run("render", "--" + option, value, stdin=FOLDED)
            self.assertEqual((result.returncode, result.stdout), (2, b""), option)
            self.assertIn(option.encode(), result.stderr)


class Reading(unittest.TestCase):
    def test_what_we_write_we_read(self):
        with open(GOLDEN, "rb") as file:
            marked = run("render", "-f", "pprof", stdin=file.read())
        self.assertEqual((marked.returncode, marked.stderr), (0, b""))
        for form in ("json", "pprof"):
            once = run("render", "-f", form, "-t", "a title", stdin=FOLDED)
            again = run("render", "-f", "folded", stdin=once.stdout)
            self.assertEqual((again.returncode, again.stderr), (0, b""), form)
            self.assertEqual(sorted(again.stdout.decode().splitlines()),
                             sorted(FOLDED.splitlines()))
            picture = run("render", stdin=once.stdout).stdout
            self.assertIn(b">a title</text>", picture)

    def test_gzipped(self):
        usual = run("render", "-f", "folded", stdin=FOLDED).stdout
        packed = gzip.compress(FOLDED.encode())
        self.assertEqual(run("render", "-f", "folded", stdin=packed).stdout, usual)
        # several members, one behind the other
        half = FOLDED.index("\n") + 4
        parts = gzip.compress(FOLDED[:half].encode()) + gzip.compress(FOLDED[half:].encode())
        self.assertEqual(run("render", "-f", "folded", stdin=parts).stdout, usual)
        cut = run("render", "-f", "folded", stdin=packed[:-20])
        self.assertEqual(cut.returncode, 1)
        self.assertIn(b"ends too early", cut.stderr)

    def test_formats_by_their_ending(self):
        with tempfile.TemporaryDirectory() as folder:
            path = os.path.join(folder, "profile.pb.gz")
            self.assertEqual(run("render", "-o", path, stdin=FOLDED).returncode, 0)
            with open(path, "rb") as file:
                self.assertEqual(file.read(2), b"\x1f\x8b")

    def test_dialects(self):
        """As other profilers write folded stacks."""
        for lines, expected in (
            # perf and flamegraph.pl's stackcollapse
            ("java;read_[k];[libc.so] 3\nswapper;-;a b 2\n",
             {"java;read_[k];[libc.so]": 3, "swapper;-;a b": 2}),
            # py-spy: process and thread in front, lines in the names
            ('process 9:"python x.py";<module> (x.py:3);f (x.py:1) 7\n',
             {'process 9:"python x.py";<module> (x.py:3);f (x.py:1)': 7}),
            # austin: a header of comments, and its own frames
            ("# austin: 3.6.0\n# mode: wall\n\nP1;T1;/a/x.py:f:3;/a/x.py:g:9 1042\n",
             {"P1;T1;/a/x.py:f:3;/a/x.py:g:9": 1042}),
            ("a;b 1.5\r\na;b 2.5\r\n", {"a;b": 4}),
        ):
            result = run("render", "-u", "samples", "-f", "folded", stdin=lines)
            self.assertEqual((result.returncode, result.stderr), (0, b""), lines)
            found = dict(line.rsplit(" ", 1) for line in result.stdout.decode().splitlines())
            self.assertEqual({k: int(v) for k, v in found.items()}, expected)

    def test_ignored_lines_are_named(self):
        lines = "\n".join(["what"] * 7 + ["a 1"])
        result = run("render", "-f", "folded", stdin=lines)
        self.assertIn(b"7 lines of the input made no sense and were ignored: "
                      b"1, 2, 3, 4, 5, ...", result.stderr)

    def test_an_empty_result_is_written_too(self):
        with tempfile.TemporaryDirectory() as folder:
            path = os.path.join(folder, "out.folded")
            with open(path, "w") as file:
                file.write("stale")
            self.assertEqual(run("render", "-o", path, stdin="").returncode, 3)
            self.assertEqual(os.path.getsize(path), 0)

    def test_pieces_from_a_pipe(self):
        """Byte after byte, as slow writers do it."""
        for data in (FOLDED.encode(), gzip.compress(FOLDED.encode()),
                     run("render", "-f", "pprof", stdin=FOLDED).stdout):
            with subprocess.Popen((FLAMEPROF, "render", "-f", "folded"), bufsize=0,
                                  stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
                process.stdin.write(data[:1])
                time.sleep(0.1)
                process.stdin.write(data[1:2])
                time.sleep(0.1)
                process.stdin.write(data[2:])
                process.stdin.close()
                found = process.stdout.read().decode()
            self.assertEqual(sorted(found.splitlines()), sorted(FOLDED.splitlines()))

    def test_zeros_behind_what_is_packed(self):
        packed = gzip.compress(FOLDED.encode()) + bytes(1000)
        result = run("render", "-f", "folded", stdin=packed)
        self.assertEqual((result.returncode, result.stderr), (0, b""))

    def test_a_profile_that_begins_with_its_period(self):
        """As Go's heap profiles do: the period's type stands before the sample types."""
        profile = gzip.decompress(run("render", "-f", "pprof", stdin=FOLDED).stdout)
        # field 11, a message of two numbers
        result = run("render", "-f", "folded", stdin=b"\x5a\x04\x08\x01\x10\x02" + profile)
        self.assertEqual((result.returncode, result.stderr), (0, b""))
        self.assertEqual(len(result.stdout.splitlines()), 2)

    def test_comments_of_others_are_no_title(self):
        profile = gzip.decompress(
            run("render", "-f", "pprof", "-t", "a title", stdin=FOLDED + "nonsense\n").stdout)
        ours = json.loads(run("render", "-f", "json", stdin=profile).stdout)
        self.assertEqual((ours["title"], ours["subtitle"]), ("a title", ""))
        self.assertIn("made no sense", ours["warning"])
        theirs = profile.replace(b"written by flameprof", b"written by somebody!")
        theirs = json.loads(run("render", "-f", "json", stdin=theirs).stdout)
        self.assertEqual((theirs["title"], theirs["warning"]), ("Flame graph", ""))

    def test_a_name_that_looks_like_a_comment(self):
        profile = json.loads(run("render", "-f", "json", stdin="a;b 5\n").stdout)
        for function in profile["functions"]:
            function["name"] = function["name"].replace("a", "#a")
        folded = run("render", "-f", "folded", stdin=json.dumps(profile)).stdout
        self.assertEqual(folded, b"\\x23a;b 5\n")
        again = json.loads(run("render", "-f", "json", stdin=folded).stdout)
        self.assertIn("#a", [function["name"] for function in again["functions"]])

    def test_small_files_that_would_be_large(self):
        """Bounded work, whatever a small file says."""
        for data in (b"#\n" * (8 << 20), b"\n" * (8 << 20), b"a 1 2\n" + b"#\n" * (4 << 20),
                     b" " * (16 << 20)):
            begun = cpu_of_children()
            run("render", "-f", "folded", stdin=gzip.compress(data, 1))
            self.assertLess(cpu_of_children() - begun, 10)
        chain = {"parent": [0, *range(60000)], "function": [0] * 60001, "self": [1] * 60001}
        profile = {"format": "flameprof", "version": 1, "clock": "wall", "unit": "samples",
                   "functions": [{"name": "f"}], "places": chain}
        begun = cpu_of_children()
        result = run("render", "--callers", stdin=json.dumps(profile))
        self.assertEqual(result.returncode, 0, result.stderr)
        self.assertLess(cpu_of_children() - begun, 30)

    def test_existing_output_survives_what_cannot_be_read(self):
        with tempfile.TemporaryDirectory() as folder:
            path = os.path.join(folder, "out.svg")
            with open(path, "w") as file:
                file.write("precious")
            result = run("render", "-o", path, stdin='{"format": "else"}')
            self.assertEqual(result.returncode, 1)
            with open(path) as file:
                self.assertEqual(file.read(), "precious")


HOSTILE = [
    "]]></script><script>alert(1)</script>",
    "<script>alert(1)</script>",
    "--><img src=x onerror=alert(1)>",
    "\" onload=\"alert(1)",
    "&lt;&amp;&#x3c;",
    "__proto__",
    "constructor",
    "\u202egnp.exe",
    "\u2028\u2029",
    "\x85\x9b",
    "javascript:alert(1)",
    "../../etc/passwd",
    "%s%n%d",
    "${jndi:ldap://x}",
]


def hostile_lines():
    """Names nobody wants, every byte, and numbers that are none."""
    lines = [f"{name};{name} (/x/{name}:3) 5".encode() for name in HOSTILE]
    lines += [b"byte " + bytes([value]) + b" " + bytes([value]) + b" 3"
              for value in range(256) if value != 10]
    lines += [b"cut \xe2\x82;\xed\xa0\x80 \xf5\x80\x80\x80 2"]
    lines += [b"m" * (1 << 20) + b" 4"]
    numbers = ("0", "-1", "nan", "inf", "9" * 32, "1e9", "18446744073709551615", "0x10", "")
    lines += [b"number " + number.encode() for number in numbers]
    return b"\n".join(lines) + b"\n"


class Hostile(unittest.TestCase):
    """What has broken others, through every format; strict parsers judge."""

    XML_MAY_NOT_HOLD = re.compile("[\0-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\ud800-\udfff\ufffe\uffff"
                                  "\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069]")

    def render(self, form, *options):
        result = run("render", "-f", form, "-t", HOSTILE[0] + "\x1b[2J", *options,
                     stdin=hostile_lines())
        self.assertEqual(result.returncode, 0, result.stderr)
        self.assertIsNone(self.XML_MAY_NOT_HOLD.search(result.stderr.decode().replace("\n", "")))
        return result.stdout

    def test_svg_and_html(self):
        for form in ("svg", "html"):
            for options in ((), ("--callers", "--inverted")):
                text = self.render(form, *options).decode()
                self.assertIsNone(self.XML_MAY_NOT_HOLD.search(text))
                # a parser's idea of where scripts are: ours and the data, no more
                parser = Scripts()
                parser.feed(text)
                self.assertEqual(parser.scripts, 2)
                self.assertEqual(parser.handlers, [])
                if form == "svg":
                    xml.etree.ElementTree.fromstring(text)

    def test_json(self):
        for form in ("json", "speedscope"):
            text = self.render(form).decode()
            json.loads(text, parse_constant=self.fail)
            self.assertFalse("</script" in text)

    def test_pprof_is_text_that_a_terminal_may_see(self):
        data = gzip.decompress(self.render("pprof"))
        for name in HOSTILE[:4]:
            self.assertTrue(name.encode() in data, name)
        self.assertFalse("\u202e".encode() in data)

    def test_folded_is_a_fixed_point(self):
        once = self.render("folded")
        twice = run("render", "-f", "folded", stdin=once)
        self.assertEqual((twice.returncode, twice.stderr), (0, b""))
        self.assertEqual(once, twice.stdout)

    def test_pictures(self):
        self.assertEqual(self.render("png")[:8], b"\x89PNG\r\n\x1a\n")
        self.assertEqual(self.render("pdf")[:5], b"%PDF-")

    def test_a_million_frames_deep(self):
        deep = b";".join([b"f"] * 1000000) + b" 1\n"
        for form in ("svg", "html", "folded", "json", "speedscope", "pprof"):
            result = run("render", "-f", form, stdin=deep)
            self.assertEqual((result.returncode, result.stderr), (0, b""), form)
            self.assertLess(len(result.stdout), 40 << 20)


class Scripts(html.parser.HTMLParser):
    """Counts what a browser might run."""

    def __init__(self):
        super().__init__()
        self.scripts, self.handlers = 0, []

    def handle_starttag(self, tag, attrs):
        self.scripts += tag == "script"
        self.handlers += [name for name, _ in attrs if name.startswith("on")]


class Difference(unittest.TestCase):
    def compare(self, *options, before, after):
        with tempfile.TemporaryDirectory() as folder:
            paths = []
            for name, text in (("before", before), ("after", after)):
                paths.append(os.path.join(folder, name))
                with open(paths[-1], "w") as file:
                    file.write(text)
            return run("diff", *options, *paths)

    def changes(self, *options, before, after):
        """{function: class of its colour}"""
        result = self.compare(*options, before=before, after=after)
        self.assertEqual(result.returncode, 0, result.stderr)
        found = {}
        for group in xml.etree.ElementTree.fromstring(result.stdout).iter(SVG + "g"):
            title, rect = group.find(SVG + "title"), group.find(SVG + "rect")
            if title is not None:
                found[title.text.split("\n")[0]] = rect.get("class")
        return found

    def test_more_is_red_and_less_is_blue(self):
        found = self.changes(before="a;b 50\na;c 50\n", after="a;b 80\na;c 10\na;d 10\n")
        self.assertEqual(found, {"[all]": "d8", "a": "d8", "b": "d13", "c": "d0", "d": "d16"})

    def test_shares_or_numbers(self):
        twice = dict(before="a 5\nb 5\n", after="a 10\nb 10\n")
        self.assertEqual(set(self.changes(**twice).values()), {"d8"})
        self.assertEqual(set(self.changes("--absolute", **twice).values()), {"d16"})

    def test_what_is_gone_is_kept(self):
        result = self.compare("-f", "json", before="a 5\nb 5\n", after="a 10\n")
        places = json.loads(result.stdout)["places"]
        self.assertEqual(places["self"], [0, 10000, 0])
        self.assertEqual(places["before_total"], [10000, 5000, 5000])

    def test_folded_has_both_numbers(self):
        result = self.compare("-f", "folded", before="a;b 5\na 1\nc 7\n", after="a;b 4\nd 2\n")
        self.assertEqual(
            result.stdout.decode().splitlines(), ["a 1 0", "a;b 5 4", "c 7 0", "d 0 2"]
        )
        again = run("render", "-f", "folded", stdin=result.stdout)
        self.assertEqual(again.stdout, result.stdout)

    def test_callers_are_compared_too(self):
        found = self.changes("--callers", before="a;b 50\na;c 50\n", after="a;b 80\na;c 20\n")
        self.assertEqual((found["b"], found["c"]), ("d13", "d0"))

    def test_clocks_that_differ(self):
        """Of two profiles, which say which clock theirs is."""
        quality = {"interval_ns": 1}
        texts = []
        for clock in ("wall", "cpu"):
            profile = json.loads(run("render", "-f", "json", stdin=FOLDED).stdout)
            texts.append(json.dumps({**profile, "clock": clock, "quality": quality}))
        result = self.compare(before=texts[0], after=texts[1])
        self.assertEqual(result.returncode, 1)
        self.assertIn(b"counts something else than the other", result.stderr)
        self.assertEqual(self.compare(before=texts[0], after=texts[0]).returncode, 0)

    def test_units_that_differ(self):
        samples = run("render", "-u", "samples", "-f", "json", stdin=b"a 1\n").stdout
        result = self.compare(before=samples.decode(), after="a 1\n")
        self.assertEqual(result.returncode, 1)
        self.assertIn(b"counts something else than the other", result.stderr)

    def test_two_inputs(self):
        for inputs in ((), ("-",), ("a", "b", "c")):
            result = run("diff", *inputs)
            self.assertEqual(result.returncode, 2)
            self.assertIn(b"two inputs", result.stderr)


class Png(unittest.TestCase):
    def test_png(self):
        result = run("render", "-f", "png", stdin=FOLDED)
        self.assertEqual(result.returncode, 0, result.stderr)
        width, height, colours = png_pixels(result.stdout)
        self.assertEqual(width, 2400)
        self.assertGreater(height, 150)
        svg = run("render", stdin=FOLDED).stdout.decode()
        for fill in re.findall(r'<rect class="c\d+"[^>]*fill="#(\w+)"', svg):
            self.assertIn(bytes.fromhex(fill), colours)
        # Anti-aliased text: many shades, not only the fills.
        self.assertGreater(len(colours), 30)

    def test_no_font_is_an_error(self):
        with tempfile.TemporaryDirectory() as folder:
            empty = os.path.join(folder, "fonts.conf")
            with open(empty, "w") as file:
                file.write("<fontconfig></fontconfig>")
            env = dict(os.environ, FONTCONFIG_FILE=empty, XDG_CACHE_HOME=folder)
            result = run("render", "-f", "png", stdin=FOLDED, env=env)
        self.assertEqual(result.returncode, 1)
        self.assertIn(b"need a font", result.stderr)
        self.assertEqual(result.stdout, b"")

    def test_no_library_is_an_error(self):
        with tempfile.TemporaryDirectory() as folder:
            with open(os.path.join(folder, "librsvg-2.so.2"), "w") as file:
                file.write("no library")
            env = dict(os.environ, LD_LIBRARY_PATH=folder)
            result = run("render", "-f", "png", stdin=FOLDED, env=env)
            self.assertEqual(result.returncode, 1)
            self.assertIn(b"need librsvg and cairo", result.stderr)
            self.assertEqual(run("render", stdin=FOLDED, env=env).returncode, 0)

    def test_no_drawing_library_is_linked(self):
        listing = subprocess.run(
            ("readelf", "-d", FLAMEPROF), capture_output=True, text=True, check=True
        ).stdout
        needed = set(re.findall(r"NEEDED.*\[(.*?)\]", listing))
        small = {"libjansson.so.4", "libprotobuf-c.so.1", "libz.so.1"}
        small |= {name for name in needed if name.startswith("libsodium.so.")}
        self.assertLessEqual(needed, {"libc.so.6", "libdl.so.2", "libm.so.6"} | small)


if __name__ == "__main__":
    unittest.main()
