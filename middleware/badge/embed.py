"""Turns badge.js into constant bytes for badge.c.

usage: embed.py OUTPUT.h
"""
import pathlib
import sys

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent.parent / "renderer" / "picture"))

from embed import bare, constant  # noqa: E402 (its folder is known only now)


def main():
    script = bare((HERE / "badge.js").read_bytes(), templates=True)
    for forbidden in (b"</", b"<!"):
        if forbidden in script:
            sys.exit("badge.js: %r cannot stand in a page's script" % forbidden)
    lines = ["/* Written by middleware/badge/embed.py: edit badge.js. */"]
    lines.extend(constant("badge", script))
    pathlib.Path(sys.argv[1]).write_text("\n".join(lines) + "\n", encoding="ascii")


main()
