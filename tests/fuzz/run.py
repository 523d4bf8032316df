"""Runs libFuzzer's targets one after the other, and counts what they executed in all.

    run.py --seconds S | --runs N | --merge TARGET...

Time and runs are shared equally. Each target starts from its corpus here; what it finds
that is new goes to a folder `found` beside the program, and --merge puts the fewest inputs
of both that reach all of the code that both do into the corpus. Input that breaks a target
is kept in `found`, too, under a name that begins with the target's. Ends with 1 if there
was any.
"""

import argparse
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile

CORPUS = pathlib.Path(__file__).resolve().parent / "corpus"
OPTIONS = {"query": ["-max_len=512"], "names": ["-max_len=1024"]}
LIMITS = ["-max_len=4096", "-timeout=20", "-rss_limit_mb=2048"]


def found_folder(target):
    folder = target.parent / "found" / target.name
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def command(target, *more):
    return [str(target), *LIMITS, *OPTIONS.get(target.name, []), *more]


def fuzz(target, limit):
    """(how many inputs were executed, whether nothing broke)"""
    found = found_folder(target)
    result = subprocess.run(
        command(target, limit, "-verbosity=1", "-print_final_stats=1",
                f"-artifact_prefix={found.parent}/{target.name}-",
                str(found), str(CORPUS / target.name)),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
    )  # fmt: skip
    said = result.stderr.decode("utf-8", "replace")
    counts = re.findall(r"^stat::number_of_executed_units:\s+(\d+)", said, re.M)
    executed = int(counts[-1]) if counts else 0
    well = result.returncode == 0 and executed > 0
    print(f"fuzz {target.name}: {executed} executions{'' if well else ', BROKEN'}", flush=True)
    if not well:
        print(said[-6000:], flush=True)
    return executed, well


def merge(target):
    """The corpus and what was found, without what reaches no further code."""
    corpus = CORPUS / target.name
    corpus.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        subprocess.run(
            command(target, "-set_cover_merge=1", "-use_counters=0", folder, str(corpus),
                    str(found_folder(target))),
            stderr=subprocess.DEVNULL,
            check=True,
        )  # fmt: skip
        kept = {path.name: path for path in pathlib.Path(folder).iterdir()}
        for path in corpus.iterdir():
            if path.name not in kept:
                path.unlink()
        for name, path in kept.items():
            shutil.copy(path, corpus / name)
    print(f"merge {target.name}: {len(kept)} inputs")


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    what = parser.add_mutually_exclusive_group(required=True)
    what.add_argument("--seconds", type=int, help="in all")
    what.add_argument("--runs", type=int, help="in all")
    what.add_argument("--merge", action="store_true")
    parser.add_argument("targets", nargs="+", type=pathlib.Path)
    options = parser.parse_args()
    if options.merge:
        for target in options.targets:
            merge(target)
        return 0
    name, whole = ("runs", options.runs) if options.runs else ("max_total_time", options.seconds)
    limit = f"-{name}={-(-whole // len(options.targets))}"
    done = [fuzz(target.resolve(), limit) for target in options.targets]
    print(f"fuzz: {sum(executed for executed, _ in done)} executions in all")
    return 0 if all(well for _, well in done) else 1


if __name__ == "__main__":
    sys.exit(main())
