"""What every test of the tree asks: where it is, what belongs to it."""

import os
import pathlib
import subprocess

ROOT = pathlib.Path(__file__).resolve().parents[2]
BUILD = pathlib.Path(os.environ.get("BUILD", "build"))
if not BUILD.is_absolute():
    BUILD = ROOT / BUILD


def tracked(*patterns):
    """The tracked files that match; a tarball without git is walked instead."""
    git = subprocess.run(
        ["git", "-c", f"safe.directory={ROOT}", "-C", str(ROOT), "ls-files", "-z", "--", *patterns],
        capture_output=True,
        check=True,
    )
    names = git.stdout.decode().split("\0")
    return [ROOT / name for name in names if name and (ROOT / name).is_file()]


def sources(*folders):
    """The tracked C files and headers of these top folders."""
    return [
        path
        for path in tracked("*.c", "*.h")
        if path.relative_to(ROOT).parts[0] in folders
    ]
