"""What a page costs that has nothing of ours in it: instructions, counted by callgrind.

The same small sites with and without flameprof's panels installed, switched off or
asked by somebody who may not: a WSGI application, Django, Django with its toolbar shown,
and Flask. The counts do not depend on the machine's load.
"""

import argparse
import os
import pathlib
import shutil
import statistics
import subprocess
import sys
import tempfile

import serving
from instructions import callgrind, environment

TARGET = 1.01  # of a request of a framework
PAIRS = (
    ("a WSGI call of no work", "wsgi", "wsgi+panel", "`panel=True`, somebody who may not", False),
    ("Django", "django", "django+middleware", "`FlameprofMiddleware`, not asked", True),
    ("Django, nobody to show the toolbar to", "django", "django+panel", "`FlamegraphPanel`", True),
    ("Django, the toolbar shown, with a panel of nothing", "toolbar", "toolbar+panel",
     "`FlamegraphPanel` in its place, not ticked", True),
    ("Flask", "flask", "flask+pages", "the blueprint, paused: it notes each request", False),
)


def total(path):
    for line in path.read_text().splitlines():
        if line.startswith("summary: "):
            return int(line.split()[1])
    raise SystemExit(f"{path} has no summary")


def count(site, calls, padding):
    """Instructions of a request."""
    with tempfile.TemporaryDirectory() as folder:
        script = str(serving.HERE / "panel_sites.py")
        subprocess.run(
            [*callgrind(folder), sys.executable, "-B", script, site, str(calls)],
            env={**os.environ, **environment(padding)}, check=True, timeout=600,
        )
        parts = sorted(pathlib.Path(folder).glob("count.*"), key=lambda path: int(path.suffix[1:]))
        start, empty, full = map(total, parts[:3])
    return (full - empty) / calls


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--calls", type=int, default=200, help="of each site (200)")
    parser.add_argument("--layouts", type=int, default=3, help="of the heap (3)")
    options = parser.parse_args()
    if not shutil.which("valgrind"):
        raise SystemExit("valgrind is missing; it is in packages.txt")
    met = True
    print("| a page of | instructions without us | with | | flameprof adds | ratio |")
    print("|---|---|---|---|---|---|")
    for name, alone, ours, what, judged in PAIRS:
        counts = [
            (count(alone, options.calls, padding), count(ours, options.calls, padding))
            for padding in (1 + 331 * layout for layout in range(options.layouts))
        ]
        without = statistics.median(one for one, _ in counts)
        added = statistics.median(two - one for one, two in counts)
        ratio = 1 + added / without
        met = met and (not judged or ratio <= TARGET)
        print(f"| {name} | {without:.0f} | {without + added:.0f} | {what} | **{added:+.0f}** | {ratio:.3f} |",
              flush=True)
    print(f"\nTarget for Django: {TARGET} at most: {'met' if met else 'MISSED'}.\n")
    sys.exit(0 if met else 1)


if __name__ == "__main__":
    main()
