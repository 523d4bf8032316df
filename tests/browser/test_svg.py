"""The interactive picture: what every view shows, and what the reader can do."""
import json
import os
import sys
import time
import unittest
import xml.etree.ElementTree

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import pictures  # noqa: E402
from pictures import ARROW_DOWN, ARROW_RIGHT, ARROW_UP, ENTER, ESCAPE  # noqa: E402


class Picture(pictures.PictureCase):
    @staticmethod
    def pictures():
        deep = ";".join("f%d" % (i % 7) for i in range(100000)) + " 5\n"
        chosen = pictures.render(pictures.example(), "--callers", "--inverted", "--smallest",
                                 "20", "--colours", "warm")
        many = "".join("s%d;" % i + "f;" * 3 + "g %d\n" % (30 + i % 30)
                       for i in range(800))
        modules = "".join(f"<module> (/srv/shop/__init__.py:1);<module> ({path}:1) {weight}\n"
                          for path, weight in (("/srv/shop/a.py", 70), ("<string>", 24),
                                               ("/srv/shop/narrow.py", 6)))
        return {"/deep.svg": pictures.render(deep), "/chosen.svg": chosen,
                "/modules.svg": pictures.render(modules),
                "/ordered.svg": pictures.render(Picture.ordered()),
                "/many.svg": pictures.render(many),
                "/all.svg": pictures.render(many, "--smallest", "1"), **pictures.PictureCase.pictures()}

    @staticmethod
    def ordered():
        """A profile that was at two hundred deep places by turns, five hundred times."""
        stacks = "".join("a%d;" % i + "f;" * 18 + "g 1\n" for i in range(200))
        profile = json.loads(pictures.render(stacks, "-f", "json"))
        leaves = [i for i, own in enumerate(profile["places"]["self"]) if own]
        profile["stretches"] = {"place": [leaves[i * 7 % 200] for i in range(500)],
                                "microseconds": [2] * 500}
        return json.dumps(profile)

    def test_first_view_is_the_static_one(self):
        frames = self.frames()
        self.shoot("first")
        self.assertAlmostEqual(frames["fast"][2] / frames["[all]"][2], 0.5, delta=0.002)
        self.assertEqual(frames["[all]"][0], 16)
        self.assertGreater(frames["[all]"][1], frames["main"][1])
        self.assertNotIn("needle0", frames)
        self.assertIn("4,000 frames too narrow to draw", self.notes())
        self.assertIn("40.00 %", self.notes())

    def test_a_module_says_its_file(self):
        self.open("/modules.svg")
        whole = {"[all]", "<module> shop/__init__.py", "<module> a.py", "<module> <string>"}
        labels = set(self.frames())
        self.assertLessEqual(whole, labels)
        [narrow] = labels - whole
        self.assertRegex(narrow, "^<mod.*…$")
        said = ("[...document.querySelectorAll('#flame-graph rect')]"
                ".map(r => r.getAttribute('aria-label'))")
        patience = time.monotonic() + 10  # they are named after they are drawn
        while None in self.browser.script(said):
            self.assertLess(time.monotonic(), patience)
        self.assertIn("<module> a.py, 70.00 µs, 70.00 %", self.browser.script(said))

    def test_zoom_and_reset(self):
        wide = self.frames()["[all]"][2]
        before = self.frames()["slow"][1]
        self.point("slow", click=True)
        self.shoot("zoomed")
        frames = self.frames()
        self.assertAlmostEqual(frames["slow"][2], wide, delta=0.1)
        self.assertAlmostEqual(frames["main"][2], wide, delta=0.1)
        self.assertAlmostEqual(frames["slow"][1], before, delta=1)
        self.assertNotIn("fast", frames)
        self.assertIn("zoom=", self.browser.script("location.hash"))
        self.browser.click("#flame-reset")
        self.assertIn("fast", self.frames())
        self.assertEqual(self.browser.script("location.hash"), "")
        self.point("slow", click=True)
        self.browser.script("history.back()")
        for _ in range(50):
            if "fast" in self.frames():
                break
        self.assertIn("fast", self.frames())

    def test_breadcrumb(self):
        self.point("needle", click=True)
        crumbs = self.browser.script("document.querySelector('.crumbs').textContent")
        self.assertEqual(crumbs, "[all] › main › needle")
        self.browser.click(".crumbs button:nth-of-type(2)")
        self.assertIn("fast", self.frames())
        self.browser.key(ESCAPE)
        self.assertEqual(self.browser.script("location.hash"), "")

    def test_search_counts_what_is_not_drawn(self):
        self.browser.key("/")
        self.browser.type(".tools input", "NEEDLE")
        self.shoot("searched")
        # 400 leaves of 100 µs and the one of 100 ms; the inner one is inside it.
        self.assertEqual(self.share(), "14.00 % matched")
        self.point("slow", click=True)
        self.assertEqual(self.share(), "14.00 % matched, 10.00 % of zoom")
        self.browser.key(ESCAPE)
        self.assertEqual(self.share(), "")

    def test_search_is_literal(self):
        for text in ("(", "[", ".*", "__proto__", "constructor"):
            self.browser.script("document.querySelector('.tools input').select()")
            self.browser.type(".tools input", text)
            expected = {"(": "100.00 %", "[": "100.00 %", "__proto__": "10.00 %"}
            self.assertEqual(self.share(), expected.get(text, "0.00 %") + " matched")

    def test_tooltip(self):
        self.point("fast")
        self.shoot("tooltip")
        tip = self.browser.script("document.querySelector('.tip').innerText")
        for part in ("fast", "/srv/app.py:5", "total", "500.0 ms", "50.00 %", "self"):
            self.assertIn(part, tip)
        box = self.browser.script(
            "(r => [r.left, r.top, r.right, r.bottom])"
            "(document.querySelector('.tip').getBoundingClientRect())"
        )
        self.assertTrue(box[0] >= 0 and box[1] >= 0 and box[2] <= 1280)

    def test_narrow_frames_are_marked(self):
        mark = """[...document.querySelectorAll('#flame-graph .narrow')].map(r =>
            r.getBoundingClientRect()).filter(r => r.width).map(r =>
            [r.left, r.top, r.width])"""
        (x, y, width), = self.browser.script(mark)
        slow = self.frames()["slow"]
        self.assertAlmostEqual(x, slow[0], delta=0.1)
        self.assertAlmostEqual(width, slow[2], delta=0.1)
        self.browser.mouse(x + 5, y + 8)
        tip = self.browser.script("document.querySelector('.tip').innerText")
        self.assertIn("4,000 frames too narrow to draw", tip)
        self.assertIn("400.0 ms", tip)
        self.browser.mouse(x + 5, y + 8, click=True)
        (x, y, width), = self.browser.script(mark)
        self.shoot("narrow")
        self.browser.mouse(x + 5, y + 8, click=True)
        self.assertIn("needle0", self.frames())

    def test_more_frames_than_can_be_drawn_at_once(self):
        """Of less than two pixels each: the widest are drawn, the others marked."""
        shown = ("[...document.querySelectorAll('#flame-graph g')]"
                 ".filter(g => g.style.display !== 'none').length")
        hits = "document.querySelectorAll('#flame-graph .hit').length"
        self.open("/all.svg")
        self.assertEqual(self.browser.script(shown), 800 * 5 + 1)
        self.assertNotIn("too narrow", self.notes())
        self.open("/many.svg")
        self.assertTrue(1900 < self.browser.script(shown) < 3000, self.browser.script(shown))
        self.assertRegex(self.notes(), r"[\d,]+ frames too narrow to draw")
        self.open("/many.svg#search=s30")  # the narrowest of its neighbours: in a mark
        self.assertGreater(self.browser.script(hits), 0)
        self.browser.script("document.querySelector('.canvas').focus()")
        self.browser.key("n")
        said = "document.querySelector('#flame-active').getAttribute('aria-label')"
        self.assertIn("too narrow to draw", self.browser.script(said))

    def test_the_order_of_time_is_drawn_whole(self):
        """It has no marks for what is left out."""
        self.open("/ordered.svg#view=time")
        self.assertEqual(self.browser.script(
            "[...document.querySelectorAll('#flame-graph g')]"
            ".filter(g => g.style.display !== 'none').length"), 500 * 20 + 1)

    def test_names_are_never_another_frames(self):
        """While they are given, after a zoom: none, or the right one."""
        wrong = """[...document.querySelectorAll('#flame-graph g')].filter((g) =>
            g.style.display !== 'none' && g.querySelector('text')?.textContent &&
            g.querySelector('rect').hasAttribute('aria-label') &&
            !g.querySelector('rect').getAttribute('aria-label').startsWith(
              g.querySelector('text').textContent.replace('…', ''))).length"""
        time.sleep(0.3)
        named = "document.querySelectorAll('#flame-graph rect[aria-label]').length"
        self.assertGreater(self.browser.script(named), 3)
        at_once = self.browser.script(
            "[...document.querySelectorAll('#flame-graph text')].find(t => "
            "t.textContent === 'slow').previousSibling.dispatchEvent("
            "new MouseEvent('click', {bubbles: true})), " + wrong)
        self.assertEqual(at_once, 0)
        time.sleep(0.3)
        self.assertEqual(self.browser.script(wrong), 0)
        self.assertGreater(self.browser.script(named), 3)

    def test_every_width(self):
        for width in (2000, 900, 500):
            self.browser.resize(width, 700)
            inner = self.browser.script("innerWidth")
            patience = time.monotonic() + 10  # the page is told of its size when it is shown
            while abs(self.frames()["[all]"][2] - (inner - 32)) > 1.1:
                self.assertLess(time.monotonic(), patience, self.frames()["[all]"])
                time.sleep(0.05)
            self.shoot("width-%d" % width)
            over = self.browser.script(
                """[...document.querySelectorAll('#flame-graph g')].filter(g =>
                g.style.display !== 'none' && g.querySelector('text') &&
                g.querySelector('text').textContent).filter(g =>
                g.querySelector('text').getBoundingClientRect().right >
                g.querySelector('rect').getBoundingClientRect().right + 0.5).length"""
            )
            self.assertEqual(over, 0)
            right = self.browser.script(
                "Math.max(...[...document.querySelectorAll('.ui *, .notes *')]"
                ".map(e => e.getBoundingClientRect().right))"
            )
            self.assertLessEqual(right, inner)

    def test_names_are_text(self):
        self.point("needle", click=True)
        self.point("<img src=x onerror=alert(1)>")
        self.assertEqual(
            self.browser.script("document.querySelectorAll('img, b + script').length"), 0
        )
        self.assertIn("</script>", self.frames())
        self.assertEqual(
            self.browser.script("document.querySelector('h1').textContent"),
            "GET /<b>shop</b>/?page=2",
        )

    def test_nothing_but_ours_runs(self):
        """Under the policy we send, scripts, handlers and styles that somebody got into
        the file are dead; without it they would not be."""
        picture = self.server.pages["/a.svg"]
        foreign = (
            b"<script>window.owned = 1</script>"
            b"<script href='data:text/javascript,window.owned=1'/>"
            b"<style>#flame-graph { opacity: 0.5 !important }</style>"
            b"<image href='x' onerror='window.owned=1' onload='window.owned=1'/>"
            b"<animate onbegin='window.owned=1' attributeName='x' dur='1s'/>"
            b"<foreignObject><img xmlns='http://www.w3.org/1999/xhtml' src='/x'"
            b" onerror='window.owned=1'/></foreignObject></svg>"
        )
        broken = picture.replace(b"<svg ", b"<svg onload='window.owned=1' ", 1)
        self.server.pages["/broken.svg"] = broken.replace(b"</svg>", foreign)
        for policy, expected in ((True, [None, "1"]), (False, [1, "0.5"])):
            self.server.with_policy = policy
            self.open("/broken.svg")
            time.sleep(0.5)
            found = self.browser.script(
                "[window.owned || null, getComputedStyle(document.querySelector("
                "'#flame-graph')).opacity]")
            self.assertEqual(found, expected)
            self.browser.log()  # what was refused, which is no error of ours
        self.server.with_policy = True

    def test_state_from_the_address(self):
        self.point("slow", click=True)
        address = self.browser.script("location.hash")
        self.open("/a.svg" + address + "&search=needle")
        self.assertNotIn("fast", self.frames())
        self.assertEqual(self.share(), "14.00 % matched, 10.00 % of zoom")
        self.open("/a.svg#view=sandwich&fn=%d" % self.function("fast"))
        self.assertEqual(set(self.frames()), {"main", "fast"})  # nothing of the static view
        self.open("/a.svg#zoom=99999999&search=")
        self.assertIn("fast", self.frames())

    def test_deep_stack(self):
        self.open("/deep.svg")
        self.assertIn("98,501 frames deeper than the 1,500 rows drawn", self.notes())
        self.browser.script("location.hash = 'zoom=99990'")
        for _ in range(50):
            count = self.browser.script(
                "[...document.querySelectorAll('#flame-graph g')]"
                ".filter(g => g.style.display !== 'none').length"
            )
            if "deeper" not in self.notes():
                break
        self.assertEqual(count, 1500)
        self.assertNotIn("deeper", self.notes())

    def test_the_root_is_in_sight(self):
        """Above it the title, however much is higher than the window."""
        self.open("/deep.svg")
        root = self.frames()["[all]"]
        self.assertLess(root[1], self.browser.script("innerHeight"))
        self.assertGreater(root[1], 100)
        self.choose("Root on top")
        self.assertLess(self.frames()["[all]"][1], 200)

    def test_icicle(self):
        self.choose("Root on top")
        frames = self.frames()
        self.assertLess(frames["[all]"][1], frames["main"][1])
        self.assertIn("icicle", self.browser.script("location.hash"))
        self.shoot("icicle")
        self.choose("Root at the bottom")
        self.assertGreater(self.frames()["[all]"][1], self.frames()["main"][1])

    def test_callers(self):
        self.choose("Callers")
        self.shoot("callers")
        frames = self.frames()
        wide = frames["[all]"][2]
        self.assertAlmostEqual(frames["fast"][2] / wide, 0.5, delta=0.002)
        self.assertAlmostEqual(frames["</script>"][2] / wide, 0.1, delta=0.002)
        self.point("fast", click=True)
        self.assertAlmostEqual(self.frames()["fast"][2], wide, delta=0.1)
        self.assertEqual(self.text(".crumbs"), "all functions › fast")
        self.browser.key(ESCAPE)
        self.assertIn("</script>", self.frames())

    def test_the_first_view_can_be_chosen(self):
        """The page begins as the picture without script does, and can be changed."""
        self.open("/chosen.svg")
        frames = self.frames()
        self.assertLess(frames["[all]"][1], frames["fast"][1])
        static = xml.etree.ElementTree.fromstring(self.server.pages["/chosen.svg"])
        svg = "{http://www.w3.org/2000/svg}"
        drawn = {g.find(svg + "title").text.split(" (")[0].split("\n")[0]: g.find(svg + "rect")
                 for g in static.iter(svg + "g") if g.find(svg + "title") is not None}
        for name in ("fast", "</script>"):
            share = float(drawn[name].get("width")) / float(drawn["[all]"].get("width"))
            self.assertAlmostEqual(frames[name][2] / frames["[all]"][2], share, delta=0.01)
        self.assertEqual(self.browser.script("location.hash"), "")
        self.choose("Flame graph")
        self.choose("Root at the bottom")
        self.assertGreater(self.frames()["[all]"][1], self.frames()["main"][1])
        address = self.browser.script("location.hash")
        self.open("/chosen.svg" + address)
        self.assertGreater(self.frames()["[all]"][1], self.frames()["main"][1])
        self.assertNotIn("straw1", self.frames())

    def test_one_function(self):
        self.choose("Table")
        self.choose("Total")
        self.choose("needle")
        self.shoot("one-function")
        frames = self.frames()
        self.assertLess(frames["main"][1], frames["needle"][1])
        self.assertLess(frames["needle"][1], frames["needle_inner"][1])
        self.assertAlmostEqual(frames["main"][2], frames["needle"][2], delta=0.1)
        self.point("main", click=True)
        self.assertIn("Callers above, callees below: main", self.text(".crumbs"))

    def test_table(self):
        self.choose("Table")
        self.shoot("table")
        rows = "[...document.querySelectorAll('tbody tr')].slice(0, 2).map(r => r.innerText)"
        first, second = self.browser.script(rows)
        self.assertIn("fast", first)
        self.assertIn("500.0 ms", first)
        self.assertIn("100.0 ms", second)
        self.choose("Total")
        self.assertIn("main", self.browser.script(rows)[0])
        self.browser.key("/")
        self.browser.type(".tools input", "needle1")
        self.assertIn("111 functions that match", self.text("caption"))
        self.browser.key(ESCAPE)

    def test_hide_and_focus(self):
        self.browser.script("location.hash = 'edits=hide-%d'" % self.function("main"))
        for _ in range(50):
            if "main" not in self.frames():
                break
        frames = self.frames()
        self.assertNotIn("main", frames)
        self.assertAlmostEqual(frames["fast"][2] / frames["[all]"][2], 0.5, delta=0.002)
        self.assertIn("main hidden: 1 frame fewer", self.notes())
        self.choose("Table")
        self.assertIn("main hidden: 1 frame fewer", self.notes())
        self.choose("Flame graph")
        self.choose("Undo")
        self.assertIn("main", self.frames())
        self.assertNotIn("hidden", self.notes())
        self.menu("needle", "Only stacks with it")
        frames = self.frames()
        self.assertNotIn("fast", frames)
        self.assertAlmostEqual(frames["needle"][2], frames["[all]"][2], delta=0.1)

    def function(self, name):
        return self.browser.script(
            "(d => d.functions.filter((_, i) => i %% 4 === 0).indexOf(%s))"
            "(JSON.parse(document.querySelector('#flame-data').textContent))"
            % json.dumps(name)
        )

    def menu(self, label, item):
        """What a right click on a frame offers."""
        x, y, width = self.frames()[label]
        self.browser.script(
            "document.elementFromPoint(%f, %f).dispatchEvent(new MouseEvent('contextmenu',"
            " {bubbles: true, clientX: %f, clientY: %f}))"
            % (x + width / 2, y + 8, x + width / 2, y + 8)
        )
        self.shoot("menu")
        self.choose(item)

    def test_time_order(self):
        """The golden picture: 600 ms, the first 120 of them in one place."""
        self.open("/profile.svg")
        self.choose("Time order")
        self.shoot("time-order")
        left, top, whole = self.frames()["[request]"]
        self.browser.drag((left + 1, top + 8), (left + whole * 0.2, top + 8))
        self.assertRegex(self.browser.script("location.hash"), r"range=\d+-\d+")
        self.assertRegex(self.text(".crumbs"), r"^all of 600.0 ms › .* to 1[12]\d\.\d ms$")
        self.choose("Flame graph")
        inside = self.frames()
        self.choose("Reset zoom")
        self.assertLess(set(inside), set(self.frames()))

    def test_what_is_seen_can_be_saved(self):
        self.browser.script(
            "(() => { const make = URL.createObjectURL; URL.createObjectURL = (blob) => {"
            " window.saved = blob; return make.call(URL, blob); }; })()"
        )
        self.point("needle", click=True)
        self.choose("Save folded")
        folded = self.browser.script("window.saved.text()")
        self.assertEqual(sum(int(line.rsplit(" ", 1)[1]) for line in folded.splitlines()), 10**6)
        self.assertIn("main (/srv/app.py:1);fast (/srv/app.py:5) 500000\n", folded)
        self.choose("Save SVG")
        picture = xml.etree.ElementTree.fromstring(self.browser.script("window.saved.text()"))
        shown = [text.text for text in picture.iter("{http://www.w3.org/2000/svg}text")]
        self.assertIn("needle_inner", shown)
        self.assertNotIn("fast", shown)

    def test_difference(self):
        self.open("/change.svg")
        self.shoot("difference")
        frames = self.frames()
        self.assertNotIn("gone", frames)
        self.point("more")
        tip = self.browser.script("document.querySelector('.tip').innerText")
        for part in ("before", "20.00 %", "after", "80.00 %", "+60.00 points"):
            self.assertIn(part, tip)
        self.choose("Before")
        self.assertIn("gone", self.frames())
        self.choose("Table")
        rows = "[...document.querySelectorAll('tbody tr')].map(r => r.innerText)"
        first, *_, last = self.browser.script(rows)
        self.assertIn("more", first)
        self.assertIn("gone", last)

    def test_keyboard(self):
        self.browser.script("document.querySelector('.canvas').focus()")
        said = (
            "document.getElementById(document.querySelector('.canvas')"
            ".getAttribute('aria-activedescendant')).getAttribute('aria-label')"
        )
        for key, name in (
            (ARROW_UP, "[all]"), (ARROW_UP, "main"), (ARROW_UP, "fast"),
            (ARROW_RIGHT, "needle"), (ARROW_RIGHT, "slow"), (ARROW_DOWN, "main"),
        ):
            self.browser.key(key)
            self.assertEqual(self.browser.script(said).split(",")[0], name)
        self.browser.key(ENTER)
        self.assertIn("zoom=", self.browser.script("location.hash"))
        self.browser.key(ESCAPE)
        self.assertEqual(self.browser.script("location.hash"), "")

    def test_next_match(self):
        self.browser.key("/")
        self.browser.type(".tools input", "needle")
        self.browser.script("document.querySelector('.canvas').focus()")
        self.browser.key("n")
        self.assertIn("needle", self.text(".tip h2"))

    def test_regular_expressions(self):
        self.choose(".*")
        self.browser.key("/")
        self.browser.type(".tools input", "^needle_")
        self.assertEqual(self.share(), "10.00 % matched")
        self.browser.script("document.querySelector('.tools input').select()")
        self.browser.type(".tools input", "(")
        self.assertEqual(self.share(), "not a regular expression")


if __name__ == "__main__":
    unittest.main()
