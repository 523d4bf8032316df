"""What a request that is not profiled costs: instructions, counted by callgrind.

The same application, answering the same requests, with and without flameprof:
in uWSGI with and without the plugin, and called in a loop in plain Python with
and without the middleware. Beside them a middleware of five lines of Python.
The counts do not depend on the machine's load.

The middleware's figure is the difference of the totals: these are steady.

uWSGI's totals are not: with the heap's layout (where a free chunk lies, which
keys collide) they move by hundreds of instructions, whatever is loaded. Each
server is counted under several layouts, made by an environment variable of
different lengths, and the totals stand in the table from the least to the most.
The plugin's own figure is exact all the same, from callgrind's call graph: what
runs in the plugin, and below it except for the original handler of the request,
less what that handler saves because the plugin has parsed the request already.
"""

import argparse
import os
import pathlib
import re
import shutil
import statistics
import subprocess
import sys
import tempfile

import serving

TARGETS = {"plugin": 120, "middleware": 400, "watching": 600, "looking-on": 1500}
# The two that the targets are for, and two that are longer.
QUERIES = ["", "a=1&b=2", "q=hello&page=2&sort=price", "q=caf%C3%A9&page=2"]
JUDGED = QUERIES[:2]
PYTHON_PLUGIN = re.compile(r"python\d*_plugin\.so$")


def callgrind(folder):
    return [
        *["valgrind", "--quiet", "--tool=callgrind", "--dump-before=getppid"],
        *["--compress-strings=no", "--compress-pos=no"],
        f"--callgrind-out-file={folder}/count",
    ]


class Part:
    """One of callgrind's files: its total, and what the plugin has to do with it."""

    def __init__(self, path):
        self.total = 0  # all instructions
        self.below = 0  # in the plugin, and what it calls but the python plugin
        self.parsing = 0  # in uwsgi_parse_vars() and below, whoever calls it
        here = there = callee = None
        for line in path.read_text().splitlines():
            key, _, value = line.partition("=")
            if line.startswith("summary: "):
                self.total = int(line.split()[1])
            elif key == "ob":
                here = pathlib.Path(value).name
            elif key == "fn":
                there = here
            elif key == "cob":
                there = pathlib.Path(value).name
            elif key == "cfn":
                callee = value
            elif line[:1].isdigit():
                self.add(int(line.split()[1]), here, there, callee)
                there, callee = here, None

    def add(self, cost, here, there, callee):
        ours = here == serving.PLUGIN.name
        if callee and callee.startswith("uwsgi_parse_vars"):
            self.parsing += cost
            return
        if ours and (callee is None or (there != here and not PYTHON_PLUGIN.match(there))):
            self.below += cost

    def added(self):
        return self.below + self.parsing


def per_request(folder, requests):
    """{query: (all instructions, the plugin's)}, from the parts: the start, then, for
    each query, what lies between two marks with nothing between them, and what with
    the requests."""
    parts = [
        Part(path) for path in sorted(folder.glob("count.*"), key=lambda path: int(path.suffix[1:]))
    ]
    if len(parts) != 2 * len(QUERIES) + 1:
        raise SystemExit(f"callgrind left {len(parts)} counts, not {2 * len(QUERIES) + 1}")
    return {
        query: tuple(
            (full - empty) / requests
            for full, empty in (
                (parts[2 * i + 2].total, parts[2 * i + 1].total),
                (parts[2 * i + 2].added(), parts[2 * i + 1].added()),
            )
        )
        for i, query in enumerate(QUERIES)
    }


def environment(padding):
    return {"PYTHONHASHSEED": "0", "PADDING": "x" * padding}


def of_server(folder, options, requests, padding):
    port = serving.free_port()
    command = [
        *callgrind(folder),
        serving.UWSGI,
        *options,
        *["--http-socket", f"127.0.0.1:{port}", "--pythonpath", str(serving.HERE)],
        *["--need-app", "--disable-logging", "--die-on-term"],
    ]
    with serving.Server(command, port, environment(padding)) as server:
        for _ in range(requests):
            server.get("/")
        for query in QUERIES:
            server.get("/mark")
            server.get("/mark")
            for _ in range(requests):
                server.get("/?" + query)
        server.get("/mark")
    return per_request(folder, requests)


