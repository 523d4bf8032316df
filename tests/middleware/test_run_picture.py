"""flameprof run: the picture, what the command line may say, and who takes it."""

import os
import re
import signal
import subprocess
import sys
import textwrap
import unittest

import flameprof
from flameprof.hook import flameprof_hook
from runs import BUSY, ENVIRONMENT, PACKAGE, PATIENCE, PROGRAM, Runs

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))

from measuring import Measuring  # noqa: E402


class Pictures(Runs, Measuring):
    def test_default(self):
        self.script("print('done')", "some/work.py")
        done, said = self.run_script("some/work.py")
        self.assertEqual((done.stdout, done.stderr), ("done\n", ""))
        self.assertRegex(said, r"\Aflameprof: work\.py\.svg: \d+\.\d\d s, [\d,]+ samples.*\n\Z")
        self.assertIn("<title>work.py", (self.folder / "work.py.svg").read_text())

    def test_names(self):
        self.script("pass", "part.py")
        self.script("pass", "folder/__main__.py")
        for target, name in (
            (["-m", "part"], "part.svg"),
            (["-mpart"], "part.svg"),
            (["-c", "1"], "code.svg"),
            (["-"], "stdin.svg"),
            (["folder/"], "folder.svg"),
        ):
            with self.subTest(target=target):
                self.assertIn(f"flameprof: {name}: ", self.run_script(*target)[1])
                self.assertTrue((self.folder / name).exists())

    def test_names_that_are_no_utf_8(self):
        folder = self.folder / os.fsdecode(b"f\xfflder")
        name = os.fsdecode(b"\xe4.py")
        self.script("pass", folder / name)
        for words, picture in ((("-o", "p.svg"), "p.svg"), ((), f"{name}.svg")):
            done = subprocess.run(
                [sys.executable, "-m", "flameprof", "run", *words, name], cwd=folder, env=ENVIRONMENT,
                capture_output=True, timeout=PATIENCE)
            self.assertEqual(done.returncode, 0)
            self.assertRegex(done.stderr, rb"\Aflameprof: .*\.svg: .* samples.*\n\Z")
            self.assertIn(r"\udce4.py", (folder / picture).read_text())

    def test_what_the_time_was(self):
        self.script(
            BUSY
            + textwrap.dedent(
                """
                import threading
                def sleeping():
                    time.sleep(0.6)
                def sleep_beside():
                    time.sleep(0.9)
                thread = threading.Thread(target=sleep_beside, name="helper")
                thread.start()
                busy(0.3)
                sleeping()
                thread.join()
                """
            )
        )
        done, _ = self.run_script("-o", "p.folded", "script.py")
        self.assertEqual((done.returncode, done.stderr), (0, ""))
        roots, leaves = self.seconds(0), self.seconds(-1)
        self.assertEqual(set(roots), {"[thread MainThread]", "[thread helper]"})
        self.assertAlmostEqual(roots["[thread helper]"], 0.9, delta=0.2)
        waits = sum(seconds for name, seconds in leaves.items() if "sleep" in name)
        self.assertAlmostEqual(waits, 1.5, delta=0.3)
        busy = sum(leaves.get(name, 0) for name in ("busy", "time.perf_counter()"))
        self.assertAlmostEqual(busy, 0.3, delta=0.2)

    def seconds(self, at, name="p.folded"):
        """Time by function: of the roots, or of the leaves."""
        found = {}
        for line in self.folded(name).splitlines():
            stack, microseconds = line.rsplit(" ", 1)
            function = stack.split(";")[at].split(" (/")[0]
            found[function] = found.get(function, 0) + int(microseconds) / 1e6
        return found

    def test_nothing_of_ours(self):
        """As often as it takes to hit what is there for some microseconds only."""
        self.script("import threading; threading.Thread(target=print).start()")
        for _ in range(15):
            self.run_script("-i", "0.00005", "-o", "p.folded", "script.py")
            for ours in ("flameprof/", "flameprof_", "sitecustomize", "without a name"):
                self.assertNotIn(ours, self.folded())

    def test_nothing_of_pythons_start(self):
        """What site does when it has imported our part, for example."""
        version = "python%d.%d" % sys.version_info[:2]
        self.script(BUSY + "busy(0.3)\nprint('late')\n",
                    f"lib/{version}/site-packages/usercustomize.py")  # fmt: skip
        self.script(BUSY + "busy(0.1)\n")
        environment = {**ENVIRONMENT, "PYTHONUSERBASE": str(self.folder)}
        done, _ = self.run_script("-o", "p.folded", "script.py", env=environment)
        self.assertIn("late", done.stdout)
        self.assertNotIn("customize", self.folded())
        self.assertIn("script.py", self.folded())

    def test_what_is_left_out(self):
        """The frames that are ours, should one be hit."""
        session = flameprof.Session(everybody=True, interval=0.0002)
        session.start()
        for _ in range(50000):
            flameprof_hook.status_of(0)
        session.stop()
        self.assertIn("flameprof_hook.py", session.folded(idle=[]))
        self.assertNotIn("flameprof_hook.py", session.folded(idle=flameprof_hook.OURS))

    def test_options(self):
        self.script(BUSY + "busy(0.2)\ntime.sleep(0.2)\n")
        self.run_script("--clock", "cpu", "--title=Of mine", "-ocpu.folded", "-i0.002", "script.py")
        # By that name, though nobody has imported threading.
        self.assertEqual(set(self.seconds(0, "cpu.folded")), {"[thread MainThread]"})
        leaves = self.seconds(-1, "cpu.folded")
        waits = sum(seconds for name, seconds in leaves.items() if "sleep" in name)
        self.assertLess(waits, 0.1)
        self.assertLess(waits, leaves["busy"])
        self.run_script("--title", "Of mine", "-o", "title.svg", "--", "script.py")
        self.assertIn("<title>Of mine", (self.folder / "title.svg").read_text())
        lines = re.compile(r"<module> \(\S+/script\.py:([3-9]|\d\d)\)")  # 3.9: the first is 2
        for options, found in (([], False), (["--lines"], True)):
            self.run_script(*options, "-o", "lines.folded", "script.py")
            self.assertEqual(bool(lines.search(self.folded("lines.folded"))), found)

    def test_idle(self):
        self.script("import threading; threading.Event().wait(0.5)")
        self.run_script("-o", "all.folded", "script.py")
        self.run_script("--no-idle", "-o", "rest.folded", "script.py")
        waits = "/threading.py:"  # Event.wait()
        self.assertGreater(self.longest(waits, "all.folded"), 0.4)
        self.assertLess(self.longest(waits, "rest.folded"), 0.1)

    def longest(self, leaf, name):
        """Seconds of the stack with that leaf that took longest."""
        stacks = [line.rsplit(" ", 1) for line in self.folded(name).splitlines()]
        return max(
            (int(time) / 1e6 for stack, time in stacks if leaf in stack.split(";")[-1]), default=0
        )

    def test_a_picture_that_cannot_be_written(self):
        self.script("import os; os.rmdir('out'); raise SystemExit(4)")
        (self.folder / "out").mkdir()
        done, said = self.run_script("-o", "out/p.svg", "script.py")
        self.assertEqual(done.returncode, 4)
        self.assertEqual(
            said, "flameprof: out/p.svg: it could not be written: No such file or directory\n"
        )

    def test_standard_error_that_is_closed(self):
        self.script(
            BUSY + "import os; os.close(2); file = open('log', 'w'); busy(0.1)\n"
            "print(file.fileno(), flush=True)\n"
        )
        done, said = self.run_script("-o", "p.folded", "script.py")
        self.assertEqual((done.stdout, said), ("2\n", ""))
        self.assertEqual((self.folder / "log").read_text(), "")
        self.assertIn("script.py", self.folded())


