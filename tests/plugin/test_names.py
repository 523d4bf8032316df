"""What the plugin's pictures tell of files and functions."""

import json
import os
import pathlib
import sys
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))

from checks import ASK  # noqa: E402
from measuring import Seeing  # noqa: E402
from server import HERE, Server  # noqa: E402

FORMATS = ("svg", "html", "folded", "json", "speedscope", "gecko")


class Names(Seeing):
    def serve(self, *args):
        server = Server(*args)
        self.addCleanup(server.stop)
        return server

    def ask(self, server, format):
        answer = server.get(f"/sleeps?{ASK}&flamegraph_format={format}")
        self.assertEqual(answer.status, "200 OK")
        return answer.body.decode()

    def test_paths_are_short(self):
        server = self.serve("--processes", "2")
        for name in FORMATS:
            with self.subTest(format=name):
                text = self.ask(server, name)
                self.assert_seen(["shapes.py"], text)
                for secret in (str(HERE), str(HERE.parent), os.path.dirname(os.__file__)):
                    self.assertNotIn(secret, text)
        self.assert_seen(["(shapes.py:"], self.ask(server, "folded"))

    def test_in_an_interpreter_of_its_own(self):
        server = self.serve("--lazy-apps", "--enable-threads")
        self.assert_seen(["(shapes.py:"], self.ask(server, "folded"))

    def test_full_paths(self):
        server = self.serve("--flameprof-full-paths")
        self.assert_seen([f"({HERE}/shapes.py:"], self.ask(server, "folded"))

    def test_redact(self):
        server = self.serve("--flameprof-redact", "* (shapes.py)", "--flameprof-redact", "nothing")
        for name in FORMATS:
            text = self.ask(server, name)
            self.assert_seen(["[redacted]"], text)
            self.assertNotIn("shapes.py", text)
            self.assertNotIn("time.sleep", text)
        functions = json.loads(self.ask(server, "json"))["functions"]
        self.assertEqual(sum(one["name"] == "[redacted]" for one in functions), 1)

    def test_a_pattern_that_makes_no_sense(self):
        server = Server("--flameprof-redact", "", start=False)
        self.addCleanup(server.stop)
        self.assertEqual(server.process.wait(20), 1)
        self.assertIn("[flameprof] --flameprof-redact", server.log())


if __name__ == "__main__":
    unittest.main()
