"""Runs real CPython with a sanitizer over our extension, and judges its reports.

    run.py thread|address PACKAGE [--seconds N] [--seed N]

PACKAGE: the directory of a build made for it; CC says whose runtime libraries to
load. First the faults of planted.c have to be found, then the workload must leave no
report. Reports of what exempt.txt lists do not count. 0: none; 1: some, printed.
"""

import argparse
import os
import pathlib
import re
import subprocess
import sys
import tempfile

HERE = pathlib.Path(__file__).resolve().parent
EXEMPT = HERE / "exempt.txt"
KINDS = {
    # a report's first line, what planted.c must yield, the runtime's name and options
    "thread": {
        "planted": ["data race"],
        "library": "libtsan.so",
        "TSAN_OPTIONS": "suppressions=%s:history_size=7:die_after_fork=0" % EXEMPT,
    },
    "address": {
        "planted": ["heap-buffer-overflow", "signed integer overflow"],
        "library": "libasan.so",
        # CPython keeps much until it ends. The guard's faults are meant.
        "ASAN_OPTIONS": "detect_leaks=0:handle_segv=0:handle_sigbus=0:halt_on_error=0",
        "UBSAN_OPTIONS": "print_stacktrace=1",
    },
}
# The status says nothing: forked children have it from the sanitizer, too.
DONE = "done\n"
OURS = "(_flameprof."
REPORT = re.compile(
    r"^.*(?:WARNING: ThreadSanitizer: |ERROR: AddressSanitizer: |Sanitizer: CHECK failed"
    r"|FATAL: |: runtime error: )",
    re.M,
)
FRAME = re.compile(r"^\s*#0 \S+(?: in)? (\S+) ", re.M)


def exempted():
    """Names of functions, as patterns."""
    lines = EXEMPT.read_text().splitlines()
    names = [line.split(":", 1)[1] for line in lines if line.startswith("race_top:")]
    return re.compile("|".join(names))


def reports(text):
    starts = [found.start() for found in REPORT.finditer(text)] + [len(text)]
    return [text[begin:end].rstrip() for begin, end in zip(starts, starts[1:])]


def counts(kind, report):
    """Not CPython's own, nor what is exempted."""
    if "ThreadSanitizer: data race" in report:
        # It has left out itself what is exempted, but where it could not restore the
        # stack of one access; all that is left then is CPython writing its memory.
        accesses = re.split(r"\n\n  (?!Previous)", report)[0]
        return "failed to restore the stack" not in accesses or OURS in accesses
    if "AddressSanitizer: " in report:
        top = FRAME.search(report)
        return top is None or exempted().match(top.group(1)) is None
    return True


def runtime(library):
    compiler = os.environ.get("CC", "gcc")
    path = subprocess.run(
        [compiler, "-print-file-name=" + library], capture_output=True, text=True, check=True
    ).stdout.strip()
    if not os.path.isabs(path):
        sys.exit("%s has no %s" % (compiler, library))
    return path


def run(kind, package, *arguments):
    """(what it printed, reports that count) of one run of the workload."""
    # greenlet throws, and what throws has to be there when the runtime looks for it.
    preload = " ".join(map(runtime, [KINDS[kind]["library"], "libstdc++.so.6"]))
    with tempfile.TemporaryDirectory() as directory:
        logs = pathlib.Path(directory)
        environment = dict(os.environ, PYTHONPATH=package, LD_PRELOAD=preload)
        for name in ("TSAN_OPTIONS", "ASAN_OPTIONS", "UBSAN_OPTIONS"):
            options = [KINDS[kind].get(name, ""), "exitcode=0", "log_path=%s/log" % logs]
            environment[name] = ":".join(filter(None, options))
        ended = subprocess.run(
            [sys.executable, "-B", str(HERE / "workload.py"), kind, *arguments],
            env=environment,
            timeout=300,
            capture_output=True,
            text=True,
            errors="replace",
        )
        texts = [path.read_text(errors="replace") for path in sorted(logs.iterdir())]
    if not ended.stdout.endswith(DONE):
        print(ended.stderr)
    # UBSan's go there beside AddressSanitizer, whatever its options say.
    found = reports("\n".join(texts + [ended.stderr]))
    return ended.stdout, [report for report in found if counts(kind, report)]


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("kind", choices=sorted(KINDS))
    parser.add_argument("package")
    parser.add_argument("--seconds", type=float, default=25)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    found = "\n".join(run(options.kind, options.package, "planted")[1])
    missing = [what for what in KINDS[options.kind]["planted"] if what not in found]
    if missing:
        print("%s: not found where it was planted: %s" % (options.kind, ", ".join(missing)))
        return 1
    print("%s: finds what was planted" % options.kind)
    print("%g s with seed %d:" % (options.seconds, options.seed), flush=True)
    said, ours = run(options.kind, options.package, str(options.seconds), str(options.seed))
    print(said)
    for report in ours:
        print(report, end="\n\n")
    print("%s: %d reports" % (options.kind, len(ours)))
    if not said.endswith(DONE):
        print("%s: the workload did not come to its end" % options.kind)
    return 1 if ours or not said.endswith(DONE) else 0


if __name__ == "__main__":
    sys.exit(main())
