"""pytest --flameprof, as somebody types it who has tests."""

import importlib.util
import json
import os
import re
import subprocess
import unittest

from runs import PLUGIN, Measuring, Runs

SHOP = """
import time

import pytest

def price(seconds):
    time.sleep(seconds)

@pytest.fixture
def stock():
    load(0.03)
    yield
    unload()

def load(seconds):
    time.sleep(seconds)

def unload():
    time.sleep(0.03)

def test_slow():
    price(0.2)

def test_quick():
    pass

def test_middle(stock):
    price(0.05)
"""


class Graphs(Measuring, Runs):
    def test_the_slowest_are_kept_and_listed(self):
        self.write(SHOP)
        said = self.pytest("--flameprof", "--flameprof-keep", "2")
        self.assertIn("3 passed", said)
        self.assertEqual(self.told(said), ["test_slow", "test_middle"])
        self.assertEqual(self.graphs(), ["test_shop.py.test_middle.svg", "test_shop.py.test_slow.svg"])
        (slow, _, file), (middle, _, _) = self.listed(said)
        self.assertEqual(file, "flameprof-tests/test_shop.py.test_slow.svg")
        self.assertGreater(slow, 0.19)
        self.assertGreater(middle, 0.1)
        self.assertIn("price", self.graph("test_slow"))
        index = json.loads((self.folder / "flameprof-tests/flameprof.json").read_text())
        self.assertEqual([entry["test"] for entry in index],
                         ["test_shop.py::test_slow", "test_shop.py::test_middle"])
        self.assertEqual([entry["outcome"] for entry in index], ["passed", "passed"])

    def test_the_call_begins_at_the_test_and_the_fixtures_are_there(self):
        self.write(SHOP)
        self.pytest("--flameprof")
        slow, middle = self.graph("test_slow"), self.graph("test_middle")
        for ours in ("pytest_pyfunc_call", "watched", "_around"):
            self.assertNotIn(f'"{ours}"', slow)
        self.assertNotIn("pytest_pyfunc_call", middle)
        for name in ("pytest_runtest_setup", "load", "pytest_runtest_teardown", "unload", "price"):
            self.assertIn(name, middle)

    def test_the_next_run_takes_its_place(self):
        self.write(SHOP)
        self.pytest("--flameprof")
        (self.folder / "flameprof-tests/of-mine.svg").write_text("")
        self.pytest("--flameprof", "-k", "quick")
        self.assertEqual(self.graphs(), ["of-mine.svg", "test_shop.py.test_quick.svg"])
        self.pytest("--flameprof", "--flameprof-dir", "build/graphs", "-k", "slow")
        self.assertEqual(self.graphs("build/graphs"), ["test_shop.py.test_slow.svg"])

    def test_the_next_run_takes_the_place_of_one_that_crashed(self):
        self.write(SHOP + "def test_crash():\n    import os\n    os._exit(9)\n")
        self.pytest("--flameprof", code=9)
        self.assertIn("test_shop.py.test_slow.svg", self.graphs())
        folder = self.folder / "flameprof-tests"
        self.assertEqual(len(list(folder.glob(".run-*"))), 1)
        self.pytest("--flameprof", "-k", "nothing", code=5)
        self.assertIn("test_shop.py.test_slow.svg", self.graphs())
        self.assertEqual(self.told(self.pytest("--flameprof", "-k", "quick")), ["test_quick"])
        self.assertEqual(sorted(os.listdir(folder)), ["flameprof.json", "test_shop.py.test_quick.svg"])

    def test_a_run_within_a_run(self):
        self.write("import subprocess, sys, time\n"
                   "def test_before(): time.sleep(0.02)\n"
                   "def test_of_a_run():\n"
                   "    words = '-m pytest -p flameprof.pytest_plugin --flameprof -k inner'.split()\n"
                   "    subprocess.run([sys.executable, *words], check=True)\n"
                   "def test_inner(): pass\n")
        said = self.pytest("--flameprof", "-k", "before or run")
        self.assertEqual(self.told(said), ["test_of_a_run", "test_before"])

    def test_a_note_that_is_cut_or_leads_elsewhere(self):
        self.write(SHOP)
        (self.folder / "flameprof-tests").mkdir()
        for name in ("mine.svg", "flameprof-tests/old.svg"):
            (self.folder / name).write_text("")
        gone = subprocess.Popen(["true"])
        gone.wait()
        (self.folder / f"flameprof-tests/.run-{gone.pid}-{'a' * 32}").write_text(
            '{"file": "../mine.svg"}\n{"file": "old.svg"}\n{"file": "ol')
        self.assertEqual(self.told(self.pytest("--flameprof", "-k", "quick")), ["test_quick"])
        self.assertEqual(self.graphs(), ["test_shop.py.test_quick.svg"])
        self.assertTrue((self.folder / "mine.svg").exists())

    def test_a_test_that_goes_elsewhere(self):
        self.write("import os\ndef test_away(tmp_path): os.chdir(tmp_path)\n")
        self.assertEqual(self.told(self.pytest("--flameprof")), ["test_away"])
        self.assertEqual(len(self.graphs()), 1)

    def test_parameters_have_files_of_their_own(self):
        self.write("import pytest\n@pytest.mark.parametrize('x', ['a/b', 'a b', 'ü' * 300])\n"
                   "def test_of(x): pass\n")
        self.assertEqual(len(self.listed(self.pytest("--flameprof"))), 3)
        self.assertEqual(len(self.graphs()), 3)

    def test_names_that_no_folder_takes(self):
        """They are as long as they are in bytes."""
        self.write(f"def test_{'я' * 120}a(): pass\ndef test_{'я' * 120}b(): pass\n")
        self.assertEqual(len(self.listed(self.pytest("--flameprof"))), 2)
        self.assertEqual(len(self.graphs()), 2)

    def test_names_that_are_no_text(self):
        for name in (b"test_caf\xe8.py", b"test_caf\xe9.py"):
            self.write("def test_it(): pass\n", os.fsdecode(name))
        folder = os.fsdecode(b"caf\xe9")
        self.assertIn("2 passed", self.pytest("--flameprof", "--flameprof-dir", folder))
        one, other = self.graphs(folder)
        self.assertRegex(one, r"^test_caf\.\.py\.test_it-\w{8}\.svg$")
        self.assertIn("<title>test_caf?.py::test_it", (self.folder / folder / other).read_text())

    def test_the_index_is_no_link(self):
        self.write(SHOP)
        (self.folder / "flameprof-tests").mkdir()
        (self.folder / "precious").write_text("before")
        (self.folder / "flameprof-tests/flameprof.json").symlink_to("../precious")
        self.pytest("--flameprof")
        self.assertEqual((self.folder / "precious").read_text(), "before")
        self.assertEqual(len(json.loads((self.folder / "flameprof-tests/flameprof.json").read_text())), 3)

    def test_without_the_option_nothing_is_there(self):
        self.write(SHOP)
        self.write("def pytest_unconfigure(config):\n"
                   "    plugins = [name for name, _ in config.pluginmanager.list_name_plugin()]\n"
                   "    print('watched:', 'flameprof-watch' in plugins)\n", "conftest.py")
        said = self.pytest("-s")
        self.assertIn("watched: False", said)
        self.assertNotIn("flame graphs", said)
        self.assertFalse((self.folder / "flameprof-tests").exists())
        self.assertIn("watched: True", self.pytest("-s", "--flameprof"))

    def test_what_makes_no_sense(self):
        self.write(SHOP)
        for option, value, said in (
            ("interval", "7", "interval takes seconds from 0.00005 to 1"),
            ("clock", "moon", "it is one of wall, cpu, offcpu and gil"),
            ("keep", "-1", "takes a number from 0"),
            ("dir", "test_shop.py", "File exists"),
        ):
            with self.subTest(option=option):
                text = self.pytest("--flameprof", f"--flameprof-{option}={value}", code=4)
                self.assertRegex(text, rf"(?m)^ERROR: --flameprof-{option}.*{re.escape(said)}")
                self.assertNotIn("Traceback", text)


