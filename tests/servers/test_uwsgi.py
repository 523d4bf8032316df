"""docs/servers.md: uWSGI with each of its loops, to the letter."""

import os
import shutil
import sys
import unittest

import page
from served import BUILD, UWSGI, Serving

SECTION = page.Section("uWSGI")
PLUGINS = "/usr/lib/uwsgi/plugins"
IS_DEBIANS = sys.base_prefix == "/usr" and shutil.which(UWSGI) is not None


def need(plugin):
    reason = f"SKIPPED: uWSGI has no plugin {plugin} here"
    return unittest.skipIf(not os.path.exists(f"{PLUGINS}/{plugin}_plugin.so"), reason)


@unittest.skipIf(not IS_DEBIANS, "SKIPPED: Debian's uWSGI has Debian's Python only")
class Uwsgi(Serving):
    def line(self, options=""):
        lines = SECTION.commands()
        self.assertEqual(len(lines), 1)
        line = lines[0].replace("uwsgi ", f"{UWSGI} --plugins-dir {BUILD} --need-app ", 1)
        return line.replace("--processes 2", options) if options else line

    def through(self, loop):
        served = self.serve(self.line(SECTION.of_row(loop)))
        self.check(served, reload=lambda: (self.folder / "app.py").touch())
        return served

    def test_processes(self):
        self.assertEqual(SECTION.of_row("processes"), "--processes 2")
        self.through("processes")

    def test_threads(self):
        self.through("threads")

    @need("gevent_python3")
    def test_gevent(self):
        self.through("gevent")

    @need("greenlet_python3")
    def test_greenlets(self):
        self.through("greenlets")

    @need("asyncio_python3")
    @unittest.skipIf(sys.version_info >= (3, 12), "SKIPPED: uWSGI's asyncio loop does not start "
                     "with this Python, with or without flameprof")
    def test_asyncio(self):
        self.through("asyncio")

    @need("ugreen")
    def test_ugreen(self):
        if sys.version_info < (3, 12):
            self.through("ugreen")
            return
        served = self.serve(self.line(SECTION.of_row("ugreen")))
        self.check_ordinary(served, "/")
        self.assertEqual(served.get("/?flamegraph=1").status, 503)


if __name__ == "__main__":
    unittest.main()
