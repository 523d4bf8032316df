"""Turns page/ into constant bytes for svg.c: its style, and its script of many files.

usage: embed.py OUTPUT.h [OUTPUT.js]

They stand in the picture inside CDATA, without their comments and indentation, which
would be a fifth of a small one. Their hashes, which the Content-Security-Policy names,
are constants too.
"""
import base64
import hashlib
import os
import re
import sys

HERE = os.path.dirname(os.path.abspath(__file__))


# In the order in which they use each other.
SCRIPT = ["open", "text", "tree", "grouped", "layout", "time",
          "state", "change", "tip", "table", "menu", "app", "keys", "pointer", "start"]
END = b"})();\n"


def read(name):
    with open(os.path.join(HERE, "page", name), "rb") as source:
        data = source.read()
    text = data.decode("utf-8")
    for forbidden in ("]]>", "\r", "\0"):
        if forbidden in text:
            sys.exit("%s: %r cannot stand in a picture" % (name, forbidden))
    return data


def bare(data, templates=False):
    """Without lines of nothing but a comment, and without what lines begin with: no
    string of ours goes over a line's end. templates: where one does, that is as well.
    """
    text = re.sub(r"^[ ]*/\*(?:(?!\*/).)*\*/[ ]*\n|^[ ]*//[^\n]*\n|^[ ]*\n|^[ ]+", "",
                  data.decode("utf-8"), flags=re.MULTILINE | re.DOTALL)
    if "`" in text and not templates:
        sys.exit("a template may go over a line's end: %r" % text[text.index("`"):][:40])
    return text.encode("utf-8")


def c_lines(data):
    for line in data.splitlines(keepends=True):
        escaped = "".join(
            chr(byte) if 32 <= byte < 127 and chr(byte) not in '"\\?' else "\\%03o" % byte
            for byte in line
        )
        yield '    "%s"' % escaped


def constant(name, data):
    digest = base64.b64encode(hashlib.sha256(data).digest()).decode("ascii")
    yield "static const char flame_asset_%s[] =" % name
    yield "\n".join(c_lines(data)) + ";"
    yield '#define FLAME_ASSET_%s_HASH "sha256-%s"' % (name.upper(), digest)


def main():
    if len(sys.argv) not in (2, 3):
        sys.exit(__doc__)
    script = b"\n".join(read(name + ".js") for name in SCRIPT) + END
    lines = ["/* Written by renderer/picture/embed.py: edit the sources there. */"]
    lines.extend(constant("css", bare(read("page.css"))))
    lines.extend(constant("js", bare(script)))
    with open(sys.argv[1], "w", encoding="ascii") as output:
        output.write("\n".join(lines) + "\n")
    if len(sys.argv) == 3:  # for the linter
        with open(sys.argv[2], "wb") as output:
            output.write(script)


if __name__ == "__main__":
    main()