class Kinds(Measuring, Runs):
    def test_a_failing_test_fails_as_it_would(self):
        self.write("def check(): assert 1 == 2\ndef test_bad():\n    check()\n")
        before = self.pytest(code=1)
        after = self.pytest("--flameprof", code=1)
        self.assertEqual(self.told(after), ["test_bad"])
        failure = re.compile(r"^=+ FAILURES.*?(?=^=+ (?:short|flame))", re.M | re.S)
        self.assertEqual(failure.search(before)[0], failure.search(after)[0])
        index = json.loads((self.folder / "flameprof-tests/flameprof.json").read_text())
        self.assertEqual(index[0]["outcome"], "failed")

    def test_capture_and_fixtures_are_untouched(self):
        self.write("def test_said(capsys, request):\n    print('x')\n"
                   "    assert capsys.readouterr().out == 'x\\n'\n"
                   "    assert request.node.name == 'test_said'\n"
                   "class TestIt:\n    def test_self(self, tmp_path):\n"
                   "        assert type(self).__name__ == 'TestIt' and tmp_path.is_dir()\n")
        self.assertIn("2 passed", self.pytest("--flameprof"))

    def test_unittest(self):
        self.write(
            "import asyncio, time, unittest\n"
            "class Case(unittest.TestCase):\n"
            "    def setUp(self): self.ready = True\n"
            "    def test_it(self):\n        assert self.ready\n        time.sleep(0.05)\n"
            "class Async(unittest.IsolatedAsyncioTestCase):\n"
            "    async def test_it(self):\n        self.work()\n        await asyncio.sleep(0.02)\n"
            "    def work(self): time.sleep(0.05)\n"
        )
        said = self.pytest("--flameprof")
        self.assertEqual(sorted(self.told(said)), ["Async::test_it", "Case::test_it"])
        self.assertIn("Case.test_it", self.graph("Case.test_it"))
        self.assertNotIn("TestCase.run", self.graph("Case.test_it"))
        self.assertIn("Async.work", self.graph("Async.test_it"))

    @unittest.skipUnless(importlib.util.find_spec("pytest_asyncio"), "there is no pytest-asyncio")
    def test_coroutines(self):
        self.write(
            "import asyncio, time, pytest\n"
            "def work(): time.sleep(0.05)\n"
            "@pytest.mark.asyncio\nasync def test_it():\n"
            "    work()\n    await asyncio.sleep(0.03)\n    assert True\n"
        )
        said = self.pytest("--flameprof")
        self.assertIn("1 passed", said)
        graph = self.graph("test_it")
        self.assertIn("work", graph)
        self.assertIn("test_it", graph)
        self.assertNotIn("pytest_pyfunc_call", graph)
        self.assertGreater(self.listed(said)[0][0], 0.08)

    def test_doctests(self):
        self.write('"""\n>>> import time\n>>> time.sleep(0.05)\n"""\n', "shop.py")
        said = self.pytest("--flameprof", "--doctest-modules", "shop.py")
        self.assertEqual(self.told(said), ["shop"])

    def test_the_debugger(self):
        self.write("def test_bad():\n    x = 41\n    assert x == 42\n")
        said = self.pytest("--flameprof", "--pdb", says="p 'x is', x\nq\n", code=2)
        self.assertIn("('x is', 41)", said)
        self.assertIn("-> assert x == 42", said)
        self.write("def test_stop():\n    x = 1\n    breakpoint()\n    x = 2\n")
        said = self.pytest("--flameprof", says="p 'x is', x\nc\n")
        self.assertIn("('x is', 1)", said)
        self.assertEqual(self.told(said), ["test_stop"])

    def test_one_that_is_interrupted(self):
        self.write("import time\ndef endless():\n    time.sleep(0.1)\n    raise KeyboardInterrupt\n"
                   "def test_endless(): endless()\n")
        said = self.pytest("--flameprof", code=2)
        self.assertEqual(self.told(said), ["test_endless"])
        self.assertIn("endless", self.graph("test_endless"))
        self.assertIn("interrupted", self.graph("test_endless"))

    def test_a_part_that_is_interrupted(self):
        self.write("import time\ndef test_endless(flameprof):\n    with flameprof:\n"
                   "        time.sleep(0.1)\n        raise KeyboardInterrupt\n")
        for options in ((), ("--flameprof",)):
            self.assertEqual(self.told(self.pytest(*options, code=2)), ["test_endless"])
            self.assertIn("interrupted", self.graph("test_endless"))


