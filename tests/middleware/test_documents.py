"""docs/code.md, docs/panel.md and docs/slow.md, as somebody would follow them who has nothing else."""

import os
import pathlib
import re
import tempfile
import threading
import time
import unittest
import urllib.request
import wsgiref.simple_server

ROOT = pathlib.Path(__file__).resolve().parents[2]


def page(name):
    return (ROOT / "docs" / name).read_text(encoding="utf-8")


def blocks(text):
    """Code of a page: what is indented, and what is fenced as Python."""
    indented = r"(?:^    [^\n]*\n)+"
    for found in re.finditer(rf"^```python\n(.*?)^```|({indented}(?:\n{indented})*)", text,
                             re.M | re.S):
        fenced, indented = found.groups()
        yield fenced if fenced is not None else re.sub(r"^    ", "", indented, flags=re.M)


class Quiet(wsgiref.simple_server.WSGIRequestHandler):
    def log_message(self, *arguments):
        pass


class Documents(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory(prefix="flameprof-documents-")
        self.addCleanup(folder.cleanup)
        self.addCleanup(os.chdir, os.getcwd())
        os.chdir(folder.name)
        tempfile.tempdir = folder.name
        self.addCleanup(setattr, tempfile, "tempdir", None)

    def test_code(self):
        def work():
            sum(i * i for i in range(200000))

        found = list(blocks(page("code.md")))
        self.assertEqual(len(found), 3)
        names = {"work": work}
        exec(found[0], names)
        self.assertIn("work", pathlib.Path("work.svg").read_text(encoding="utf-8"))
        exec(found[1], names)
        names["profiler"].save("catalogue.svg")
        self.assertIn("import of the catalogue", pathlib.Path("catalogue.svg").read_text())
        exec("import flameprof\n" + found[2], names)
        names["work"]()

    def test_what_the_page_says_of_a_profiler(self):
        import flameprof

        text = page("code.md")
        for method in re.findall(r"`(?:profiler\.)?([a-z_]+)\([a-z\"0-9.]*\)`", text):
            if method not in ("profile",):
                with self.subTest(method=method):
                    self.assertTrue(hasattr(flameprof.Profiler, method)
                                    or hasattr(flameprof.Session, method))
        for ending in re.findall(r"`(\.[a-z.]+)`", text):
            with self.subTest(ending=ending):
                with flameprof.profile() as profiler:
                    pass
                profiler.save("profile" + ending)

    def test_panel(self):
        def application(environ, start_response):
            start_response("200 OK", [("Content-Type", "text/html")])
            return [b"<html><body>A page</body></html>"]

        found = list(blocks(page("panel.md")))
        self.assertEqual(len(found), 1)
        os.environ["TMPDIR"] = os.getcwd()
        self.addCleanup(os.environ.pop, "TMPDIR")
        names = {"application": application}
        exec(found[0], names)
        server = wsgiref.simple_server.make_server("127.0.0.1", 0, names["application"],
                                                   handler_class=Quiet)
        self.addCleanup(server.server_close)
        thread = threading.Thread(target=server.handle_request)
        thread.start()
        url = f"http://127.0.0.1:{server.server_port}/"
        request = urllib.request.Request(url, headers={"Accept": "text/html"})
        # HTTP/1.1, as browsers speak it.
        with urllib.request.urlopen(request, timeout=10) as answer:
            self.assertIn(b"<flameprof-badge", answer.read())
        thread.join(10)

    def test_slow(self):
        def application(environ, start_response):
            start_response("503 Service Unavailable", [])
            return []

        names = {"application": application}
        exec(list(blocks(page("slow.md")))[1], names)
        environ = {"REQUEST_METHOD": "GET", "PATH_INFO": "/", "QUERY_STRING": ""}
        names["application"](environ, lambda status, headers: None)
        end = time.monotonic() + 10
        while not list(pathlib.Path("profiles").glob("*.pb.gz")):
            self.assertLess(time.monotonic(), end)
            time.sleep(0.05)


if __name__ == "__main__":
    unittest.main()
