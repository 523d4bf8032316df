"""Everything can be reached: without a mouse, with a finger, on small and on huge
screens, and on paper."""
import base64
import os
import subprocess
import sys
import tempfile
import unittest

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import pictures  # noqa: E402
from pictures import (  # noqa: E402
    ARROW_DOWN, ARROW_LEFT, ARROW_RIGHT, ARROW_UP, ENTER, ESCAPE, SHIFT, SPACE, TAB,
)

FOCUS = """(e => !e || e === document.documentElement || e === document.body ? '' :
    e.getAttribute('aria-label') || e.textContent)(document.activeElement)"""
FRAME = """(c => c.hasAttribute('aria-activedescendant') ?
    document.getElementById(c.getAttribute('aria-activedescendant'))
    .getAttribute('aria-label').replace(/, [^,]*, [^,]*$/, '') : '')
    (document.querySelector('.canvas'))"""
HASH = "location.hash"


class Keyboard(pictures.PictureCase):
    def focus(self):
        return self.browser.script(FOCUS)

    def frame(self):
        return self.browser.script(FRAME)

    def press(self, *keys):
        for key in keys:
            self.browser.key(key)

    def reach(self, label):
        """Tab as often as it takes."""
        for _ in range(40):
            if self.focus() == label:
                return
            self.press(TAB)
        self.fail("Tab does not come to %r" % label)

    def test_tab_goes_as_one_reads(self):
        self.open("/profile.svg")
        places = []
        for _ in range(30):
            self.press(TAB)
            if self.focus() in places or not self.focus():
                break
            places.append(self.focus())
        self.assertEqual(
            places,
            ["Search functions and files", "Regular expression", "Flame graph", "Callers",
             "Time order", "Table", "Wall", "CPU", "Off CPU", "GIL wait", "Root on top",
             "Save SVG", "Save folded", "Help", "Flame graph"][: len(places)],
        )
        self.assertGreaterEqual(len(places), 14)
        self.browser.key(SHIFT, TAB)
        self.assertEqual(self.focus(), "Help")

    def test_focus_can_be_seen(self):
        for label in ("Search functions and files", "Callers", "Help"):
            self.reach(label)
            outline = self.browser.script("getComputedStyle(document.activeElement).outlineStyle")
            self.assertEqual(outline, "solid", label)

    def test_focus_stays_where_something_was_pressed(self):
        self.open("/profile.svg")
        for label in ("Callers", "CPU", "Regular expression"):
            self.reach(label)
            self.press(ENTER)
            self.assertEqual(self.focus(), label)
        self.reach("Table")
        self.press(SPACE)
        self.reach("Total")
        self.press(ENTER)
        self.assertEqual(self.focus(), "Total")
        sort = "document.activeElement.parentNode.getAttribute('aria-sort')"
        self.assertEqual(self.browser.script(sort), "descending")
        self.press(ENTER)
        self.assertEqual(self.browser.script(sort), "ascending")

    def test_focus_goes_to_the_graph_when_a_button_vanishes(self):
        self.browser.script("location.hash = 'edits=recursion&zoom=1'")
        for label in ("Undo", "Reset zoom"):
            self.open("/a.svg#edits=recursion&zoom=1")
            self.reach(label)
            self.press(ENTER)
            self.assertEqual(self.focus(), "Flame graph")

    def test_arrows_go_where_they_look(self):
        """In every view that draws frames, with the root below and above."""
        for view in ("", "view=callers", "view=time", "view=sandwich&fn=%d"):
            for key, back, turned in ((ARROW_UP, ARROW_DOWN, "0"), (ARROW_DOWN, ARROW_UP, "1")):
                with self.subTest(view=view, turned=turned):
                    self.open("/profile.svg#" + (view % 2 if "%" in view else view)
                              + "&icicle=" + turned)
                    self.browser.script("document.querySelector('.canvas').focus()")
                    self.press(key)
                    first = self.place()
                    self.press(key)
                    second = self.place()
                    if "sandwich" not in view:
                        self.assertNotEqual(second, first)
                    self.assertEqual(self.browser.script(
                        "document.activeElement.classList.contains('canvas')"), True)
                    if second != first:
                        self.assertEqual(second < first, key == ARROW_UP)
                        self.press(back)
                        self.assertEqual(self.place(), first)

    def place(self):
        return self.browser.script(
            "document.querySelector('#flame-graph .focus rect').getBoundingClientRect().top"
            " + document.querySelector('.scroller').scrollTop"
        )

    def test_one_function_has_callers_above(self):
        self.open("/a.svg#view=table")
        self.reach("Total")
        self.press(ENTER)
        self.reach("needle")
        self.press(ENTER)
        self.assertEqual(self.focus(), "One function")
        self.press(ARROW_DOWN)
        self.assertEqual(self.frame(), "needle")
        self.press(ARROW_UP)
        self.assertEqual(self.frame(), "main")
        self.press(ARROW_DOWN, ARROW_DOWN)
        self.assertEqual(self.frame(), "<img src=x onerror=alert(1)>")

    def test_zoom_and_crumbs(self):
        self.reach("Root on top")
        self.browser.script("document.querySelector('.canvas').focus()")
        self.press(ARROW_UP, ARROW_UP, ARROW_UP, ARROW_RIGHT)
        self.assertEqual(self.frame(), "needle")
        self.press(ENTER)
        self.assertIn("zoom=", self.browser.script(HASH))
        self.press(ARROW_UP)
        self.assertEqual(self.frame(), "needle")
        self.browser.script("document.querySelector('.tools input').focus()")
        self.reach("main")  # of the breadcrumb
        self.press(ENTER)
        self.assertEqual(self.focus(), "Flame graph")
        self.assertIn("fast", self.frames())

    def test_search_and_its_matches(self):
        self.press("/")
        for letter in "needle":
            self.press(letter)
        self.assertEqual(self.share(), "14.00 % matched")
        self.press(ENTER)
        self.assertEqual(self.frame(), "needle")
        self.press("n")
        self.assertEqual(self.frame(), "needle_inner")
        self.press("N")
        self.assertEqual(self.frame(), "needle")
        self.press(ENTER)
        self.assertIn("zoom=", self.browser.script(HASH))
        self.press(ESCAPE, ESCAPE)
        self.assertEqual(self.browser.script(HASH), "")

    def test_menu(self):
        self.browser.script("document.querySelector('.canvas').focus()")
        self.press(ARROW_UP, ARROW_UP, "m")
        self.assertEqual(self.focus(), "Zoom")
        self.press(ARROW_DOWN, ARROW_UP, ARROW_UP)
        self.assertTrue(self.focus().startswith("Open in "))
        self.press(ESCAPE)
        self.assertEqual(self.focus(), "Flame graph")
        self.press(ARROW_UP, ARROW_UP, "m", ARROW_DOWN, ARROW_DOWN, ARROW_DOWN)
        self.assertEqual(self.focus(), "Hide this function")
        self.press(ENTER)
        self.assertNotIn("main", self.frames())
        self.press("u")
        self.assertIn("main", self.frames())

    def test_help(self):
        self.press("?")
        self.assertEqual(self.focus(), "Close")
        self.assertIn("Escape", self.text(".help"))
        self.press(ESCAPE)
        self.assertFalse(self.browser.script("document.querySelector('.help').open"))
        self.reach("Help")
        self.press(ENTER, ENTER)
        self.assertFalse(self.browser.script("document.querySelector('.help').open"))
        self.assertEqual(self.focus(), "Help")

    def test_a_range_of_time(self):
        """Of 600 ms, to where a frame ends, and from where its neighbour begins."""
        self.open("/profile.svg#view=time")
        self.browser.script("document.querySelector('.canvas').focus()")
        self.press(ARROW_UP, ARROW_UP, ARROW_UP, ARROW_UP, "]")
        self.assertRegex(self.text(".crumbs"), r"^all of 600.0 ms › 0 ns to \d+\.\d ms$")
        self.press(ESCAPE)
        self.assertNotIn("range", self.browser.script(HASH))
        self.press(ARROW_UP, ARROW_UP, ARROW_UP, ARROW_UP, ARROW_RIGHT, "[")
        self.assertRegex(self.text(".crumbs"), r"^all of 600.0 ms › \d+\.\d ms to 600.0 ms$")

    def test_views_and_clocks(self):
        self.open("/profile.svg")
        for view in ("callers", "time", "table"):
            self.press("v")
            self.assertIn("view=" + view, self.browser.script(HASH))
        self.press("v", "c", "f")
        self.assertEqual(self.browser.script(HASH), "#clock=cpu&icicle=1")


