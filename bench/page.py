"""How fast the picture is in a browser, beside those of others, in Chromium and in Firefox.

Folded stacks of 50,000 and of 500,000 frames, made here and always the same: 20 to 60
deep, a few hundred wide frames and a great many narrow ones, as profiles are. Who draws
them, each in a file of its own: flameprof; and for those who are given

    --flamegraph PATH   flamegraph.pl (git clone of brendangregg/FlameGraph)
    --inferno PATH      inferno-flamegraph (cargo install inferno)
    --jfrconv PATH      async-profiler's converter (tools.profiler:jfr-converter, a jar)
    --speedscope PATH   a folder with speedscope's release (npm: dist/release)

The two that draw SVG do so once as they are and once with --minwidth 0: as they are they
leave out what is narrow, and their search then does not know of it.

A figure is the time from an action to the second animation frame after it, without the
wait for a screen's next refresh; what an empty page takes is in the table too. Load:
from the navigation's start. Zoom: a click on the same function in each. Search: for
about a hundredth of the functions. Pages take turns, a fresh one for each round.
"""

import argparse
import contextlib
import functools
import http.server
import os
import pathlib
import random
import shutil
import statistics
import subprocess
import sys
import tempfile
import threading
import time

from conditions import Conditions

ROOT = pathlib.Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "tests" / "browser"))
from webdriver import Browser, Firefox  # noqa: E402

FLAMEPROF = pathlib.Path(os.environ.get("BUILD", ROOT / "build")).resolve() / "flameprof"
TARGET_SHARE = 1 / 5  # of flamegraph.pl's, at 50,000 frames
TARGET_MS = 100  # zoom and search at 500,000
SIZES = (50_000, 500_000)
ZOOMED = "front"
SEARCHED = "save7"
STEPS = ("load", "zoom", "unzoom", "search", "view")
CHROMIUM = ("--disable-frame-rate-limit", "--disable-gpu-vsync", "--enable-unsafe-swiftshader")
FIREFOX = {"layout.frame_rate": 1000}  # frames a second: no wait here either
SETTLING = 2  # seconds: the page before, of up to 200,000 nodes, is being taken apart
SECONDS = "performance.now()"
DRAWN = "requestAnimationFrame(() => requestAnimationFrame(() => done(%s)))"


# ---- the stacks ------------------------------------------------------------------------


def name(number):
    verb = ("get", "render", "load", "save", "parse", "visit", "call", "format")[number % 8]
    return f"pkg{number % 61}.{verb}{number // 8} (/srv/pkg{number % 61}/mod{number % 7}.py:{number})"


