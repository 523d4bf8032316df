"""docs/install.md's section about pip followed to the letter, without the network, and what
comes of it: what is in the wheel, in the sdist, and nothing left at the end."""

import pathlib
import re
import shutil
import tempfile
import unittest
import zipfile

import setuptools
from installing import BUILD, OFFLINE, VERSION, commands, copy_sources, run, section, tracked

LOADS = """
import importlib.metadata, json
found = importlib.metadata.distribution("uwsgi-flameprof")
for point in found.entry_points:
    point.load()
print(json.dumps(sorted([point.group, point.name, point.value] for point in found.entry_points)))
"""
PROFILES = """
import _flameprof, flameprof, time
assert "site-packages" in _flameprof.__file__, _flameprof.__file__
with flameprof.profile() as profiler:
    time.sleep(0.5)
print("samples", profiler.quality()["samples"] > 0)
"""


def files(folder):
    """What is installed there, but for what pip has compiled of itself."""
    return {
        str(path.relative_to(folder)) for path in folder.rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    } | {str(path.relative_to(folder)) for path in folder.rglob("*lameprof*")}


class Wheel(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.folder = pathlib.Path(tempfile.mkdtemp(prefix="flameprof-wheel-"))
        cls.addClassCleanup(shutil.rmtree, cls.folder)
        cls.sources = cls.folder / "sources"
        cls.sources.mkdir()
        copy_sources(cls.sources)

    def do(self, command, code=0, **environment):
        status, said = run(command, self.sources, {**OFFLINE, **environment})
        self.assertEqual(status, code, f"{command}\n{said}")
        return said

    def see_setuptools(self, venv):
        """The virtual environment sees what the page's pip would have fetched."""
        packages, = venv.glob("lib/python*/site-packages")
        see = packages / "setuptools-of-the-test.pth"
        see.write_text(str(pathlib.Path(setuptools.__file__).parents[1]))
        return see

    def test_the_page(self):
        make, install, show, _, uninstall = commands("With pip")
        self.do(make)
        venv = self.sources / "venv"
        before = files(venv)
        see = self.see_setuptools(venv)
        self.do(install)
        see.unlink()
        self.assertEqual(self.do(show).strip(), VERSION)
        with self.subTest("used from elsewhere"):
            for name, text in (("loads", LOADS), ("profiles", PROFILES)):
                (self.folder / f"{name}.py").write_text(text)
            self.assertIn("samples True", self.do("venv/bin/python ../profiles.py"))
            # What an entry point is for (pytest, say) is Debian's.
            self.do("venv/bin/python ../loads.py",
                    PYTHONPATH=str(pathlib.Path(setuptools.__file__).parents[1]))
        with self.subTest("in order"):
            self.do("venv/bin/pip check")
            said = self.do("venv/bin/pip show uwsgi-flameprof")
            self.assertRegex(said, rf"Version: {re.escape(VERSION)}\n")
            self.assertRegex(said, r"License.*: MIT\n")
        with self.subTest("nothing lies about in the sources"):
            new = {path.name for path in self.sources.iterdir()}
            self.assertEqual(new - {name.split("/")[0] for name in tracked()}, {"build", "venv"})
            self.assertEqual(list((self.sources / "middleware").rglob("*.egg-info")), [])
        self.do(uninstall)
        self.assertEqual(files(venv) - before, set())

    def test_the_wheel_has_what_make_makes(self):
        self.do("python3 -m pip wheel --no-deps -w ../wheels .")
        wheel, = (self.folder / "wheels").glob("*.whl")
        self.assertRegex(wheel.name, rf"^uwsgi_flameprof-{re.escape(VERSION)}-cp\d+-cp\d+-linux_")
        with zipfile.ZipFile(wheel) as archive:
            packed = {name for name in archive.namelist() if ".dist-info/" not in name}
        made = {
            str(path.relative_to(BUILD / "python")) for path in (BUILD / "python").rglob("*")
            if path.is_file() and path.suffix != ".pyc"
        }
        self.assertEqual(packed, made)

    def test_a_path_with_blanks(self):
        """Of the sources, and of the virtual environment that builds."""
        folder = self.folder / "a path"
        shutil.copytree(self.sources, folder / "its sources",
                        ignore=shutil.ignore_patterns("venv"))
        self.do("python3 -m venv '../a path/a venv'")
        self.see_setuptools(folder / "a venv")
        self.do("'../a path/a venv/bin/python' -m pip install --no-deps '../a path/its sources'")
        self.do("'../a path/a venv/bin/python' -c 'import flameprof; print(flameprof.stats())'")

    def test_the_sdist_has_what_the_build_reads(self):
        self.do("python3 -c 'import setuptools.build_meta as meta; meta.build_sdist(\"../sdist\")'")
        archive, = (self.folder / "sdist").glob("*.tar.gz")
        listed = self.do(f"tar -tzf {archive}").splitlines()
        packed = {name.partition("/")[2] for name in listed}
        parts = ("sampler/", "renderer/", "middleware/", "plugin/", "docs/", "examples/")
        single = {"Makefile", "VERSION", "needed.sh", "packages.sh", "packages.txt",
                  "pyproject.toml", "setup.py", "LICENSE", "README.md", "CHANGELOG.md"}
        wanted = {name for name in tracked() if name.startswith(parts)} | single
        self.assertEqual(wanted - packed, set())
        made = {name for name in packed if re.match(r"build/(?!uwsgi_flameprof.egg-info/).", name)}
        self.assertEqual(made, set(), "setuptools puts its own notes in, nothing else is made")

    def test_one_sentence_says_what_is_missing(self):
        said = self.do("python3 -m pip wheel --no-deps -w ../wheels .", code=1,
                       PKG_CONFIG_LIBDIR="/nonexistent", PKG_CONFIG_PATH="")
        sentence = ("flameprof: it cannot be built, since here is no jansson (Debian: "
                    "libjansson-dev), libsodium (Debian: libsodium-dev), libprotobuf-c (Debian: "
                    "libprotobuf-c-dev), zlib (Debian: zlib1g-dev), libcurl (Debian: "
                    "libcurl4-openssl-dev).")
        self.assertEqual(said.count(sentence), 1, said)
        self.assertNotIn("Traceback", said)

    def test_uwsgi_builds_the_plugin_itself(self):
        command, = re.findall(r"`(uwsgi --build-plugin \w+)`", section("With pip"))
        # Its make has the usual folder.
        obj, = (self.sources / "build").glob("temp.*/obj")
        shutil.copytree(obj, self.sources / "build" / "obj")
        self.do(command)
        (self.sources / "shop.py").write_text("def application(environ, start): pass\n")
        said = self.do("uwsgi --plugin ./flameprof_plugin.so --module shop --need-app --http-socket "
                       "127.0.0.1:0 --pyrun /dev/null --die-on-term")
        self.assertIn("[flameprof] ?flamegraph=1 is answered", said)

    def test_an_editable_install_is_refused(self):
        said = self.do("python3 -m pip install --target ../elsewhere -e .", code=1)
        self.assertIn("flameprof: an editable install is not possible", said)


if __name__ == "__main__":
    unittest.main()
