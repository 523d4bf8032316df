"""Profiles of many kinds, what our own JSON says of them, and the tools that open the
other formats. FLAMEPROF is the program, CACHE the folder for all that is made or fetched.
"""

import collections
import functools
import json
import os
import pathlib
import random
import shutil
import subprocess
import threading
import time
import unittest
import wsgiref.util

import flameprof

ROOT = pathlib.Path(__file__).resolve().parents[2]
FLAMEPROF = os.environ["FLAMEPROF"]
CACHE = pathlib.Path(os.environ["CACHE"]).resolve()
# What is fetched of others' work, and of which version. Nothing else pins it.
NPM = {"speedscope": "1.25.0", "@firefox-devtools/profiler-cli": "0.10.0", "ajv": "8.20.0"}
TITLE = 'GET /shop/?page="2"&x=<b>'
TIMES = ("running_ns", "gil_wait_ns", "blocked_ns", "no_cpu_ns")


def run(*command, **options):
    """What it wrote, as text; an error with all it said if it failed."""
    result = subprocess.run(command, capture_output=True, timeout=300, **options)
    if result.returncode != 0:
        raise AssertionError("%s: %s" % (command[0], result.stderr.decode(errors="replace")))
    return result.stdout.decode()


def needed(program):
    """For setUpClass: without the program the tests are skipped."""
    if shutil.which(program) is None:
        raise unittest.SkipTest("%s is not there: ./packages.sh consumers" % program)


@functools.lru_cache(None)
def npm():
    """The folder of the packages in NPM, fetched if they are not there."""
    needed("npm")
    wanted = ["%s@%s" % package for package in sorted(NPM.items())]
    stamp = CACHE / "npm" / "fetched"
    if not stamp.exists() or stamp.read_text() != repr(wanted):
        run("npm", "install", "--ignore-scripts", "--no-audit", "--no-fund", "--no-save",
            "--prefix", str(CACHE / "npm"), *wanted)  # fmt: skip
        stamp.write_text(repr(wanted))
    return CACHE / "npm" / "node_modules"


class Profile:
    def __init__(self, name, data):
        CACHE.mkdir(parents=True, exist_ok=True)
        self.name = name
        self.path = CACHE / (name + ".json")
        self.path.write_bytes(data)
        self.document = json.loads(data)
        self.names = [function["name"] for function in self.document["functions"]]
        self.places = self.document["places"]

    def render(self, form):
        path = CACHE / ("%s.%s" % (self.name, form))
        run(FLAMEPROF, "render", "-f", form, "-t", TITLE, "-o", str(path), str(self.path))
        return path

    def weights(self, key="self"):
        """Of each place, its own: a column of the JSON, or "wall"."""
        if key == "wall":
            return [sum(times) for times in zip(*(self.places[state] for state in TIMES))]
        return [int(weight) for weight in self.places[key]]

    def stretched(self):
        """Of each place, the microseconds of its stretches."""
        found, stretches = [0] * len(self.places["self"]), self.document["stretches"]
        for place, length in zip(stretches["place"], stretches["microseconds"]):
            found[place] += length
        return found

    def under(self, mark):
        """Of each place, its own if it is the mark's."""
        return [own if name == mark else 0 for own, name in zip(self.weights(), self.marks())]

    def by_function(self, weights):
        """{name: its own weight}, of those that have any."""
        found = collections.Counter()
        for function, weight in zip(self.places["function"], weights):
            found[self.names[function]] += weight
        return +found

    def marks(self):
        """Of each place, the first frame below the root; the root has its own."""
        found = []
        for at, (parent, function) in enumerate(
            zip(self.places["parent"], self.places["function"])
        ):
            found.append(self.names[function] if parent == 0 else found[parent])
        return found


def from_folded(name, text, *options):
    data = run(FLAMEPROF, "render", "-f", "json", *options, input=text)
    return Profile(name, data.encode())


def work(seconds):
    end = time.perf_counter() + seconds
    while time.perf_counter() < end:
        sum(number * number for number in range(500))


def application(environ, start_response):
    helper = threading.Thread(target=work, args=(0.1,), name="helper")
    helper.start()
    work(0.1)
    time.sleep(0.05)
    work(0.05)
    helper.join()
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [b"done"]


@functools.lru_cache(None)
def request():
    """A real one: with times, marks, calls into C, a thread and the order of time."""
    environ = {
        "QUERY_STRING": "flamegraph=1&flamegraph_format=json&flamegraph_threads=1",
        "REMOTE_ADDR": "127.0.0.1",
        "SERVER_PROTOCOL": "HTTP/1.1",
    }
    wsgiref.util.setup_testing_defaults(environ)
    parts = flameprof.Middleware(application)(environ, lambda *arguments: None)
    return Profile("request", b"".join(parts))


@functools.lru_cache(None)
def example():
    return from_folded(
        "example", (ROOT / "tests/renderer/golden/example.folded").read_bytes()
    )


@functools.lru_cache(None)
def counted():
    """Samples, not times; and names that a C++ demangler would make shorter."""
    text = (
        "f.<locals>.<lambda>;<module>;zlib.compress(…) 5\nf.<locals>.<lambda>;<listcomp> 7\n"
        "operator 3\nstd::vector<int>::at(unsigned long) 9\n"
    )
    return from_folded("counted", text.encode(), "--unit", "samples")


@functools.lru_cache(None)
def hostile():
    generator = random.Random(3)
    lines = []
    for _ in range(200):
        name = bytes(generator.randrange(256) for _ in range(12)).replace(b"\n", b"")
        lines.append(b"%s %d" % (name, generator.randrange(1, 10**6)))
    lines += [b"</script><script>alert(1)</script> 5", b"__proto__;constructor 7"]
    return from_folded("hostile", b"\n".join(lines))


@functools.lru_cache(None)
def huge():
    """No double holds these exactly; 2^63 nanoseconds hold their sum."""
    return from_folded("huge", b"a 9007199254740993\nb 3000000000000\nb;c 1000000000000001\n",
                       "--unit", "samples")  # fmt: skip


@functools.lru_cache(None)
def difference():
    before, after = CACHE / "before.folded", CACHE / "after.folded"
    CACHE.mkdir(parents=True, exist_ok=True)
    before.write_text("main;read 500\nmain;gone 250\n")
    after.write_text("main;read 400\nmain;new 100\n")
    data = run(FLAMEPROF, "diff", "-f", "json", str(before), str(after))
    return Profile("difference", data.encode())


def everything():
    return [request(), example(), counted(), hostile(), huge(), difference()]
