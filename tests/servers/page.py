"""docs/servers.md taken apart: what each section would have its reader write and type."""

import pathlib
import re
import textwrap

ROOT = pathlib.Path(__file__).resolve().parents[2]
TEXT = (ROOT / "docs" / "servers.md").read_text(encoding="utf-8")
FENCED = re.compile(r"^( *)```(\w+)\n(.*?)^ *```", re.M | re.S)


class Section:
    """Of a title; None: what stands before the first one."""

    def __init__(self, title=None):
        parts = re.split(r"^## (.*)\n", TEXT, flags=re.M)
        titled = dict(zip([None, *parts[1::2]], parts[::2]))
        self.text = titled[title]

    def blocks(self, language):
        """Fenced code, as it stands."""
        return [textwrap.dedent(code) for _, its, code in FENCED.findall(self.text)
                if its == language]

    def commands(self):
        """Each line that is to be typed."""
        return re.findall(r"^    (\S.*)$", FENCED.sub("", self.text), re.M)

    def of_row(self, first):
        """The code in the table's row that begins with this."""
        return re.search(rf"^\| {re.escape(first)} \|.*?`([^`]+)`", self.text, re.M).group(1)


APP, SERVED = Section().blocks("python")