class Chosen(Measuring, Runs):
    def test_the_marker(self):
        self.write("import time, pytest\n"
                   "@pytest.mark.flameprof(interval=0.0005, clock='cpu')\n"
                   "def test_chosen(): time.sleep(0.02)\n"
                   "def test_other(): time.sleep(0.05)\n")
        said = self.pytest("--strict-markers")
        self.assertEqual(self.told(said), ["test_chosen"])
        self.assertIn("interval 500.0 µs asked", self.graph("test_chosen"))
        self.assertEqual(self.told(self.pytest("--flameprof", "--flameprof-keep", "1")),
                         ["test_other", "test_chosen"])
        self.assertEqual(self.told(self.pytest("--flameprof", "--flameprof-keep", "0")),
                         ["test_chosen"])

    def test_a_title(self):
        self.write("import pytest\n@pytest.mark.flameprof(title='mine')\ndef test_one(): pass\n"
                   "@pytest.mark.flameprof(title='its own')\ndef test_two(flameprof):\n"
                   "    with flameprof: pass\n")
        self.pytest()
        self.assertIn("<title>mine", self.graph("test_one"))
        self.assertIn("<title>its own", self.graph("test_two"))

    def test_a_marker_that_makes_no_sense(self):
        for given, said in (("interval=7", "interval takes seconds"), ("clock='moon'", "one of wall"),
                            ("intervall=1", "intervall"), ("1", "it takes keywords"),
                            (r"title='\udce9'", "surrogates")):
            self.write(f"import pytest\n@pytest.mark.flameprof({given})\ndef test_it(): pass\n")
            text = self.pytest(code=1)
            self.assertRegex(text, rf"(?m)^@pytest.mark.flameprof: .*{said}")
            self.assertNotIn("During handling", text)
            self.assertIn("1 error", text)
            self.assertNotIn("During handling", text)

    def test_the_fixture(self):
        self.write("import time\n"
                   "def part(): time.sleep(0.05)\n"
                   "def rest(): time.sleep(0.05)\n"
                   "def test_part(flameprof):\n"
                   "    with flameprof:\n        part()\n"
                   "    rest()\n"
                   "    assert flameprof.top(1)[0].total > 0.03\n"
                   "def test_never(flameprof): pass\n"
                   "def test_left(flameprof):\n    flameprof.start()\n    part()\n")
        for arguments in ((), ("--flameprof",)):
            said = self.pytest(*arguments)
            self.assertIn("3 passed", said)
            self.assertEqual(sorted(self.told(said)), ["test_left", "test_part"])
            self.assertIn("part", self.graph("test_part"))
            self.assertNotIn('"rest"', self.graph("test_part"))


    def test_how_the_test_of_a_fixture_ended(self):
        self.write("import pytest\n"
                   "@pytest.fixture\ndef through(flameprof): return flameprof\n"
                   "def test_named(flameprof):\n    with flameprof: pass\n    assert 0\n"
                   "def test_good(flameprof):\n    with flameprof: pass\n"
                   "def test_asked(request):\n"
                   "    with request.getfixturevalue('flameprof'): pass\n    assert 0\n"
                   "def test_through(through):\n    with through: pass\n    assert 0\n")
        for only in ("named or good", "asked", "through"):
            self.pytest("-k", only, code=1)
            index = json.loads((self.folder / "flameprof-tests/flameprof.json").read_text())
            for entry in index:
                expected = "passed" if entry["test"].endswith("good") else "failed"
                self.assertEqual(entry["outcome"], expected, entry["test"])