def of_loop(folder, which, calls, padding):
    command = [*callgrind(folder), sys.executable, "-B", str(serving.HERE / "hello.py")]
    subprocess.run(
        [*command, which, str(calls), *QUERIES],
        env={**os.environ, **environment(padding)},
        check=True,
        timeout=300,
    )
    return per_request(folder, calls)


class Counted:
    """One way to serve, under each layout: {query: least, most, the plugin's share}."""

    def __init__(self, measure, layouts, keep):
        self.found = []
        for layout in range(layouts):
            folder = pathlib.Path(tempfile.mkdtemp(dir=keep))
            self.found.append(measure(folder, 1 + 331 * layout))

    def totals(self, query):
        return [one[query][0] for one in self.found]

    def least(self, query):
        return min(self.totals(query))

    def range(self, query):
        least, most = min(self.totals(query)), max(self.totals(query))
        return f"{least:.0f}" if most - least < 1 else f"{least:.0f}–{most:.0f}"

    def share(self, query):
        return statistics.median(one[query][1] for one in self.found)


WATCHED = ["--flameprof-slower-than", "60", "--flameprof-on-error"]

# For each door: its name in the table; alone, with flameprof, with the peer; how.
DOORS = {
    "plugin": (
        "uWSGI",
        [
            ["--plugin", "python3", "--module", "hello"],
            ["--plugin", str(serving.PLUGIN), "--module", "hello"],
            ["--plugin", "python3", "--module", "hello:in_python"],
        ],
        of_server,
    ),
    "middleware": ("a call in Python", ["alone", "flameprof", "python"], of_loop),
    # The same with slower-than, when no request is slow.
    "watching": (
        "uWSGI, requests watched",
        [
            ["--plugin", "python3", "--module", "hello"],
            ["--plugin", str(serving.PLUGIN), "--module", "hello", *WATCHED],
            ["--plugin", "python3", "--module", "hello:in_python"],
        ],
        of_server,
    ),
    "looking-on": ("a call in Python, watched", ["alone", "watched", "python"], of_loop),
}


def added(door, alone, ours, query):
    if DOORS[door][2] is of_server:
        return ours.share(query) - alone.share(query)
    return ours.least(query) - alone.least(query)


def table(door, options, keep):
    """Prints a door's table; True if its target is met."""
    name, ways, measure = DOORS[door]
    requests = options.requests if measure is of_server else options.calls
    alone, ours, python = (
        Counted(
            lambda folder, padding: measure(folder, arguments, requests, padding),
            options.layouts,
            keep,
        )
        for arguments in ways
    )
    met = True
    print(f"| {name} | without us | with the {door} | flameprof adds | five lines of Python add |")
    print("|---|---|---|---|---|")
    for query in QUERIES:
        extra = added(door, alone, ours, query)
        print(
            f"| `GET /{'?' if query else ''}{query}` | {alone.range(query)} | {ours.range(query)} "
            f"| **{extra:+.0f}** | {python.least(query) - alone.least(query):+.0f} |"
        )
        met = met and (query not in JUDGED or extra <= TARGETS[door])
    print(f"\nTarget for the first two: {TARGETS[door]:+d} at most: {'met' if met else 'MISSED'}.\n")
    return met


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--requests", type=int, default=300, help="per query, of a server (300)")
    parser.add_argument("--calls", type=int, default=3000, help="per query, of the loop (3000)")
    parser.add_argument("--layouts", type=int, default=5, help="of the heap (5)")
    parser.add_argument("--only", choices=DOORS, help="one of them")
    parser.add_argument("--keep", help="a folder for callgrind's files, for callgrind_annotate")
    options = parser.parse_args()
    if not shutil.which("valgrind"):
        raise SystemExit("valgrind is missing; it is in packages.txt")
    with tempfile.TemporaryDirectory() as scratch:
        if options.keep:
            os.makedirs(options.keep, exist_ok=True)
        results = [
            table(door, options, options.keep or scratch)
            for door in DOORS
            if options.only in (None, door)
        ]
    sys.exit(0 if all(results) else 1)


if __name__ == "__main__":
    main()
