"""``flameprof run``: a script's profile, which the script does not notice.

Python runs the script, not we: this process becomes ``python SCRIPT ARGS``, told by its
environment to begin with what is in the folder hook/, which puts the environment back and
samples from there. So nothing of ours stands below the script, in its tracebacks, in
``sys.modules["__main__"]`` or in ``sys.argv``.
"""

import marshal
import os
import re
import subprocess
import sys

import _flameprof

PACKAGE = os.path.dirname(os.path.abspath(__file__))
HOOK = os.path.join(PACKAGE, "hook")
VALUES = {
    "-o": "output",
    "--output": "output",
    "-i": "interval",
    "--interval": "interval",
    "--clock": "clock",
    "-t": "title",
    "--title": "title",
}
FLAGS = {"--lines": "lines", "--no-idle": "no_idle", "--no-progress": "no_progress"}


class Misused(Exception):
    """A sentence about the command line."""


def main(words):
    """2 or 1, with a sentence: the command line makes no sense, or it cannot be done."""
    try:
        options, target = parse(words)
        if "help" in options:
            return _flameprof.command([b"flameprof", b"--help"])
        plan = plan_of(options, target)
    except Misused as wrong:
        return complain(f"{wrong}\nTry: flameprof --help", 2)
    except FileNotFoundError:
        return complain("the current folder is not there any more", 1)
    folder = os.path.dirname(plan["path"])
    if os.path.isdir(plan["path"]) or not os.access(folder, os.W_OK | os.X_OK):
        return complain(f"{plan['shown']}: it cannot be written there", 1)
    if sys.flags.isolated or sys.flags.ignore_environment or sys.flags.no_site:
        return complain("python's -I, -E and -S leave run no way into the script", 1)
    return become(plan, target)


def complain(sentence, status):
    print(f"flameprof: {sentence}", file=sys.stderr)
    return status


# ---- the command line


def parse(words):
    """(dict of options as they were written, what is to stand behind ``python``)."""
    options = {}
    rest = list(words)
    while rest and rest[0].startswith("-") and rest[0] != "-":
        if rest[0][:2] in ("-m", "-c"):
            break
        word = rest.pop(0)
        if word == "--":
            break
        name, value = split(word)
        if word in ("-h", "--help"):
            options["help"] = True
        elif word in FLAGS:
            options[FLAGS[word]] = True
        elif name in ("-f", "--format"):
            raise Misused("run has no --format: the ending of --output FILE says it")
        elif name not in VALUES:
            raise Misused(f"no such option of run: {word}")
        elif value is None and not rest:
            raise Misused(f"a value is missing: {word}")
        else:
            options[VALUES[name]] = rest.pop(0) if value is None else value
    check_target(options, rest)
    return options, rest


def split(word):
    """("-i", "0.1") of -i0.1, ("--interval", "0.1") of --interval=0.1; None: no value."""
    if word.startswith("--"):
        name, equals, value = word.partition("=")
        return name, value if equals else None
    return word[:2], word[2:] or None


def check_target(options, target):
    if "help" in options:
        return
    if not target:
        raise Misused("a script is missing: run SCRIPT, run -m MODULE or run -c CODE")
    if target[0] in ("-m", "-c") and len(target) == 1:
        raise Misused(f"nothing stands behind {target[0]}")
    if os.path.basename(target[0]).startswith("python") and not os.path.exists(target[0]):
        raise Misused(f"the script comes without python before it: {target[0]}")


def name_of(target):
    """Of what runs: the file's, the module's. Not what it is given, which may be secret."""
    if target[0][:2] == "-m":
        return target[0][2:] or target[1]
    if target[0].startswith("-"):
        return "code" if target[0][:2] == "-c" else "stdin" if target[0] == "-" else "python"
    return os.path.basename(os.path.abspath(target[0]))


def number_of(text):
    try:
        return float(text)
    except ValueError:
        raise Misused(f"interval takes seconds, from 0.00005 to 10: {text}") from None


def plan_of(options, target):
    """What the hook is told: of types that marshal knows."""
    name = name_of(target)
    shown = options.get("output", f"{name}.svg")
    interval = number_of(options.get("interval", "0.001"))
    title = options.get("title", name).encode(errors="backslashreplace").decode()
    drawn = {"clock": options.get("clock", "wall"), "title": title}
    try:
        _flameprof.format_of(shown)
        _flameprof.Session(interval=interval, everybody=True)
        _flameprof.check_picture(**drawn)
    except ValueError as wrong:
        raise Misused(str(wrong)) from None
    return {
        "shown": shown,
        "path": os.path.abspath(shown),
        "drawn": drawn,
        "interval": interval,
        "lines": "lines" in options,
        "idle": list(_flameprof.IDLE) if "no_idle" in options else [],
        "progress": "no_progress" not in options,
        "modules": os.path.dirname(os.path.abspath(_flameprof.__file__)),
        "python_path": os.environ.get("PYTHONPATH"),
    }


# ---- the process of the script


def own_flags():
    """python's options on our own command line, such as -O, -u and -X: the script's, too."""
    if not hasattr(sys, "orig_argv"):  # before 3.10: with what the environment says as well
        return subprocess._args_from_interpreter_flags()
    flags = []
    words = iter(sys.orig_argv[1:])
    for word in words:
        if not word.startswith("-"):
            break
        if word.startswith("--"):
            flags += [word, next(words)]  # --check-hash-based-pycs
            continue
        letters, last = re.match("-([^mcWX]*)(.?)", word).groups()
        if last and last in "WX":  # the value is the rest, or the next word
            flags.append(word)
            if word.endswith(last):
                flags.append(next(words))
            continue
        if letters:
            flags.append(f"-{letters}")  # -um flameprof
        if last:
            break
    return flags


def own_environment():
    """What we were started with, and what other modules have set since."""
    environment = dict(os.environ)
    # Python sets it where the locale is C, for its children: the script's Python is to find C.
    try:
        with open("/proc/self/environ", "rb") as file:
            if not any(entry.startswith(b"LC_CTYPE=") for entry in file.read().split(b"\0")):
                environment.pop("LC_CTYPE", None)
    except OSError:
        pass
    return environment


def environment_of(plan, target):
    if not target[0].startswith("-") and not os.path.exists(target[0]):
        return own_environment()  # Python says so; a picture of that would replace one of worth
    before = plan["python_path"]
    return dict(
        own_environment(),
        PYTHONPATH=HOOK + (os.pathsep + before if before else ""),
        FLAMEPROF_RUN=marshal.dumps(plan).hex(),
    )


def become(plan, target):
    environment = environment_of(plan, target)
    try:
        os.execve(sys.executable, [sys.executable, *own_flags(), *target], environment)
    except OSError as error:
        return complain(f"{sys.executable}: {error.strerror}", 1)