class Workers(Measuring, Runs):
    def setUp(self):
        super().setUp()
        if importlib.util.find_spec("xdist") is None:
            self.skipTest("there is no pytest-xdist")

    def test_the_slowest_of_all_workers(self):
        self.write("import time, pytest\n@pytest.mark.parametrize('n', range(8))\n"
                   "def test_of(n): time.sleep(n / 20)\n")
        said = self.pytest("--flameprof", "--flameprof-keep", "3", "-n", "2")
        self.assertIn("8 passed", said)
        self.assertEqual(self.told(said), ["test_of[7]", "test_of[6]", "test_of[5]"])
        self.assertEqual(len(self.graphs()), 3)

    def test_the_one_that_ends_the_run(self):
        self.write("import time\n"
                   "def test_before(): time.sleep(0.02)\n"
                   "def test_bad():\n    time.sleep(0.05)\n    assert 0\n"
                   "def test_after(): time.sleep(0.02)\n")
        said = self.pytest("--flameprof", "-n", "1", "-x", code=2)
        self.assertIn("test_bad", self.told(said))
        files = [file.split("/")[1] for _, _, file in self.listed(said)]
        self.assertEqual(self.graphs(), sorted(files))

    def test_the_marker_and_the_fixture(self):
        self.write("import time, pytest\n@pytest.mark.flameprof\ndef test_one(): time.sleep(0.02)\n"
                   "def test_two(flameprof):\n    with flameprof: time.sleep(0.03)\n")
        said = self.pytest("-n", "1")
        self.assertEqual(self.told(said), ["test_two", "test_one"])


class Loading(Runs):
    """Once, whoever names it."""

    def setUp(self):
        super().setUp()
        self.write("def test_it(): pass\n")

    def test_the_entry_point(self):
        self.install()
        for plugin in ((), PLUGIN):
            self.assertEqual(self.told(self.pytest("--flameprof", plugin=plugin)), ["test_it"])

    def test_a_conftest(self):
        self.write('pytest_plugins = ["flameprof.pytest_plugin"]\n', "conftest.py")
        for plugin in ((), PLUGIN):
            self.assertEqual(self.told(self.pytest("--flameprof", plugin=plugin)), ["test_it"])
        self.install()
        for plugin in ((), PLUGIN):
            self.assertEqual(self.told(self.pytest("--flameprof", plugin=plugin)), ["test_it"])

    def test_switched_off(self):
        self.install()
        self.pytest(plugin=("-p", "no:flameprof"))
        said = self.pytest("--flameprof", plugin=("-p", "no:flameprof"), code=4)
        self.assertIn("unrecognized arguments: --flameprof", said)
        self.pytest(plugin=("-p", "no:flameprof.pytest_plugin"))


if __name__ == "__main__":
    unittest.main()
