"""docs/install.md, and a copy of the sources to follow it in."""

import os
import pathlib
import re
import shutil
import subprocess
import sys
import sysconfig

ROOT = pathlib.Path(__file__).resolve().parents[2]
BUILD = ROOT / os.environ.get("BUILD", "build")
VERSION = (ROOT / "VERSION").read_text().strip()
PAGE = (ROOT / "docs" / "install.md").read_text(encoding="utf-8")

# pip without the network: what builds is Debian's.
OFFLINE = {"PIP_NO_INDEX": "1", "PIP_NO_BUILD_ISOLATION": "no"}


def section(title):
    """Of the page, up to the next heading."""
    return re.search(rf"^## {re.escape(title)}\n(.*?)(?=^## |\Z)", PAGE, re.M | re.S).group(1)


def commands(title):
    return re.findall(r"^    (\S.*)$", section(title), re.M)


def tracked():
    """The tracked files' names, from the repository's root."""
    git = ["git", "-c", f"safe.directory={ROOT}", "-C", str(ROOT), "ls-files", "-z"]
    names = subprocess.run(git, stdout=subprocess.PIPE, check=True).stdout.decode().split("\0")
    return [name for name in names if name and (ROOT / name).is_file()]


def copy_sources(folder):
    """The tracked files, and what make has compiled of them, where setup.py's make looks."""
    for name in tracked():
        if not name.startswith("tests/"):
            target = folder / name
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, target)
    temporary = f"temp.{sysconfig.get_platform()}-{sys.implementation.cache_tag}"
    shutil.copytree(BUILD / "obj", folder / "build" / temporary / "obj",
                    ignore=shutil.ignore_patterns("tests", "*.d"))


def run(command, folder, environment=(), patience=300):
    """The exit code of a line of shell, and all that it said."""
    path = os.pathsep.join([os.path.dirname(sys.executable), os.environ["PATH"]])
    kept = {name: value for name, value in os.environ.items()
            if name not in ("BUILD", "PYTHONPATH", "MAKEFLAGS", "MAKELEVEL", "MFLAGS")}
    done = subprocess.run(
        ["sh", "-c", command], cwd=folder, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT, timeout=patience,
        env={**kept, "PATH": path, "PIP_DISABLE_PIP_VERSION_CHECK": "1",
             "PIP_ROOT_USER_ACTION": "ignore", **dict(environment)},
    )
    return done.returncode, done.stdout.decode(errors="replace")
