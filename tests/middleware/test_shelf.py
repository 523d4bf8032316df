"""Profiles that are kept: by whom, how many, how long, and what is refused."""

import multiprocessing
import os
import stat
import tempfile
import time
import unittest

import _flameprof
import flameprof


def profile():
    with flameprof.profile() as profiler:
        end = time.thread_time() + 0.1
        while time.thread_time() < end:
            sum(i * i for i in range(1000))
    return profiler.render("json", title="kept")


def fill(folder, count):
    shelf = _flameprof.Shelf(folder)
    for _ in range(count):
        shelf.keep(b"x" * 1000)


class Shelf(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.profile = profile()

    def setUp(self):
        scratch = tempfile.TemporaryDirectory(prefix="flameprof-shelf-")
        self.addCleanup(scratch.cleanup)
        self.folder = os.path.join(scratch.name, "kept")
        self.shelf = _flameprof.Shelf(self.folder)

    def names(self):
        return set(os.listdir(self.folder))

    def test_the_same_comes_back(self):
        name = self.shelf.keep(self.profile)
        self.assertRegex(name, "^[0-9a-f]{32}$")
        self.assertEqual(self.names(), {name})
        self.assertEqual(self.shelf.render(name, "json"), self.profile)
        self.assertIn(b"genexpr", self.shelf.render(name))
        self.assertIn(b">other<", self.shelf.render(name, title="other"))
        self.assertNotEqual(self.shelf.render(name, "folded", clock="gil"),
                            self.shelf.render(name, "folded"))

    def test_for_nobody_else(self):
        name = self.shelf.keep(self.profile)
        for path, mode in ((self.folder, 0o700), (os.path.join(self.folder, name), 0o600)):
            self.assertEqual(stat.S_IMODE(os.stat(path).st_mode), mode)

    def test_the_usual_folder(self):
        before = os.environ.get("TMPDIR")
        os.environ["TMPDIR"] = os.path.dirname(self.folder)
        try:
            _flameprof.Shelf().keep(b"x")
        finally:
            if before is None:
                del os.environ["TMPDIR"]
            else:
                os.environ["TMPDIR"] = before
        self.assertIn(f"flameprof-{os.geteuid()}", os.listdir(os.path.dirname(self.folder)))

    def test_folders_that_are_refused(self):
        os.mkdir(self.folder, 0o755)
        os.chmod(self.folder, 0o755)
        with self.assertRaisesRegex(OSError, "others may look into it"):
            self.shelf.keep(b"x")
        self.assertEqual(self.names(), set())
        os.rmdir(self.folder)
        os.symlink(os.path.dirname(self.folder), self.folder)
        with self.assertRaisesRegex(OSError, "somebody else's"):
            self.shelf.keep(b"x")
        os.unlink(self.folder)
        with open(self.folder, "w"):
            pass
        with self.assertRaises(OSError):
            self.shelf.keep(b"x")
        with self.assertRaisesRegex(OSError, "cannot be used"):
            _flameprof.Shelf("/proc/no/such").keep(b"x")
        with self.assertRaises(ValueError):
            _flameprof.Shelf("x" * 600)

    @unittest.skipIf(os.geteuid() != 0, "only root can make another user's folder")
    def test_another_users_folder(self):
        os.mkdir(self.folder, 0o700)
        os.chown(self.folder, 12345, 12345)
        with self.assertRaisesRegex(OSError, "somebody else's"):
            self.shelf.keep(b"x")

    def test_not_more_than_a_hundred(self):
        first = self.shelf.keep(self.profile)
        os.utime(os.path.join(self.folder, first), (1, time.time() - 100))
        fill(self.folder, 99)
        self.assertIn(first, self.names())
        last = self.shelf.keep(self.profile)
        self.assertEqual(len(self.names()), 100)
        self.assertNotIn(first, self.names())
        self.shelf.render(last)
        with self.assertRaises(KeyError):
            self.shelf.render(first)

    def test_not_more_than_64_mb(self):
        for _ in range(5):
            self.shelf.keep(b"x" * (20 << 20))
        self.assertLessEqual(sum(os.path.getsize(os.path.join(self.folder, name))
                                 for name in self.names()), 64 << 20)
        with self.assertRaisesRegex(OSError, "too large"):
            self.shelf.keep(b"x" * (65 << 20))

    def test_not_longer_than_an_hour(self):
        name = self.shelf.keep(self.profile)
        os.utime(os.path.join(self.folder, name), (1, time.time() - 3700))
        self.shelf.keep(self.profile)
        self.assertNotIn(name, self.names())

    def test_what_a_crash_left_goes_and_what_is_not_ours_stays(self):
        self.shelf.keep(b"x")
        part, other = "0" * 32 + ".part", "notes.txt"
        for name in (part, other):
            with open(os.path.join(self.folder, name), "w"):
                pass
            os.utime(os.path.join(self.folder, name), (1, time.time() - 3700))
        self.shelf.keep(b"x")
        self.assertNotIn(part, self.names())
        self.assertIn(other, self.names())

    def test_several_processes_at_once(self):
        context = multiprocessing.get_context("fork")
        writers = [context.Process(target=fill, args=(self.folder, 150)) for _ in range(4)]
        for writer in writers:
            writer.start()
        for writer in writers:
            writer.join(60)
            self.assertEqual(writer.exitcode, 0)
        self.assertLessEqual(len(self.names()), 104)
        self.assertFalse([name for name in self.names() if name.endswith(".part")])

    def test_names_that_are_none(self):
        os.mkdir(self.folder, 0o700)
        os.symlink("/etc/passwd", os.path.join(self.folder, "a" * 32))
        os.mkdir(os.path.join(self.folder, "b" * 32))
        for name in ("", "x", "0" * 32, "A" * 32, "../" + "0" * 29, "0" * 31 + "\0", "a" * 33):
            with self.subTest(name=name):
                with self.assertRaises((KeyError, ValueError)):
                    self.shelf.render(name)
        for name in ("a" * 32, "b" * 32):
            with self.assertRaises((KeyError, OSError)):
                self.shelf.render(name)

    def test_what_is_no_profile(self):
        for data in (b"", b"{}", b"\x1f\x8b", b"a;b 1\n"):
            name = self.shelf.keep(data)
            with self.assertRaises((OSError, RuntimeError)) as raised:
                self.shelf.render(name)
            self.assertTrue(str(raised.exception))

    def test_bad_options(self):
        name = self.shelf.keep(self.profile)
        for more in ({"clock": "sun"}, {"width": 1}, {"colour": "red"}, {"idle": True}):
            with self.assertRaises(ValueError):
                self.shelf.render(name, **more)
        with self.assertRaises(ValueError):
            self.shelf.render(name, "gif")
        with self.assertRaises(TypeError):
            self.shelf.keep("text")


if __name__ == "__main__":
    unittest.main()
