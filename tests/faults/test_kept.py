"""The folder of kept profiles, and slow requests that are kept by themselves, where the
machine refuses what they need."""

import functools
import gzip
import os
import pathlib
import platform
import shutil
import sys
import tempfile
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
sys.path.insert(1, str(pathlib.Path(__file__).resolve().parent.parent))

from doors import (  # noqa: E402
    ASK,
    FOLDED,
    PRELOADED,
    Row,
    ThroughGunicorn,
    ThroughUwsgi,
    until,
)
from kept import kept  # noqa: E402

MEMORY, THREAD = 1, 4
MOST = 3000  # allocations of ours for one profile; they are far fewer
KEEP = f"{ASK}&flamegraph_keep=1"


class Folder(Row):
    @functools.cached_property
    def dir(self):
        scratch = tempfile.mkdtemp(prefix="flameprof-faults-")
        self.addCleanup(shutil.rmtree, scratch, ignore_errors=True)
        return os.path.join(scratch, "kept")

    def serve(self, **more):
        options = {"dir": self.dir, **more.pop("options", {})}
        return super().serve(options=options, **more)

    def names(self, folder=None):
        folder = folder or self.dir
        return sorted(os.listdir(folder)) if os.path.isdir(folder) else []

    def written(self, served):
        """Nothing waits to be written any more."""
        self.assertTrue(until(lambda: served.get("/our_threads").body == b"0"))

    def assert_all_whole(self, folder=None):
        """Nothing half written is left in it; how many there are."""
        for name in self.names(folder):
            self.assertTrue(name.endswith(".pb.gz"), name)
            gzip.decompress(pathlib.Path(folder or self.dir, name).read_bytes())
        return len(self.names(folder))

    def assert_lost(self, served, sentence):
        self.assertTrue(until(lambda: "could not be kept" in served.log()), served.log()[-2000:])
        self.assertIn(sentence, served.log())