class Touch(pictures.PictureCase):
    def setUp(self):
        super().setUp()
        self.browser.devtools("Emulation.setTouchEmulationEnabled", enabled=True)

    def touch(self, label, seconds=0.0):
        x, y, width = self.frames()[label]
        self.browser.touch(x + width / 2, y + 8, seconds)

    def test_a_tap_zooms(self):
        self.touch("slow")
        self.assertNotIn("fast", self.frames())

    def test_a_long_press_opens_the_menu(self):
        self.touch("slow", 0.8)
        self.assertFalse(self.browser.script("document.querySelector('.menu').hidden"))
        self.assertEqual(self.browser.script(HASH), "")
        self.choose("Hide this function")
        self.assertNotIn("slow", self.frames())


class Screens(pictures.PictureCase):
    """Nothing stands over something else or beside the screen."""

    def overlaps(self):
        """What of the head and of the foot is in another's place, or not in sight."""
        return self.browser.script(
            """(() => {
            const seen = (e) => e.getClientRects().length && e.tagName !== 'OPTION';
            const list = [...document.querySelectorAll('.ui h1, .ui p, .ui button, .ui input,'
              + '.ui output, .notes > span, .scroller')].filter(seen);
            const box = (e) => e.getBoundingClientRect();
            const wrong = [];
            list.forEach((a, i) => {
              const r = box(a);
              if (r.width && (r.left < -0.5 || r.right > innerWidth + 0.5 || r.top < -0.5 ||
                  r.bottom > innerHeight + 0.5)) wrong.push(a.textContent + ' is out of sight');
              for (const b of list.slice(i + 1)) {
                const o = box(b);
                if (Math.min(r.right, o.right) - Math.max(r.left, o.left) > 1.5 &&
                    Math.min(r.bottom, o.bottom) - Math.max(r.top, o.top) > 1.5) {
                  wrong.push(a.textContent + ' is over ' + b.textContent);
                }
              }
            });
            for (const g of document.querySelectorAll('#flame-graph g')) {
              const text = g.querySelector('text');
              if (g.style.display === 'none' || !text || !text.textContent) continue;
              if (box(text).right > box(g.querySelector('rect')).right + 0.5) {
                wrong.push(text.textContent + ' is wider than its frame');
              }
            }
            return wrong;
            })()"""
        )

    def test_widths(self):
        for width in (320, 360, 480, 768, 1280, 2560, 7680):
            for scale in (1, 2) if width <= 1280 else (1,):
                for view in ("", "#view=time", "#view=callers", "#view=table", "#zoom=3&search=e"):
                    with self.subTest(width=width, scale=scale, view=view):
                        self.browser.screen(width, 720, scale, mobile=False)
                        self.open("/profile.svg" + view)
                        self.assertEqual(self.overlaps(), [])
                        if not view:
                            self.shoot("screen-%d-%d" % (width, scale))

    def test_one_row_of_buttons(self):
        """Also in a JupyterLab that is 1280 wide."""
        self.browser.screen(826, 506)
        self.open("/profile.svg")
        tops = self.browser.script("[...document.querySelectorAll('.choices button')]"
                                   ".filter((e) => e.getClientRects().length)"
                                   ".map((e) => Math.round(e.getBoundingClientRect().top))")
        self.assertEqual((len(tops), len(set(tops))), (12, 1))

    def test_room_for_the_graph(self):
        """On a phone the head leaves more than half of it."""
        for width, height in ((320, 640), (360, 740)):
            self.browser.screen(width, height)
            self.open("/profile.svg")
            room = self.browser.script("document.querySelector('.scroller').clientHeight")
            self.assertGreater(room, height / 2)

    def test_a_resize_keeps_the_distance_from_the_root(self):
        self.server.pages["/deep.svg"] = pictures.render(";".join("f%d" % n for n in range(90)) + " 1000\n")
        bottom = "document.querySelector('.scroller').getBoundingClientRect().bottom"
        for away in (0, 200):
            self.browser.screen(1280, 720)
            self.open("/deep.svg")
            self.browser.run("document.querySelector('.scroller').scrollBy(0, -%d)" % away)
            for height in (720, 400, 1000):
                with self.subTest(away=away, height=height):
                    self.browser.screen(1280, height)
                    self.browser.wait_for("innerHeight === %d" % height)
                    root = max(top for _, top, _ in self.frames().values())
                    self.assertAlmostEqual(self.browser.script(bottom) + away - root, 22, delta=5)

    def test_help_and_menu_fit(self):
        self.browser.screen(320, 480)
        self.open("/profile.svg")
        self.browser.key("?")
        inside = (
            "(r => r.left >= 0 && r.top >= 0 && r.right <= innerWidth && r.bottom <= innerHeight)"
            "(document.querySelector('%s').getBoundingClientRect())"
        )
        self.assertTrue(self.browser.script(inside % ".help"))
        self.browser.key(ESCAPE)
        self.browser.script("document.querySelector('.canvas').focus()")
        for key in (ARROW_UP, ARROW_UP, "m"):
            self.browser.key(key)
        self.assertTrue(self.browser.script(inside % ".menu"))

    def test_less_motion(self):
        """Nothing moves for those who have asked for that."""
        self.browser.emulate(prefers_reduced_motion="reduce")
        moving = """[...document.querySelectorAll('*')].filter((e) => (s =>
            s.animationName !== 'none' || parseFloat(s.transitionDuration) > 0)
            (getComputedStyle(e))).length"""
        self.assertEqual(self.browser.script(moving), 0)

    def test_paper(self):
        """One sheet, with all of a graph that is higher than the window; no buttons."""
        self.browser.screen(1280, 300)
        self.open("/profile.svg")
        printed = self.browser.devtools("Page.printToPDF", landscape=True)["data"]
        with tempfile.NamedTemporaryFile(suffix=".pdf") as file:
            file.write(base64.b64decode(printed))
            file.flush()
            text = subprocess.run(
                ("pdftotext", "-layout", file.name, "-"), stdout=subprocess.PIPE, check=True
            ).stdout.decode()
        self.assertEqual(text.count("\f"), 1)
        for part in (self.text("h1"), "[request]", "application", "Template.render"):
            self.assertIn(part, text)
        self.assertNotRegex(text, "Save|Reset zoom")
        self.assertEqual(self.browser.script("document.documentElement.hasAttribute('viewBox')"),
                         False)


if __name__ == "__main__":
    unittest.main()
