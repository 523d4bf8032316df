"""One version in a process: what happens where the plugin's and the package's differ, and
that every place which names the version says what the file VERSION says."""

import pathlib
import re
import shlex
import shutil
import subprocess
import sys
import sysconfig
import tempfile
import unittest

from installing import BUILD, ROOT, VERSION, section

sys.path.insert(0, str(ROOT / "tests" / "plugin"))

from server import UWSGI, Server  # noqa: E402

APPLICATION = """
import flameprof


def application(environ, start_response):
    start_response("200 OK", [])
    return [flameprof.__version__.encode()]
"""
EARLY = """
#include <Python.h>
#include <uwsgi.h>

static int start_python(void)
{
    Py_Initialize();
    return 0;
}

struct uwsgi_plugin early_plugin = {.name = "early", .init = start_python};
"""
OLDER, NEWER = "0.0.9", "99.1.0"


class Mixed(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory(prefix="flameprof-versions-")
        self.addCleanup(folder.cleanup)
        self.folder = pathlib.Path(folder.name)
        shutil.copytree(BUILD / "python", self.folder, dirs_exist_ok=True)
        (self.folder / "shop.py").write_text(APPLICATION)

    def package_is(self, version):
        (self.folder / "flameprof" / "_version.py").write_text(f'VERSION = "{version}"\n')

    def server(self, *arguments, **options):
        server = Server("--pythonpath", str(self.folder), "--lazy-apps", *arguments,
                        app=("--module", "shop"), **options)
        self.addCleanup(server.stop)
        return server

    def maps(self, server):
        """The files that the server's processes have in memory."""
        workers = re.findall(r"spawned uWSGI worker \d+ \(.*pid: (\d+)", server.log())
        self.assertTrue(workers)
        return "".join(pathlib.Path(f"/proc/{pid}/maps").read_text() for pid in workers)

    def test_the_same_version_has_one_sampler(self):
        server = self.server()
        self.assertEqual(server.get("/").body.decode(), VERSION)
        maps = self.maps(server)
        self.assertIn("flameprof_plugin.so", maps)
        self.assertNotIn("_flameprof.cpython", maps)

    def test_another_version_is_one_import_error(self):
        for version in (OLDER, NEWER):
            with self.subTest(package=version):
                self.package_is(version)
                server = self.server()
                server.get("/")
                said = re.findall(r"^(\w*Error: .*)$", server.log(), re.M)
                self.assertEqual(said, [self.sentence(version)], server.log())
                self.assertNotIn("_flameprof.cpython", self.maps(server))

    def sentence(self, version):
        """As docs/install.md shows it."""
        shown, = re.findall(r"^    (ImportError: .*)$", section("One version in a process"), re.M)
        here = self.folder / "flameprof"
        shown = re.sub(r"is [\d.]+, and", f"is {VERSION}, and", shown)
        shown = re.sub(r"\S+/flameprof is [\d.]+:", f"{here} is {version}:", shown)
        return shown

    def test_the_plugin_goes_on(self):
        """What the application cannot import, uWSGI's door does not need."""
        self.package_is(NEWER)
        text = (self.folder / "shop.py").read_text()
        text = text.replace("import flameprof", "try:\n    import flameprof\nexcept ImportError:\n"
                            "    import _flameprof as flameprof")
        (self.folder / "shop.py").write_text(text)
        server = self.server()
        self.assertEqual(server.get("/").body.decode(), VERSION)
        self.assertIn(b"<svg", server.get("/?flamegraph=1").body)

    def test_where_python_runs_before_the_plugin_it_is_off(self):
        """It is too late then to give the package the plugin's sampler."""
        source, early = self.folder / "early.c", self.folder / "early_plugin.so"
        source.write_text(EARLY)
        uwsgi = subprocess.run([UWSGI, "--cflags"], stdout=subprocess.PIPE, check=True, text=True)
        flags = [flag for flag in shlex.split(uwsgi.stdout) if flag[:2] in ("-D", "-I")]
        subprocess.run(
            ["cc", "-w", "-shared", "-fPIC", *flags, f"-I{BUILD}/obj/plugin",
             f"-I{sysconfig.get_path('include')}", str(source), "-o", str(early)], check=True)
        server = self.server(before=("--plugin", "python3", "--plugin", str(early)))
        self.assertEqual(server.get("/?flamegraph=1").body.decode(), VERSION)
        said = re.findall(r"^\[flameprof\] off: (.*)", server.log(), re.M)
        self.assertEqual(len(said), 1, server.log())
        self.assertIn("a second sampler", said[0])

    def test_without_the_plugin_a_half_exchanged_package_is_refused(self):
        self.package_is(NEWER)
        done = subprocess.run([sys.executable, "-B", "-c", "import flameprof"], cwd=self.folder,
                              stderr=subprocess.PIPE, text=True)
        self.assertEqual(done.returncode, 1)
        self.assertRegex(
            done.stderr.splitlines()[-1],
            rf"^ImportError: /.*/_flameprof\S*\.so is of flameprof {re.escape(VERSION)}, and the "
            rf"Python package flameprof in /.* is {re.escape(NEWER)}: install it again$",
        )


class Places(unittest.TestCase):
    """Debian's tools and man read files that nobody generates."""

    def test_all_say_what_the_file_says(self):
        for name, pattern in (
            ("debian/changelog", r"\Aflameprof \((.*?)\)"),
            ("CHANGELOG.md", r"^## ([\d.]+)"),
            ("docs/flameprof.1", r'"flameprof ([^"]*)"'),
            ("docs/flameprof.3", r'"flameprof ([^"]*)"'),
        ):
            with self.subTest(file=name):
                found = re.search(pattern, (ROOT / name).read_text(), re.M)
                self.assertEqual(found.group(1), VERSION)

    def test_no_other_place_has_one(self):
        """What is built says what the file says, because it is built from it."""
        for name in ("pyproject.toml", "setup.py", "Makefile", "debian/rules", "debian/control",
                     "middleware/python/flameprof/__init__.py", "plugin/plugin.mk"):
            self.assertNotIn(VERSION, (ROOT / name).read_text(), name)


if __name__ == "__main__":
    unittest.main()
