"""What an answer must look like: a picture, a profile of these functions, each shape."""

import pathlib
import re
import sys
import xml.etree.ElementTree as ElementTree

sys.path.append(str(pathlib.Path(__file__).resolve().parents[1]))

from measuring import Seeing  # noqa: E402
from shapes import SHAPES  # noqa: E402

ASK = "flamegraph=1&interval=0.0005"
FOLDED = ASK + "&flamegraph_format=folded"

SPOILERS = ("Last-Modified", "Accept-Ranges", "ETag", "Expires", "Location", "Refresh",
            "Content-Encoding", "Content-Security-Policy-Report-Only", "Pragma", "Age",
            "Content-Disposition", "X-Sendfile", "X-Accel-Redirect", "Link",
            "Access-Control-Allow-Origin")

CRASHES = "!!! uWSGI process|Segmentation|Fatal Python|Exception ignored"
NOTHING = "(?!)"  # a pattern that is in no line


def functions(folded):
    """{function name: microseconds with it on the stack} of a folded answer."""
    found = {}
    for line in folded.decode().splitlines():
        stack, _, weight = line.rpartition(" ")
        for name in {re.sub(r" \([^()]*:\d+\)$", "", frame) for frame in stack.split(";")}:
            found[name] = found.get(name, 0) + int(weight)
    return found


def phases(folded):
    """{root frame: microseconds below it}"""
    found = {}
    for line in folded.decode().splitlines():
        stack, _, weight = line.rpartition(" ")
        root = stack.split(";")[0]
        found[root] = found.get(root, 0) + int(weight)
    return found


class Sound(Seeing):
    """Tests of servers whose log must not have lines like these, but for some."""

    BAD = CRASHES

    def assert_sound(self, server, but=NOTHING):
        lines = server.log().splitlines()
        for at, line in enumerate(lines):
            if re.search(self.BAD, line) and not re.search(but, line):
                self.fail("\n".join(lines[max(at - 5, 0):at + 30]))


class Checks(Sound):
    def assert_picture(self, answer, status="200 OK", head=False):
        self.assertEqual(answer.status, "200 OK", answer.raw[:300])
        self.assertEqual(answer.header("Content-Type"), "image/svg+xml")
        self.assertEqual(answer.header("Cache-Control"), "no-store")
        self.assertEqual(answer.header("X-Content-Type-Options"), "nosniff")
        self.assertEqual(answer.header("X-Flameprof-Status"), status)
        self.assertTrue(answer.header("Content-Security-Policy"))
        self.assertGreater(int(answer.header("Content-Length")), 500)
        for name in SPOILERS:
            self.assertIsNone(answer.header(name), name)
        if head:
            self.assertEqual(answer.body, b"")
        else:
            self.assertEqual(len(answer.body), int(answer.header("Content-Length")))
            root = ElementTree.fromstring(answer.body)
            self.assertEqual(root.tag, "{http://www.w3.org/2000/svg}svg")

    def assert_profiled(self, answer, *names):
        self.assertEqual(answer.status, "200 OK", answer.raw[:300])
        self.assertEqual(answer.header("Content-Type"), "text/plain; charset=utf-8")
        self.assert_seen(names, functions(answer.body))

    def check_shapes(self, server, plain, shapes=tuple(SHAPES)):
        """Each shape × profiled GET, profiled HEAD, not profiled."""
        for shape in shapes:
            status, function, raised = SHAPES[shape]
            with self.subTest(shape=shape):
                answer = server.get(f"/{shape}?{ASK}")
                self.assert_picture(answer, status)
                if raised:
                    self.assertIn(raised.encode(), answer.body)
                head = server.get(f"/{shape}?{ASK}", "HEAD")
                self.assert_picture(head, status, head=True)
                self.assert_profiled(server.get(f"/{shape}?{FOLDED}"), function)
                for method in ("GET", "HEAD", "POST"):
                    for query in ("", "?a=b", "?flamegraph=0", "?flamegraph=10", "?xflamegraph=1"):
                        body = b"posted" if method == "POST" else b""
                        ours = server.get(f"/{shape}{query}", method, body=body)
                        theirs = plain.get(f"/{shape}{query}", method, body=body)
                        self.assertEqual(ours.raw, theirs.raw, (method, query))
        log = server.log()
        self.assertNotIn("!!!", log.split("[flameprof]")[-1])
        self.assertNotIn("Segmentation", log)