class Misused(Runs):
    def test_sentences(self):
        self.script("print('it ran')")
        for words, sentence in (
            ([], "a script is missing"),
            (["-m"], "nothing stands behind -m"),
            (["-c"], "nothing stands behind -c"),
            (["--what", "script.py"], "no such option of run: --what"),
            (["-x", "script.py"], "no such option of run: -x"),
            (["-f", "html", "script.py"], "run has no --format: the ending of --output FILE"),
            (["--format=html", "script.py"], "run has no --format: the ending of --output FILE"),
            (["-o"], "a value is missing: -o"),
            (["-i", "0", "script.py"], "interval takes"),
            (["-i", "nan", "script.py"], "interval takes"),
            (["-i", "often", "script.py"], "interval takes"),
            (["--clock", "cuckoo", "script.py"], "clock='cuckoo'"),
            (["-o", "p.gif", "script.py"], "'p.gif': no format has this ending"),
            (["-o", "-", "script.py"], "'-': no format has this ending"),
            (["python3", "script.py"], "the script comes without python before it"),
        ):
            with self.subTest(words=words):
                done = self.call([PROGRAM, "run", *words])
                self.assertEqual((done.returncode, done.stdout), (2, ""))
                self.assertRegex(done.stderr, r"\Aflameprof: .*\nTry: flameprof --help\n\Z")
                self.assertIn(sentence, done.stderr)

    def test_what_cannot_be(self):
        self.script("print('it ran')")
        (self.folder / "dir.svg").mkdir()
        for output in ("nowhere/p.svg", "dir.svg"):
            done = self.call([PROGRAM, "run", "-o", output, "script.py"])
            self.assertEqual((done.returncode, done.stdout), (1, ""))
            self.assertEqual(done.stderr, f"flameprof: {output}: it cannot be written there\n")
        done = self.call(["sh", "-c", "mkdir gone && cd gone && rmdir ../gone && "
                          f"exec {sys.executable} -m flameprof run -c pass"])
        self.assertEqual((done.returncode, done.stdout, done.stderr),
                         (1, "", "flameprof: the current folder is not there any more\n"))
        done = self.call([sys.executable, "-E", "-c", f"import sys; sys.path.insert(0, {PACKAGE!r});"
                          "from flameprof.command import main; main()", "run", "script.py"])
        self.assertEqual(done.stdout, "")
        self.assertIn("-I, -E and -S", done.stderr)

    def test_no_python(self):
        done = self.call([PROGRAM, "run", "x.py"], env={**ENVIRONMENT, "PYTHON": "/nowhere/python"})
        self.assertEqual((done.returncode, done.stderr),
                         (1, "flameprof: /nowhere/python: No such file or directory\n"))
        done = self.call([PROGRAM, "run", "x.py"], env={**ENVIRONMENT, "PYTHONPATH": ""})
        self.assertEqual(done.returncode, 1)
        self.assertRegex(done.stderr, r"\Aflameprof: \S+ has no flameprof of ours .*\n\Z")


