"""The examples do what README.md says: the demo, and the two applications."""

import os
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path

import tree

sys.path.insert(1, str(tree.ROOT / "tests"))

from measuring import Seeing  # noqa: E402

EXAMPLES = tree.ROOT / "examples"

# In a process of its own: an application profiled through the middleware, called
# as a server would, the folded answer on standard output.
CALL = """
import runpy, sys
from wsgiref.util import setup_testing_defaults
import flameprof
names = runpy.run_path(sys.argv[1])
app = names[sys.argv[2]]
app = getattr(app, "wsgi_app", None) or flameprof.Middleware(app)
environ = {}
setup_testing_defaults(environ)
environ.update(QUERY_STRING="flamegraph=1&flamegraph_format=folded", REMOTE_ADDR="127.0.0.1",
               SERVER_PROTOCOL="HTTP/1.1")
sys.stdout.buffer.write(b"".join(app(environ, lambda status, headers, info=None: print)))
"""


def functions(folded):
    """Names of all frames of folded stacks."""
    stacks = [line.rsplit(" ", 1)[0] for line in folded.splitlines()]
    return {frame.split(" (")[0] for stack in stacks for frame in stack.split(";")}


class Applications(Seeing):
    def profile(self, path, name):
        result = subprocess.run(
            [sys.executable, "-B", "-c", CALL, str(EXAMPLES / path), name],
            env={**os.environ, "PYTHONPATH": str(tree.BUILD / "python")},
            capture_output=True,
            text=True,
        )
        self.assertEqual(result.returncode, 0, result.stderr)
        return functions(result.stdout)

    def test_plain_wsgi(self):
        seen = self.profile("wsgi/app.py", "application")
        self.assert_seen(["primes", "wait_for_a_friend", "packed"], seen)

    def test_flask(self):
        seen = self.profile("flask/app.py", "app")
        self.assert_seen(["front", "count", "text", "slow_service", "query"], seen)


class Demo(unittest.TestCase):
    def test_once(self):
        with tempfile.TemporaryDirectory() as folder:
            result = subprocess.run(
                [sys.executable, "-B", str(EXAMPLES / "demo.py"), "once"],
                env={**os.environ, "BUILD": str(tree.BUILD), "OUTPUT": folder},
                capture_output=True,
                text=True,
            )
            self.assertEqual(result.returncode, 0, result.stderr)
            picture = (Path(folder) / "flamegraph.svg").read_text()
            for name in ("exchange_rates", "similar_titles", "fingerprint", "describe", "render"):
                with self.subTest(function=name):
                    self.assertTrue(f">{name}" in picture, "not in the picture")
            self.assertTrue((Path(folder) / "flamegraph.png").read_bytes().startswith(b"\x89PNG"))

    def test_failure_is_told(self):
        with tempfile.TemporaryDirectory() as empty:
            result = subprocess.run(
                [sys.executable, "-B", str(EXAMPLES / "demo.py"), "once"],
                env={**os.environ, "UWSGI": "false", "BUILD": empty, "OUTPUT": empty},
                capture_output=True,
                text=True,
            )
        self.assertEqual(result.returncode, 1)
        self.assertIn("the demo failed", result.stderr)


if __name__ == "__main__":
    unittest.main()