def stacks(count):
    """Lines of folded stacks that make a tree of so many frames, the root included."""
    chance = random.Random(count)
    functions = [name(number) for number in range(count // 12)]
    common = [f"middleware{i} (/srv/app.py:{i})" for i in range(10)]
    path, known = [*common, f"{ZOOMED} (/srv/app.py:99)"], 12
    yield path, 1000
    while known < count:
        deep = chance.randint(20, 60)
        kept = min(len(path), 10 + int(chance.random() ** 0.7 * (deep - 10)))
        path = path[:kept]
        if kept == 10:
            path.append(chance.choice([f"{ZOOMED} (/srv/app.py:99)", "other (/srv/app.py:98)"]))
        while len(path) < deep and known < count:
            path.append(functions[int(len(functions) * chance.random() ** 2)])
            known += 1
        yield path, int(chance.paretovariate(0.9)) + 1


def write_stacks(count, path):
    with open(path, "w") as file:
        for frames, weight in stacks(count):
            print(";".join(frames), weight, file=file)


# ---- who draws -------------------------------------------------------------------------


class Page:
    """How it is made, and how it is used: expressions of JavaScript."""

    def __init__(self, title, file, make, loaded="true", sizes=SIZES, **steps):
        self.title, self.file, self.make, self.loaded = title, file, make, loaded
        self.sizes, self.steps = sizes, steps


def press(element):
    return f"{element}.dispatchEvent(new MouseEvent('click', {{bubbles: true}}))"


def ours():
    """The frame is the widest of that name; a view is Callers."""
    graph = "document.querySelector('#flame-graph')"
    frame = (
        f"[...{graph}.querySelectorAll('text')].find((t) => t.textContent === '{ZOOMED}')"
        ".previousSibling"
    )
    field = "document.querySelector('.tools input')"
    return Page(
        "flameprof", "ours.svg",
        lambda given, made: run([FLAMEPROF, "render", "-o", made, given]),
        zoom=press(frame), unzoom=press("document.querySelector('#flame-reset')"),
        search=f"({field}.value = '{SEARCHED}', {field}.dispatchEvent(new Event('input')))",
        view=press("[...document.querySelectorAll('.choice button')]"
                   ".find((b) => b.textContent === 'Callers')"),
    )  # fmt: skip


def drawn_svg(title, command, *options):
    """flamegraph.pl and inferno, which kept its functions' names."""
    frame = (
        "[...document.querySelectorAll('title')].find((t) => "
        f"t.textContent.startsWith('{ZOOMED} (/srv'))"
        ".parentNode.querySelector('rect')"
    )
    return Page(
        " ".join((title, *options)), f"{title}{len(options)}.svg",
        lambda given, made: run([*command, *options, given], made), sizes=SIZES[:1],
        zoom=press(frame), unzoom=press("document.getElementById('unzoom')"),
        search=f"search('{SEARCHED}')",
    )  # fmt: skip


def async_profiler(jar):
    """What its click on the canvas calls, for which the pointer would have to move first."""
    frame = f"levels.flat().find((f) => f.title.startsWith('{ZOOMED} '))"
    zoom = f"window.eval(`render({frame})`)"  # in the page's own scope, in Firefox too
    return Page(
        "async-profiler", "jfrconv.html",
        lambda given, made: run(["java", "-jar", jar, "-o", "html", given, made]),
        zoom=zoom, unzoom="render()", search=f"search('{SEARCHED}')",
    )  # fmt: skip


def speedscope(folder):
    def make(given, made):
        target = made.parent / "speedscope"
        if not target.exists():
            shutil.copytree(folder, target)
        run([FLAMEPROF, "render", "-f", "speedscope", "-o", made, given])

    return Page("speedscope", "ours.speedscope.json", make, loaded="document.title.endsWith(' - speedscope')")


def run(command, output=None):
    with open(output, "wb") if output else contextlib.nullcontext() as file:
        subprocess.run([str(word) for word in command], stdout=file, check=True)


def pages(options):
    found = [Page("an empty page", "empty.svg", lambda _, made: made.write_text(
        '<svg xmlns="http://www.w3.org/2000/svg"><rect width="9" height="9"/></svg>'),
        zoom="0", unzoom="0", search="0", view="0")]  # fmt: skip
    found.append(ours())
    for title, path in (("flamegraph.pl", options.flamegraph), ("inferno", options.inferno)):
        if path:
            found.append(drawn_svg(title, [path], "--minwidth=0"))
            found.append(drawn_svg(title, [path]))
    if options.jfrconv:
        found.append(async_profiler(options.jfrconv))
    if options.speedscope:
        found.append(speedscope(options.speedscope))
    return found


# ---- measuring -------------------------------------------------------------------------


class Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *arguments):
        pass


@contextlib.contextmanager
def served(folder):
    handler = functools.partial(Quiet, directory=str(folder))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_address[1]}/"
        server.shutdown()


def address(page, base, count):
    if page.title == "speedscope":
        return f"{base}{count}/speedscope/index.html#profileURL={base}{count}/{page.file}"
    return f"{base}{count}/{page.file}"


def open_page(browser, page, url):
    """The ms until it is drawn."""
    browser.go("about:blank")
    time.sleep(SETTLING)
    browser.go(url)
    return browser.promise(
        f"new Promise((done) => {{ const look = () => ({page.loaded}) ? {DRAWN % SECONDS} : "
        "requestAnimationFrame(look); look(); })"
    )


def act(browser, expression):
    return browser.promise(
        f"new Promise((done) => {{ const begun = {SECONDS}; {expression}; "
        f"{DRAWN % (SECONDS + ' - begun')}; }})"
    )


