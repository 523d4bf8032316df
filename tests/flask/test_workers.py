"""Over HTTP, with two workers: one switch for all, numbers of each, and who they are of."""

import os
import re
import signal
import sys
import time
import unittest

sys.path.insert(1, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))

from measuring import until  # noqa: E402
from server import Server, missing  # noqa: E402


def tickers(pid):
    """Native threads of a process that sample."""
    names = []
    for task in os.listdir(f"/proc/{pid}/task"):
        try:
            with open(f"/proc/{pid}/task/{task}/comm") as file:
                names.append(file.read().strip())
        except OSError:
            pass
    return [name for name in names if name.startswith("flameprof")]


class Workers(unittest.TestCase):
    def through(self, kind):
        reason = missing(kind)
        if reason:
            self.skipTest(reason)
        with Server(kind) as server:
            pages = server.each("/flameprof/status")
            self.all_say(pages, "paused")
            self.assertEqual([tickers(pid) for pid in pages], [[], []])
            for pid, text in pages.items():
                family = int(re.search(r"one worker of\s+server (\d+)", text).group(1))
                self.assertNotIn(family, pages)

            server.press("set_interval", interval="0.005")
            server.press("start")
            self.all_say(server.each("/flameprof/status"), "running")
            # A worker may have to wait for the CPU.
            self.assertTrue(until(lambda: self.sampled(server) > 100))
            pages = until(lambda: self.background(server))
            self.assertTrue(pages)
            for text in pages.values():
                self.assertIn('value="0.005"', text)
            for text in server.each("/flameprof/status?max_records=10000").values():
                self.assertNotIn("_watch", text)  # our own thread's
            for pid, text in server.each("/flameprof/graph?format=svg").items():
                self.assertIn(pid, pages)
                self.assertTrue("grind" in text, "not in the picture")

            server.press("pause")
            # nobody asks them meanwhile
            self.assertTrue(until(lambda: [tickers(pid) for pid in pages] == [[], []]))
            self.all_say(server.each("/flameprof/status"), "paused")
            self.a_new_one(server, kind, list(pages))

    def sampled(self, server):
        """How often slow() was seen, by all workers; it makes some of them, 400 a turn at best."""
        for _ in range(4):
            server.get("/slow/0.5")
        return sum(map(self.hits, server.each("/flameprof/status?re_filter=^slow").values()))

    def background(self, server):
        """Each worker's page, if each has seen the thread that runs in it."""
        pages = server.each("/flameprof/status?re_filter=in_the_background")
        seen = [re.search(r'"function">in_the_background', text) for text in pages.values()]
        return pages if all(seen) else None

    def hits(self, text):
        """Of the first function."""
        return sum(map(int, re.findall(r'<td class="number">(\d+)<', text)[:1]))

    def all_say(self, pages, state):
        for text in pages.values():
            self.assertIn(f">{state}<", text)

    def a_new_one(self, server, kind, pids):
        """A worker that is started anew does what the others do."""
        server.press("start")
        os.kill(pids[0], signal.SIGKILL)
        deadline = time.monotonic() + 20
        while True:
            time.sleep(0.3)
            try:
                pages = server.each("/flameprof/status")
            except (OSError, AssertionError):
                pages = {}
            if len(pages) == 2 and pids[0] not in pages:
                break
            self.assertLess(time.monotonic(), deadline)
        self.all_say(pages, "running")
        server.press("pause")

    def test_gunicorn(self):
        self.through("gunicorn")

    def test_gunicorn_preload(self):
        self.through("preload")

    def test_uwsgi(self):
        self.through("uwsgi")

    def test_one_process(self):
        with Server("werkzeug") as server:
            ((pid, text),) = server.each("/flameprof/status", 1).items()
            self.assertEqual(pid, server.process.pid)
            self.assertIn("alone", text)
            self.assertEqual(os.listdir(server.temporary.name), [])
            server.press("start")
            server.get("/slow/0.3")
            self.assertIn(">slow ", server.get("/flameprof/status?re_filter=slow"))

    def test_requests_are_of_the_worker(self):
        reason = missing("gunicorn")
        if reason:
            self.skipTest(reason)
        with Server("gunicorn") as server:
            asked = {}
            for _ in range(20):
                pid = int(server.get("/pid"))
                asked[pid] = asked.get(pid, 0) + 1
            for pid, text in server.each("/flameprof/show_req_times", len(asked)).items():
                hits = re.findall(r'>pid .*\n<td class="number">(\d+)<', text)
                self.assertEqual(hits, [str(asked[pid])] if pid in asked else [])


if __name__ == "__main__":
    unittest.main()