class Store(Folder):
    def keep(self, served):
        """A request goes on as ever, whatever becomes of its profile."""
        answer = served.get(f"/works?{KEEP}")
        self.assertEqual((answer.status, answer.body), ("200 OK", b"worked"))
        self.written(served)
        return answer.header("X-Flameprof-Kept")

    def assert_kept(self, served, folder=None):
        name = self.keep(served)
        self.assertTrue(os.path.isfile(f"{folder or self.dir}/{name}.pb.gz"))
        self.assertIn(name.encode(), served.get("/_flameprof/").body)

    def on_a_disk(self, *more):
        """A server whose folder is a disk of its own; and where that is for us."""
        os.mkdir(self.dir, 0o700)
        mount = f"mount -t tmpfs -o size=128k,mode=700 none {self.dir}"
        served = self.serve(wrap=self.in_namespace(mount, *more))
        return served, f"/proc/{self.worker(served)}/root{self.dir}"

    def test_a_full_folder(self):
        """Until there is room again."""
        full = f"! head -c 1000000 /dev/zero >{self.dir}/full 2>/dev/null"
        served, folder = self.on_a_disk(full)
        ordinary = self.plain(served)
        for _ in range(3):
            self.keep(served)
        self.assertEqual(self.names(folder), ["full"])
        self.assert_lost(served, "there is no room in the folder for them")
        self.assertEqual(served.get("/_flameprof/").status, "200 OK")
        os.unlink(f"{folder}/full")
        self.assert_kept(served, folder)
        self.assertEqual(self.assert_all_whole(folder), 1)
        self.assert_alive(served, ordinary)

    def test_a_folder_that_is_read_only(self):
        served, folder = self.on_a_disk(f"mount -o remount,ro {self.dir}")
        ordinary = self.plain(served)
        for _ in range(3):
            self.keep(served)
        self.assertEqual(self.names(folder), [])
        self.assert_lost(served, "the folder for them cannot be used")
        self.assertIn(b"None yet", served.get("/_flameprof/").body)
        self.assert_alive(served, ordinary)

    def test_a_folder_that_is_removed(self):
        """Under the server: it is made anew, unless that cannot be."""
        served = self.serve()
        ordinary = self.plain(served)
        for _ in range(3):
            self.assert_kept(served)
            shutil.rmtree(self.dir)
            self.assertIn(b"None yet", served.get("/_flameprof/").body)
        shutil.rmtree(os.path.dirname(self.dir))
        self.keep(served)
        self.assert_lost(served, "the folder for them cannot be used")
        self.assertIn(b"None yet", served.get("/_flameprof/").body)
        os.mkdir(os.path.dirname(self.dir))
        self.assert_kept(served)
        self.assert_alive(served, ordinary)

    def test_a_link_in_its_place(self):
        """It is not followed, and nothing is shown through it."""
        served = self.serve()
        ordinary = self.plain(served)
        name = self.keep(served)
        elsewhere = self.dir + "-elsewhere"
        os.rename(self.dir, elsewhere)
        os.symlink(elsewhere, self.dir)
        before = self.names(elsewhere)
        self.keep(served)
        self.assertEqual(self.names(elsewhere), before)
        self.assert_lost(served, "the folder for them is somebody else's")
        for path in ("/_flameprof/", f"/_flameprof/{name}"):
            answer = served.get(path)
            self.assertIn(answer.status[:3], ("404", "500"))
            self.assertNotIn(b"work", answer.body)
        os.unlink(self.dir)
        self.assert_kept(served)
        self.assert_alive(served, ordinary)

    def test_no_memory(self):
        """Each allocation fails once, then all from each on: the answer is what it would be,
        or a sentence, and what is in the folder is whole."""
        served = self.serve(wrap=PRELOADED)
        ordinary = self.plain(served)
        for rest in ("", "&from=1"):
            for at in range(1, MOST):
                served.get(f"/refusing?what={MEMORY}&at={at}{rest}")
                answer = served.get(f"/short?{KEEP}")
                self.written(served)
                seen = int(served.get("/refusing").body)
                with self.subTest(at=at, rest=rest):
                    if answer.status == "200 OK":
                        self.assertEqual(answer.body, b"worked")
                    else:
                        self.assertIn(answer.status[:3], ("500", "503"), answer.raw[:300])
                        self.assertRegex(answer.body, b"(?i)memory|^$")
                if seen < at:
                    break
            self.assertLess(at, MOST - 1)
            self.assertGreater(at, 10)
        self.assertGreater(self.assert_all_whole(), 0)
        (said,) = [line for line in served.log().splitlines() if "could not be kept" in line]
        self.assertIn("no memory", said)
        self.assert_kept(served)
        self.assert_alive(served, ordinary)


