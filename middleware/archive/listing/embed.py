"""Turns listing.css into constant bytes for listing.c.

usage: embed.py OUTPUT.h
"""
import pathlib
import sys

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent.parent.parent / "renderer" / "picture"))

from embed import bare, constant  # noqa: E402 (its folder is known only now)


def main():
    style = bare((HERE / "listing.css").read_bytes())
    if b"</" in style:
        sys.exit("listing.css: '</' cannot stand in a page's style")
    lines = ["/* Written by middleware/archive/listing/embed.py: edit listing.css. */"]
    lines.extend(constant("listing", style))
    pathlib.Path(sys.argv[1]).write_text("\n".join(lines) + "\n", encoding="ascii")


main()
