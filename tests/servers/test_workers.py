"""docs/servers.md: gunicorn and waitress, to the letter."""

import re
import socket
import subprocess
import sys
import unittest
import warnings

import page
from served import PACKAGE, Serving, need

GUNICORN = page.Section("gunicorn")
WAITRESS = page.Section("waitress")


@need("gunicorn")
class Gunicorn(Serving):
    def lines(self):
        lines = GUNICORN.commands()
        self.assertEqual(len(lines), 3)
        return [line.replace("gunicorn ", f"{sys.executable} -B -m gunicorn ", 1)
                for line in lines]

    def through(self, line):
        served = self.serve(line)
        self.check(served, reload=lambda: self.reload(served))
        return served

    def reload(self, served):
        """As the page says; the workers that were there have ended then."""
        line = re.search(r"`(kill [^`]*)`", GUNICORN.text).group(1)
        before = set(served.processes()) - {served.process.pid}
        subprocess.run(["sh", "-c", line], cwd=self.folder, check=True, timeout=10)
        served.until(lambda: not before & set(served.processes()))

    def test_sync(self):
        self.through(self.lines()[0])

    def test_gthread(self):
        self.through(self.lines()[1])

    @need("gevent")
    def test_gevent(self):
        self.through(self.lines()[2])

    def test_preload(self):
        served = self.serve(self.lines()[1] + " --preload --workers 2")
        self.check(served)
        self.reload(served)
        self.check_profile(served)

    def test_a_unix_socket(self):
        """Nobody's address: whom authorize lets in may ask."""
        for line, may in (("application", False),
                          ("application, authorize=lambda environ: True", True)):
            self.write("served.py", page.SERVED.replace("(application)", f"({line})"))
            served = self.serve(self.lines()[0] + f" --bind unix:{self.folder}/socket")
            with socket.socket(socket.AF_UNIX) as client:
                client.settimeout(20)
                client.connect(f"{self.folder}/socket")
                client.sendall(b"GET /?flamegraph=1 HTTP/1.1\r\nHost: localhost\r\n"
                               b"Connection: close\r\n\r\n")
                with client.makefile("rb") as answer:
                    self.assertEqual(b"<svg" in answer.read(), may)
            served.stop()

    @need("gevent")
    def test_preload_with_gevents_patch(self):
        self.write("gunicorn.conf.py", GUNICORN.blocks("python")[0])
        for first in ("", "import flameprof\n"):
            with self.subTest(first=first):
                self.write("gunicorn.conf.py", first + GUNICORN.blocks("python")[0])
                served = self.serve(self.lines()[2] + " --preload")
                profile = self.check_profile(served)
                self.assertNotIn("MonkeyPatchWarning", served.log())
                self.assertIn("sleep", profile.names)  # gevent's
                served.stop()


@need("waitress")
class Waitress(Serving):
    def lines(self):
        lines = WAITRESS.commands()
        self.assertEqual(len(lines), 2)
        return lines

    def test_page(self):
        served = self.serve(self.lines()[0])
        self.check(served)
        served.stop()
        self.write("app.py", page.APP.replace("done", "again"))
        served = self.serve(self.lines()[0])
        self.assertEqual(served.get("/").body, b"again\n")
        self.check_profile(served)

    def is_profiled(self, served, **headers):
        answer = served.get("/?flamegraph=1", **{key.replace("_", "-"): value
                                                 for key, value in headers.items()})
        self.assertEqual(answer.status, 200)
        return answer.body != b"done\n"

    def test_behind_a_proxy(self):
        plain, trusting = self.lines()
        served = self.serve(plain)
        self.assertTrue(self.is_profiled(served))
        self.assertFalse(self.is_profiled(served, X_Real_IP="192.0.2.1"))
        # Which waitress 3 takes away.
        import waitress.adjustments

        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            clears = waitress.adjustments.Adjustments(sockets=[]).clear_untrusted_proxy_headers
        self.assertEqual(self.is_profiled(served, X_Forwarded_For="192.0.2.1"), clears)
        served.stop()

        served = self.serve(trusting)
        self.assertFalse(self.is_profiled(served, X_Forwarded_For="192.0.2.1"))
        served.stop()
        self.write("served.py", page.SERVED.replace(
            "(application)", '(application, allow=["192.0.2.0/24"])'))
        served = self.serve(trusting)
        self.assertTrue(self.is_profiled(served, X_Forwarded_For="192.0.2.1"))
        self.assertFalse(self.is_profiled(served, X_Forwarded_For="198.51.100.1"))


@need("waitress")
class Beginning(Serving):
    def test_the_commands(self):
        served = self.serve(WAITRESS.commands()[0])
        said = []
        for line in page.Section().commands():
            done = subprocess.run(["sh", "-c", line.replace("8000", str(self.port))], timeout=60,
                                  cwd=self.folder, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
            self.assertEqual(done.returncode, 0, done.stderr)
            said.append(done.stdout.decode())
        plain, picture, folded = said
        self.assertEqual((plain, picture), ("done\n", ""))
        self.assertIn(">compute", (self.folder / "picture.svg").read_text())
        self.assertRegex(folded, r"(?s)Server-Timing: compute;dur=.*;compute \(app.py:\d+\) \d+")
        self.assertEqual(served.get("/").status, 200)

    def test_the_package_is_where_the_page_says(self):
        self.assertIn("build/python", page.Section().text)
        self.assertTrue((PACKAGE / "flameprof" / "__init__.py").exists())


if __name__ == "__main__":
    unittest.main()