class Slow(Folder):
    def serve(self, **more):
        options = {"slower_than": 0.1, "slow_per_minute": 100000, **more.pop("options", {})}
        return super().serve(options=options, **more)

    def assert_kept(self, served, path="/long", function="long"):
        """This request, by itself, and what it did."""
        before = len(self.names())
        self.assertEqual(served.get(path).status, "200 OK")
        self.assertTrue(until(lambda: len(self.names()) > before), served.log()[-2000:])
        self.written(served)
        last = kept(self.dir, before + 1)[-1]
        self.assertEqual(last.facts["path"].partition("?")[0], path.partition("?")[0])
        self.assertEqual(last.facts["why"], "slow")
        self.assert_seen([function], last.functions)
        return last

    def assert_not_seen(self, served, why):
        """Not watched, but answered, and it says so once."""
        ordinary = self.plain(served)
        for _ in range(3):
            self.assertEqual(served.get("/long").body, b"long")
        self.assertEqual(self.names(), [])
        self.assertEqual(served.log().count("slow requests are not seen"), 1, served.log()[-2000:])
        self.assertIn(f"slow requests are not seen: {why}", served.log())
        self.assertEqual(self.plain(served), ordinary)
        return ordinary

    def test_no_thread(self):
        served = self.serve(wrap=PRELOADED,
                            from_the_start=f"refusing?what={THREAD}&at=1&from=1")
        ordinary = self.assert_not_seen(served, "the system lets no further thread start")
        served.get("/refusing")
        self.assert_alive(served, ordinary)

    def test_no_timer(self):
        if platform.machine() != "x86_64":
            self.skipTest("the filter's numbers are x86-64's")
        served = self.serve(from_the_start="refuse?timer_create=1")
        ordinary = self.assert_not_seen(served, "this system does not offer")
        self.assert_alive(served, ordinary)

    def test_no_memory(self):
        """Each allocation fails once, then all from each on: the request does not notice, and
        what is in the folder is whole."""
        served = self.serve(wrap=PRELOADED)
        ordinary = self.plain(served)
        self.assert_kept(served)
        for rest in ("", "&from=1"):
            for at in range(1, MOST):
                served.get(f"/refusing?what={MEMORY}&at={at}{rest}")
                answer = served.get("/waits?ms=110")
                self.written(served)
                seen = int(served.get("/refusing").body)
                self.assertEqual(answer.body, b"waited", (at, rest))
                if seen < at:
                    break
            self.assertLess(at, MOST - 1)
            self.assertGreater(at, 10)
        self.assertGreater(self.assert_all_whole(), 1)
        self.assert_kept(served)
        self.assert_alive(served, ordinary)

    def test_no_descriptor_left(self):
        """Where there is none to write with it is lost, which is said (a server may have
        closed the connection by then, which leaves one); the next ones are not."""
        served = self.serve()
        ordinary = self.plain(served)
        self.assertGreater(int(served.get("/descriptors?left=0").body), 10)
        self.assertEqual(served.get("/long").body, b"long")
        self.assertTrue(until(lambda: self.names() or "could not be kept" in served.log()))
        self.assertEqual(self.plain(served), ordinary)
        served.get("/descriptors")
        self.assert_all_whole()
        self.assert_kept(served)
        self.assert_alive(served, ordinary)

    def test_faulthandler(self):
        """On and off while slow requests are watched; it has the application's crash."""
        served = self.serve()
        pid = self.worker(served)
        self.assert_kept(served)
        for _ in range(2):
            served.get("/installs?which=faulthandler")
            self.assert_kept(served)
            served.get("/disables")
            self.assert_kept(served)
        served.get("/installs?which=faulthandler")
        self.assertEqual(self.worker(served), pid)
        self.assert_sound(served)
        self.assertEqual(served.get("/crashes").raw, b"")
        self.assertTrue(until(lambda: "Fatal Python error" in served.log()))
        self.assertTrue(until(lambda: served.get("/pid").body not in (b"", str(pid).encode())))
        self.assert_kept(served)

    def test_sigurg_is_the_applications(self):
        """Each of its signals comes, and samples are had beside them; one question of ours
        it may get where it begins to handle them while it is asked."""
        served = self.serve()
        ordinary = self.plain(served)
        for late in (1, 0, 1, 0):
            last = self.assert_kept(served, f"/takes_sigurg?late={late}", "takes_sigurg")
            self.assert_more_than(20, last.facts["quality"]["samples"])
        for late, most in ((0, 30), (1, 33)):
            for query in ("", f"&{FOLDED}"):
                answer = served.get(f"/takes_sigurg?late={late}{query}")
                came = int(answer.header("X-Came"))
                self.assertGreaterEqual(came, 30)
                self.assertLessEqual(came, most)
        self.assert_profiled(answer, "takes_sigurg", "work")
        self.assert_alive(served, ordinary)


class StoreThroughUwsgi(ThroughUwsgi, Store):
    pass


class StoreThroughGunicorn(ThroughGunicorn, Store):
    pass


class SlowThroughUwsgi(ThroughUwsgi, Slow):
    pass


class SlowThroughGunicorn(ThroughGunicorn, Slow):
    pass


del Folder, Store, Slow  # they have no door

if __name__ == "__main__":
    unittest.main()
