"""No rule of axe-core (WCAG 2 A and AA, best practices) is broken, in any view, light or
dark; and labels can be read on every colour, which axe cannot tell of an SVG.

AXE is the path of axe.min.js, which `make test-axe` fetches where it can."""
import json
import os
import pathlib
import re
import subprocess
import sys
import unittest

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import pictures  # noqa: E402

STYLE = pathlib.Path(__file__).parents[2] / "renderer/picture/page/page.css"
AXE = os.environ.get("AXE", "")
# Both need document.body, which an SVG has not: the page (format html) has it.
HTML_ONLY = {"color-contrast", "label-content-name-mismatch"}
CONTRAST = 4.5  # of WCAG's AA
VIEWS = {
    "flame graph": "",
    "zoomed": "#zoom=2",
    "searched": "#search=e",
    "callers": "#view=callers",
    "one function": "#view=sandwich&fn=1",
    "time order": "#view=time",
    "a range of it": "#view=time&range=100000-300000",
    "table": "#view=table",
    "changed": "#edits=hide-1",
}


def luminance(colour):
    parts = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    linear = [p / 12.92 if p <= 0.04045 else ((p + 0.055) / 1.055) ** 2.4 for p in parts]
    return sum(weight * p for weight, p in zip((0.2126, 0.7152, 0.0722), linear))


def contrast(*colours):
    low, high = sorted(map(luminance, colours))
    return (high + 0.05) / (low + 0.05)


def over(colour, paper, opacity):
    """How that looks on the paper, as #rrggbb."""
    mixed = [
        round(int(colour[i : i + 2], 16) * opacity + int(paper[i : i + 2], 16) * (1 - opacity))
        for i in (1, 3, 5)
    ]
    return "#%02x%02x%02x" % tuple(mixed)


class Labels(unittest.TestCase):
    def check(self, ink, paper, fills):
        self.assertGreater(len(fills), 40)
        for name, fill in fills.items():
            for opacity in (1, 0.45):  # of ancestors, and of what is not found
                with self.subTest(colour=name, opacity=opacity):
                    self.assertGreaterEqual(contrast(ink, over(fill, paper, opacity)), CONTRAST)

    def test_light(self):
        rules = STYLE.read_text().split("@media (prefers-color-scheme")[0]
        fills = dict(re.findall(r"\.([cd]\d+) \{ fill: (#\w{6})", rules))
        hit = re.search(r"\.hit rect \{ fill-opacity: 1; fill: (#\w{6})", rules).group(1)
        self.check("#33261c", "#fffdfb", {**fills, "hit": hit})

    def test_dark(self):
        rules = STYLE.read_text().split("@media (prefers-color-scheme")[1]
        fills = dict(re.findall(r"\.([cd]\d+) \{ fill: (#\w{6})", rules))
        hit = re.search(r"\.hit rect \{ fill: (#\w{6})", rules).group(1)
        ink = re.search(r"#flame-graph \{ fill: (#\w{6})", rules).group(1)
        self.check(ink, "#1d1b1a", {**fills, "hit": hit})


@unittest.skipUnless(os.path.exists(AXE), "no axe-core")
class Axe(pictures.PictureCase):
    @staticmethod
    def pictures():
        page = subprocess.run(
            (pictures.FLAMEPROF, "render", "-f", "html", "-t", "GET /"),
            input=pictures.example().encode(),
            stdout=subprocess.PIPE,
            check=True,
        ).stdout
        data = rb'(application/json">).*?(</script>)'
        of_profile = re.search(data, pictures.profile(), re.DOTALL).group()
        return {
            "/profile.html": re.sub(data, lambda _: of_profile, page, count=1, flags=re.DOTALL),
            **pictures.PictureCase.pictures(),
        }

    def check(self, path):
        """`path` is open: what axe has found."""
        if not self.browser.script("'axe' in window"):
            self.browser.run(pathlib.Path(AXE).read_text())
        found = self.browser.promise(
            "axe.run(document, {resultTypes: ['violations']}).then((found) => ({"
            "passed: found.passes.length, violations: found.violations.map((rule) => "
            "[rule.id, rule.nodes.map((node) => [node.html, node.failureSummary])]),"
            "errors: found.incomplete.filter((rule) => rule.nodes.some((node) => "
            "node.none.concat(node.any, node.all).some((check) => check.id === "
            "'error-occurred'))).map((rule) => rule.id)}))"
        )
        self.assertIsInstance(found, dict, found)
        self.assertEqual(json.dumps(found["violations"], indent=1), "[]")
        self.assertLessEqual(set(found["errors"]), set() if "html" in path else HTML_ONLY)
        self.assertGreater(found["passed"], 10)

    def test_every_view(self):
        for path in ("/profile.svg", "/profile.html"):
            for colours in ("light", "dark"):
                self.browser.emulate(prefers_color_scheme=colours)
                for name, address in VIEWS.items():
                    with self.subTest(path=path, colours=colours, view=name):
                        self.open(path + address)
                        self.check(path)

    def test_what_opens(self):
        for path in ("/profile.svg", "/profile.html"):
            for colours in ("light", "dark"):
                self.browser.emulate(prefers_color_scheme=colours)
                with self.subTest(path=path, colours=colours, open="help"):
                    self.open(path)
                    self.browser.key("?")
                    self.check(path)
                with self.subTest(path=path, colours=colours, open="menu and tooltip"):
                    self.open(path)
                    self.browser.script("document.querySelector('.canvas').focus()")
                    for key in (pictures.ARROW_UP, "m"):
                        self.browser.key(key)
                    self.assertFalse(self.browser.script("document.querySelector('.menu').hidden"))
                    self.check(path)

    def test_difference(self):
        for view in ("", "#view=table"):
            for colours in ("light", "dark"):
                self.browser.emulate(prefers_color_scheme=colours)
                with self.subTest(colours=colours, view=view):
                    self.open("/change.svg" + view)
                    self.check("/change.svg")


if __name__ == "__main__":
    if not os.path.exists(AXE):
        print("SKIPPED: there is no axe-core (npm), nobody has looked at roles and names")
    unittest.main()
