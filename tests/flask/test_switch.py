"""The switch's file: shared by a family only, and nobody else's."""

import os
import stat
import tempfile
import unittest
from unittest import mock

from flameprof.flask import switch


class Switch(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        for patch in (
            mock.patch.object(tempfile, "tempdir", folder.name),
            mock.patch.object(switch, "family", os.getppid),
        ):
            patch.start()
            self.addCleanup(patch.stop)
        self.folder = os.path.join(folder.name, f"flameprof-{os.geteuid()}")

    def test_what_one_writes_the_other_reads(self):
        one, other = switch.Switch(), switch.Switch()
        self.assertFalse(one.has_changed() or other.has_changed())
        self.assertEqual(other.read(), (0.0, False))
        one.write(running=True)
        self.assertFalse(one.has_changed())
        self.assertTrue(other.has_changed())
        self.assertEqual(other.read(), (0.0, True))
        self.assertFalse(other.has_changed())
        other.write(interval=0.5)  # and running stays what it was
        self.assertEqual(one.read(), (0.5, True))
        self.assertEqual(switch.Switch().read(), (0.5, True))

    def test_a_new_one_has_news(self):
        switch.Switch().write(running=True)
        self.assertTrue(switch.Switch().has_changed())

    def test_nobody_else_reads_it(self):
        switch.Switch()
        self.assertEqual(stat.S_IMODE(os.stat(self.folder).st_mode), 0o700)
        (name,) = os.listdir(self.folder)
        file = os.stat(os.path.join(self.folder, name))
        self.assertEqual((stat.S_IMODE(file.st_mode), file.st_size), (0o600, switch.SIZE))

    def test_a_folder_that_is_not_ours(self):
        def others_may_write():
            os.mkdir(self.folder)
            os.chmod(self.folder, 0o777)

        def a_link():
            os.mkdir(self.folder + "-elsewhere", 0o700)
            os.symlink(self.folder + "-elsewhere", self.folder)

        def a_file():
            with open(self.folder, "w"):
                pass

        for make in (others_may_write, a_link, a_file):
            with self.subTest(make.__name__), mock.patch.object(switch.sys, "stderr") as said:
                make()
                alone = switch.Switch()
                self.assertFalse(alone.is_shared())
                self.assertIn("not a folder of ours", said.write.call_args_list[0][0][0])
                alone.write(running=True)
                self.assertEqual(alone.read(), (0.0, True))
                self.assertFalse(switch.Switch().has_changed())
                os.rename(self.folder, self.folder + make.__name__)

    def test_a_link_in_the_place_of_the_file(self):
        target = os.path.join(os.path.dirname(self.folder), "target")
        with open(target, "w") as file:
            file.write("untouched")
        path = switch.path_of(os.getppid())
        os.symlink(target, path)
        with mock.patch.object(switch.sys, "stderr"):
            self.assertFalse(switch.Switch().is_shared())
        self.assertEqual(os.path.getsize(target), 9)

    def test_files_of_the_dead_go(self):
        switch.Switch()
        (alive,) = os.listdir(self.folder)
        space, pid, start = alive.split("-")
        names = {f"{space}-{pid}-1": False, f"{space}-999999999-5": False, f"1-{pid}-1": True}
        for name in names:
            with open(os.path.join(self.folder, name), "w"):
                pass
        switch.Switch()
        kept = {name for name, stays in names.items() if stays} | {alive}
        self.assertEqual(set(os.listdir(self.folder)), kept)

    def test_alone_it_has_no_file(self):
        with mock.patch.object(switch, "family", os.getpid):
            self.assertFalse(switch.Switch().is_shared())
        self.assertFalse(os.path.exists(self.folder))


if __name__ == "__main__":
    unittest.main()
