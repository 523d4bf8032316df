"""docs/servers.md: a Zope site with the filter, to the letter."""

import pathlib
import re
import subprocess
import sys
import unittest

import page
from served import Serving, need

SECTION = page.Section("Zope and Plone")
BIN = pathlib.Path(sys.executable).parent

# A product's view, which computes and waits as app.py does, and one that writes.
SHOP = """
import App.config
import app
from Products.Five.browser import BrowserView

class Page(BrowserView):
    def __call__(self):
        said = []
        body = app.application({}, lambda status, headers: said.extend(headers))
        for name, value in said:
            self.request.response.setHeader(name, value)
        return b"".join(body).decode()

class Count(BrowserView):
    def __call__(self):
        root = self.context.getPhysicalRoot()
        root.visits = getattr(root, "visits", 0) + 1
        return str(root.visits)
"""
VIEWS = """
  <include package="Products.Five" />
  <browser:page xmlns:browser="http://namespaces.zope.org/browser"
      name="page" for="*" class="shop.Page" permission="zope.Public" />
  <browser:page xmlns:browser="http://namespaces.zope.org/browser"
      name="count" for="*" class="shop.Count" permission="zope.Public" />
</configure>
"""


@need("Zope2", "paste.translogger", "waitress")
class Zope(Serving):
    def setUp(self):
        super().setUp()
        self.instance = self.folder / "instance"
        subprocess.run([str(BIN / "mkwsgiinstance"), "-d", str(self.instance), "-u", "admin:admin"],
                       check=True, timeout=60, stdout=subprocess.DEVNULL)
        site = self.instance / "etc" / "site.zcml"
        site.write_text(site.read_text().replace("</configure>", VIEWS))
        self.write("shop.py", SHOP)

    def follow(self, ini):
        """The page's sections into what mkwsgiinstance has written."""
        path = self.instance / "etc" / "zope.ini"
        text = path.read_text().replace("8080", str(self.port))
        self.assertEqual(text.count("[pipeline:main]"), 1)
        path.write_text(re.sub(r"^\[pipeline:main\]\n.*?(?=^\[)", lambda _: ini + "\n", text,
                               flags=re.M | re.S))

    def start(self):
        self.assertEqual(SECTION.commands(), ["runwsgi etc/zope.ini"])
        line = f"{sys.executable} -B {BIN}/{SECTION.commands()[0]}"
        return self.serve(line, folder=self.instance, PYTHONPATH=self.install())

    def test_page(self):
        self.follow(SECTION.blocks("ini")[0])
        served = self.start()
        self.check(served, path="/page")
        profile = served.profile("/page", "&interval=0.0005")
        self.assertEqual(profile.quality["interval_ns"], 500000)
        # Zope's own part: the pipeline behind the filter, and the publisher.
        self.assertIn("publish_module", profile.names)
        self.assertIn("Page.__call__", profile.names)
        self.assertIn("HTTPExceptionHandler.__call__", profile.names)
        # What a profiled request does to the database is done.
        counts = [int(served.get("/count").body), len(served.profile("/count").names),
                  int(served.get("/count").body)]
        self.assertEqual(counts[2] - counts[0], 2)

    def test_start_again(self):
        self.follow(SECTION.blocks("ini")[0])
        self.start().stop()
        self.write("app.py", page.APP.replace("done", "again"))
        served = self.start()
        self.assertEqual(served.get("/page").body, b"again\n")
        self.check_profile(served, "/page")


if __name__ == "__main__":
    unittest.main()