class Program(Runs):
    """python -m flameprof is the program."""

    def both(self, *words, **options):
        python = self.call([sys.executable, "-m", "flameprof", *words], **options)
        program = self.call([PROGRAM, *words], **options)
        self.assertEqual(
            (python.returncode, python.stdout, python.stderr),
            (program.returncode, program.stdout, program.stderr),
        )
        return program

    def test_the_same(self):
        folded = "a;b 1\na;c 3\n"
        self.assertIn("<svg", self.both("render", input=folded).stdout)
        self.assertIn("--interval", self.both("--help").stdout)
        self.assertIn("--interval", self.both("run", "--help").stdout)
        self.assertIn("--interval", self.both("run", "-h").stdout)
        self.assertIn("flameprof ", self.both("--version").stdout)
        self.assertEqual(self.both().returncode, 2)
        self.assertEqual(self.both("fly").returncode, 2)
        self.assertEqual(self.both("work.py").stderr, "flameprof: no such command, but run, render, "
                         "diff and sign: work.py\nTry: flameprof --help\n")
        self.assertEqual(self.both("render", "-f", "gif").returncode, 2)
        self.assertEqual(self.both("sign").returncode, 2)
        self.assertEqual(self.both("render", "a", "b").returncode, 2)

    def test_a_pipe_that_is_closed(self):
        command = f"{sys.executable} -m flameprof render -f folded; echo $? >status"
        process = subprocess.run(
            ["bash", "-c", f"({command}) | true"], cwd=self.folder, env=ENVIRONMENT,
            input="a;b 1\n" * 100000, capture_output=True, text=True, timeout=PATIENCE,
        )
        self.assertEqual(process.stderr, "")

    def test_in_the_background(self):
        """A shell's script has Ctrl-C ignored there."""
        for program in ([PROGRAM], [sys.executable, "-m", "flameprof"]):
            with self.subTest(program=program):
                process = subprocess.Popen(
                    ["sh", "-c", 'trap "" INT; exec "$@"', "sh", *program, "render", "-f", "folded"],
                    env=ENVIRONMENT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
                )
                process.stdin.write("a;b 1\n" * 100000)  # more than a pipe has: it reads
                process.stdin.flush()
                process.send_signal(signal.SIGINT)
                drawn, _ = process.communicate(timeout=PATIENCE)
                self.assertEqual((process.returncode, drawn), (0, "a;b 100000\n"))


if __name__ == "__main__":
    unittest.main()
