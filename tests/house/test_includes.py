"""Includes point one way: plugin -> middleware -> sampler, renderer."""

import re
import unittest

import tree

INCLUDE = re.compile(r'^\s*#\s*include\s*(["<])([^">]+)[">]', re.M)

ALLOWED = {
    "sampler": {"sampler"},
    "renderer": {"renderer"},
    "middleware": {"middleware", "sampler", "renderer"},
    "plugin": {"plugin", "middleware", "sampler", "renderer"},
}
# The one file of another folder that the renderer may know.
EXTRA = {"renderer": {"sampler/profile.h"}}

# Names of foreign headers only one folder may know.
UWSGI = re.compile(r"(^|/)uwsgi\.h$")
PYTHON = re.compile(r"^(Python\.h|frameobject\.h|internal/|pystate\.h|cpython/)")
FRAMES = re.compile(r"internal/|frameobject\.h")


def includes(path):
    return [(kind == '"', name) for kind, name in INCLUDE.findall(path.read_text())]


class Includes(unittest.TestCase):
    def test_there_is_something_to_look_at(self):
        for folder in ALLOWED:
            with self.subTest(folder=folder):
                self.assertTrue(tree.sources(folder) or not list((tree.ROOT / folder).glob("*.mk")))

    def test_direction(self):
        for folder, allowed in ALLOWED.items():
            for path in tree.sources(folder):
                for ours, name in includes(path):
                    # A name without a folder is generated in the build directory.
                    if not ours or "/" not in name or PYTHON.search(name):
                        continue
                    with self.subTest(file=str(path.relative_to(tree.ROOT)), include=name):
                        top = name.split("/")[0]
                        self.assertTrue(top in allowed or name in EXTRA.get(folder, ()))

    def test_only_the_plugin_knows_uwsgi(self):
        for path in tree.sources("sampler", "renderer", "middleware"):
            for _, name in includes(path):
                with self.subTest(file=path.name):
                    self.assertIsNone(UWSGI.search(name))

    def test_the_renderer_does_not_know_python(self):
        for path in tree.sources("renderer"):
            for _, name in includes(path):
                with self.subTest(file=path.name):
                    self.assertIsNone(PYTHON.search(name))

    def test_only_two_rooms_of_the_middleware_know_python(self):
        """What both doors share is C: it is tested, fuzzed and linked without Python."""
        knowing = {"module", "wsgi"}
        for path in tree.sources("middleware"):
            room = path.relative_to(tree.ROOT / "middleware").parts[0]
            for _, name in includes(path):
                with self.subTest(file=path.name, include=name):
                    known = PYTHON.search(name) or re.match(r"middleware/(module|wsgi)/", name)
                    self.assertFalse(known and room not in knowing)

    def test_only_the_sampler_knows_frames(self):
        for path in tree.sources("renderer", "middleware", "plugin"):
            for _, name in includes(path):
                with self.subTest(file=path.name):
                    self.assertIsNone(FRAMES.search(name))


if __name__ == "__main__":
    unittest.main()
