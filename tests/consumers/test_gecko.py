"""gecko's profiles, opened by the Firefox Profiler: its command line from npm, which has
the importer, the upgraders and the call tree of profiler.firefox.com."""

import collections
import json
import os
import shutil
import tempfile
import unittest

import profiles


class Session:
    """A profile that the profiler has loaded."""

    def __init__(self, path):
        package = profiles.npm() / "@firefox-devtools" / "profiler-cli"
        self.program = ("node", str(package / "dist" / "profiler-cli.js"))
        # Short: its daemon's socket lies there.
        self.folder = tempfile.mkdtemp(prefix="gecko-")
        self.environ = {**os.environ, "PROFILER_CLI_SESSION_DIR": self.folder}
        try:
            self.say("load", str(path))
        except BaseException:
            shutil.rmtree(self.folder)
            raise

    def __enter__(self):
        return self

    def __exit__(self, *exception):
        self.say("stop")
        shutil.rmtree(self.folder)

    def say(self, *words):
        return profiles.run(*self.program, *words, env=self.environ)

    def ask(self, *words):
        return json.loads(self.say(*words, "--json"))

    def threads(self):
        return self.ask("thread", "list", "--limit", "0")["threads"]

    def functions(self, thread):
        """{name: its own}"""
        found = collections.Counter()
        answer = self.ask("thread", "functions", "--include-idle", "--limit", "0",
                          "--thread", thread["threadHandle"])  # fmt: skip
        for function in answer["functions"]:
            # Its "name" is what follows a !, as in library!function.
            found[function["nameWithLibrary"]] += function["selfSamples"]
        return +found


class Gecko(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        profiles.npm()

    def same(self, found, wanted, unit=1):
        self.assertEqual(set(found) ^ set(wanted), set())
        for name, weight in wanted.items():
            # The profiler adds up doubles.
            self.assertAlmostEqual(found[name] * unit / weight, 1, delta=1e-9, msg=name)

    def test_functions(self):
        for profile in profiles.everything():
            if profile is profiles.request():
                continue
            unit = 1 if profile.document["unit"] == "samples" else 10**6
            with self.subTest(profile.name), Session(profile.render("gecko")) as session:
                (thread,) = session.threads()
                self.assertEqual(thread["name"], profiles.TITLE)
                self.assertEqual(thread["processName"], profiles.TITLE)
                wanted = profile.by_function(profile.weights())
                self.same(session.functions(thread), wanted, unit)

    def test_request(self):
        """In the order of time, and its thread beside it."""
        profile = profiles.request()
        own, beside = profile.stretched(), profile.under("[thread helper]")
        with Session(profile.render("gecko")) as session:
            threads = {thread["name"]: thread for thread in session.threads()}
            self.assertEqual(set(threads), {profiles.TITLE, "[thread helper]"})
            found = session.functions(threads[profiles.TITLE])
            self.same(found, profile.by_function(own), 1000)
            found = session.functions(threads["[thread helper]"])
            self.same(found, profile.by_function(beside), 10**6)
            answer = session.ask("thread", "info", "--thread", "t-0")
            self.assertEqual(answer["sampleCount"], len(profile.document["stretches"]["place"]) + 1)
            end = session.ask("profile", "meta")["context"]["rootRange"]["end"]
            interval = profile.document["quality"]["interval_ns"] / 1e6
            self.assertAlmostEqual(end, sum(own) / 1000 + interval)

    def test_categories(self):
        profile = profiles.example()
        wanted = collections.Counter()
        for function, weight in zip(profile.places["function"], profile.weights()):
            wanted[profile.document["functions"][function]["origin"]] += weight
        with Session(profile.render("gecko")) as session:
            found = session.ask("thread", "samples", "--include-idle")["categoryBreakdown"]
        found = {category["name"]: category["samples"] for category in found["categories"]}
        self.same(found, +wanted, 10**6)

    def test_about(self):
        profile = profiles.request()
        with Session(profile.render("gecko")) as session:
            about = session.ask("profile", "meta")
        self.assertEqual((about["product"], about["startTime"]), ("flameprof", 0))
        self.assertEqual(about["interval"], profile.document["quality"]["interval_ns"] / 1e6)
        (section,) = about["extra"]
        self.assertIn(
            ("Subtitle", profile.document["subtitle"]),
            [(entry["label"], entry["value"]) for entry in section["entries"]],
        )


if __name__ == "__main__":
    unittest.main()