def look(browser, page, url):
    """{what: figure} of one visit."""
    found = {"load": open_page(browser, page, url)}
    found["nodes"] = browser.script("document.querySelectorAll('*').length")
    if not isinstance(browser, Firefox):
        browser.devtools("HeapProfiler.collectGarbage")
        usage = browser.devtools("Runtime.getHeapUsage")
        found["heap"] = (usage["usedSize"] + usage["backingStorageSize"]) / 2**20  # arrays too
    for step, expression in page.steps.items():
        found[step] = act(browser, expression)
    for step, figure in found.items():
        if not isinstance(figure, (int, float)):
            raise SystemExit(f"{page.title}, {step}: {figure}")
    return found


def measure(browser, chosen, base, count, rounds):
    """{title: {what: median}}"""
    seen = {page.title: [] for page in chosen}
    for _ in range(rounds):
        for page in chosen:
            seen[page.title].append(look(browser, page, address(page, base, count)))
    return {
        title: {what: statistics.median(visit[what] for visit in visits) for what in visits[0]}
        for title, visits in seen.items()
    }


def report(found, folder, chosen):
    print("| page | " + " | ".join(f"{step}, ms" for step in STEPS)
          + " | JS heap, MiB | nodes | file, MB |")  # fmt: skip
    print("|---" * (len(STEPS) + 4) + "|")
    for page in chosen:
        figures = found[page.title]
        cells = [f"{figures[step]:.0f}" if step in figures else "–" for step in STEPS]
        cells.append(f"{figures['heap']:.1f}" if "heap" in figures else "–")
        cells.append(f"{figures['nodes']:.0f}")
        cells.append(f"{(folder / page.file).stat().st_size / 1e6:.1f}")
        print(f"| {page.title} | " + " | ".join(cells) + " |", flush=True)


def missed(found, count):
    """What falls short of the targets."""
    mine = found["flameprof"]
    theirs = found.get("flamegraph.pl --minwidth=0")
    if count == SIZES[0] and theirs:
        for step in ("load", "zoom", "search"):
            if mine[step] > theirs[step] * TARGET_SHARE:
                yield f"{step}: {mine[step] / theirs[step]:.2f} of flamegraph.pl's"
    if count == SIZES[1]:
        for step in ("zoom", "search"):
            if mine[step] > TARGET_MS:
                yield f"{step}: {mine[step]:.0f} ms"


def browsers(chosen):
    for kind, arguments in ((Browser, CHROMIUM), (Firefox, FIREFOX)):
        if kind.__name__ not in chosen:
            continue
        if not all(map(shutil.which, kind.programs)):
            print(f"SKIPPED: {' and '.join(kind.programs)} are not both here.")
            continue
        with contextlib.closing(kind(1280, 900, arguments)) as browser:
            yield kind.programs[0], browser


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    for peer in ("flamegraph", "inferno", "jfrconv", "speedscope"):
        parser.add_argument(f"--{peer}", type=pathlib.Path, metavar="PATH")
    parser.add_argument("--rounds", type=int, default=5, help="visits to each page (5)")
    parser.add_argument("--browsers", nargs="+", default=["Browser", "Firefox"])
    parser.add_argument("--sizes", nargs="+", type=int, default=SIZES, help="frames")
    options = parser.parse_args()
    short = []
    with tempfile.TemporaryDirectory() as temporary, served(temporary) as base:
        for count in options.sizes:
            folder = pathlib.Path(temporary) / str(count)
            folder.mkdir()
            write_stacks(count, folder / "stacks.folded")
            chosen = [page for page in pages(options) if count in page.sizes]
            for page in chosen:
                page.make(folder / "stacks.folded", folder / page.file)
            for title, browser in browsers(options.browsers):
                print(f"\n**{title}, {count:,} frames**, medians of {options.rounds}\n")
                with Conditions():
                    found = measure(browser, chosen, base, count, options.rounds)
                    report(found, folder, chosen)
                short += [f"{title}, {count:,} frames: {what}" for what in missed(found, count)]
    print("Targets: " + ("MISSED: " + "; ".join(short) if short else "met") + ".")
    sys.exit(1 if short else 0)


if __name__ == "__main__":
    main()
