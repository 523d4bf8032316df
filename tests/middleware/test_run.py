"""flameprof run: the script is as it is without."""

import contextlib
import signal
import subprocess
import sys
import textwrap
import time
import unittest

from runs import BUSY, ENVIRONMENT, PACKAGE, PATIENCE, PROGRAM, Runs


class AsWithoutUs(Runs):
    def test_ways_to_end(self):
        endings = {
            "pass": 0,
            "import sys; sys.exit()": 0,
            "import sys; sys.exit(7)": 7,
            "import sys; sys.exit(None)": 0,
            "import sys; sys.exit('a sentence')": 1,
            "import sys; sys.exit((1, 2))": 1,
            "raise SystemExit(300)": 44,
            "1 / 0": 1,
            "raise KeyboardInterrupt": -signal.SIGINT,
            "syntax error": 1,
            "import no_such_module": 1,
            "import sys; sys.excepthook = lambda *a: print('hook', a[0]); 1 / 0": 1,
        }
        for text, status in endings.items():
            with self.subTest(script=text):
                self.assertEqual(self.assertSame(self.script(text)).returncode, status)

    def test_a_script_that_is_not_there(self):
        (self.folder / "p.folded").write_text("of before")
        without = self.call([sys.executable, "scrpt.py"])
        with_us = self.call([sys.executable, "-m", "flameprof", "run", "-o", "p.folded", "scrpt.py"])
        self.assertEqual((with_us.returncode, with_us.stdout, with_us.stderr),
                         (without.returncode, without.stdout, without.stderr))
        self.assertEqual(self.folded(), "of before")

    def test_tracebacks(self):
        self.script(
            """
            def outer():
                try:
                    1 / 0
                except ZeroDivisionError as error:
                    raise ValueError("with a cause") from error
            import traceback, inspect
            traceback.print_stack()
            print([frame.filename for frame in inspect.stack()])
            outer()
            """
        )
        self.assertIn("with a cause", self.assertSame("script.py").stderr)

    def test_what_a_script_sees_of_itself(self):
        see = """
            import os, signal, sys, threading
            main = sys.modules["__main__"]
            OURS = {"_flameprof", "atexit"}
            print(__name__, sys.argv, sys.path, sorted(sys.modules.keys() - OURS))
            print(main.__dict__.get("__file__"), main.__spec__, main.__package__, __builtins__)
            print(sys.stdin.read(), sys.flags, sys._getframe().f_back, sys.getrecursionlimit())
            print(sorted(os.environ.items()), sorted(os.listdir("/proc/self/fd")))
            print([signal.getsignal(n) for n in (2, 15, 1, 11, 10, 12, 14)], os.getcwd())
            print(threading.enumerate(), threading.current_thread(), sys.path_importer_cache.keys())
            print(sys.excepthook, sys.settrace, sys.getprofile(), sys.gettrace(), sys.warnoptions)
            """
        self.script(see)
        self.script(see, "package/__main__.py")
        self.script(see, "package/part.py")
        self.script("", "package/__init__.py")
        code = textwrap.dedent(see).strip()
        for target in (
            ["script.py", "a", "-i", "--", "--help", "-o", "ü"],
            [str(self.folder / "script.py")],
            ["-m", "package", "-m", "b"],
            ["-m", "package.part"],
            ["-mpackage.part", "x"],
            ["package", "as a folder"],
            ["-c", code, "-c", "1"],
            [f"-c{code}"],
        ):
            with self.subTest(target=target):
                done = self.assertSame(*target, input="of standard input")
                self.assertEqual(done.returncode, 0, done.stderr)

    def test_from_standard_input(self):
        self.assertSame("-", "1", input="import sys; print(sys.argv, __name__)")

    def test_options_of_python(self):
        self.script("import sys; print(sys.flags, sys.warnoptions, sys._xoptions); assert 0")
        for python in (["-O"], ["-W", "error", "-X", "dev"], ["-u", "-b"], ["-s"], ["-OX", "dev"],
                       ["-bWerror"], ["-BXdev", "-OO"]):
            with self.subTest(python=python):
                self.assertSame("script.py", python=python)

    def test_options_of_python_in_the_environment(self):
        self.script("import sys; print(sys.flags, sys.warnoptions, sys._xoptions); "
                    "print(getattr(sys, 'orig_argv', [])[1:])")
        for name, value in (("PYTHONWARNINGS", "error"), ("PYTHONDEVMODE", "1"),
                            ("PYTHONDONTWRITEBYTECODE", "1"), ("PYTHONOPTIMIZE", "2")):
            if name == "PYTHONDEVMODE" and sys.version_info < (3, 10):
                continue  # it cannot tell who asked for it
            with self.subTest(name=name):
                self.assertSame("script.py", env={**ENVIRONMENT, name: value})

    def test_locales(self):
        self.script(
            """
            import locale, os, sys
            print(sys.flags.utf8_mode, sys.getfilesystemencoding(), locale.getpreferredencoding())
            print([(file.encoding, file.errors) for file in (sys.stdin, sys.stdout, sys.stderr)])
            print(locale.setlocale(locale.LC_ALL), sorted(os.environ.items()))
            """
        )
        environment = {name: text for name, text in ENVIRONMENT.items()
                       if name != "LANG" and not name.startswith("LC_")}
        for given in ({}, {"LANG": "C"}, {"LC_ALL": "C"}, {"LC_CTYPE": "C.UTF-8"}, {"LANG": "C.UTF-8"},
                      {"LC_ALL": "POSIX", "PYTHONCOERCECLOCALE": "0"}, {"PYTHONUTF8": "0"}):
            with self.subTest(given=given):
                self.assertSame("script.py", env={**environment, **given})

    def test_python_path(self):
        self.script("import os, sys; print(os.environ.get('PYTHONPATH'), sys.path)")
        self.assertSame("script.py", env={**ENVIRONMENT, "PYTHONPATH": f"{PACKAGE}:/nowhere"})
        self.assertSame("script.py", env={**ENVIRONMENT, "PYTHONPATH": f"/nowhere:{PACKAGE}"})

    def test_no_python_path(self):
        """As where the package is installed."""
        self.script("import os, sys; print(os.environ.get('PYTHONPATH'), sys.path)")
        environment = {name: text for name, text in ENVIRONMENT.items() if name != "PYTHONPATH"}
        code = (f"import sys; sys.path.insert(0, {PACKAGE!r})\n"
                "from flameprof.command import main; sys.exit(main())")
        without = self.call([sys.executable, "script.py"], env=environment)
        with_us = self.call([sys.executable, "-c", code, "run", "script.py"], env=environment)
        self.assertTrue(without.stdout.startswith("None "))
        self.assertEqual(with_us.stdout, without.stdout, with_us.stderr)

    def test_sitecustomize(self):
        """The user's own is imported as ever, also one that fails."""
        self.script("import sys; sys.seen = sorted(vars()), __file__", "site/sitecustomize.py")
        self.script("import sitecustomize, sys; print(sitecustomize, sys.seen)")
        environment = {**ENVIRONMENT, "PYTHONPATH": f"{self.folder}/site:{PACKAGE}"}
        self.assertIn("site/sitecustomize.py", self.assertSame("script.py", env=environment).stdout)
        self.script("import sys; sys.seen = 1; 1 / 0", "site/sitecustomize.py")
        self.script("import sys; print(sys.seen, 'sitecustomize' in sys.modules)")
        done, _ = self.run_script("-o", "p.folded", "script.py", env=environment)
        self.assertEqual(done.stdout, "1 False\n")

    def test_another_flameprof(self):
        """PyPI has one that is not ours: a script that imports it finds it."""
        self.script("print('another', __name__)", "flameprof.py")
        self.script("import flameprof; print(flameprof.__file__)")
        done = self.call(
            [PROGRAM, "run", "-o", "p.folded", "script.py"],
            env={**ENVIRONMENT, "PYTHONPATH": f"{PACKAGE}"},
        )
        self.assertEqual(done.stdout, f"another flameprof\n{self.folder}/flameprof.py\n", done.stderr)

    def test_at_exit_and_threads(self):
        self.script(
            """
            import atexit, threading, time
            def late():
                time.sleep(0.2)
                print("late")
            atexit.register(print, "at exit")
            threading.Thread(target=late).start()
            threading.Thread(target=time.sleep, args=(100,), daemon=True).start()
            print("main ends")
            """
        )
        self.assertEqual(self.assertSame("script.py").stdout, "main ends\nlate\nat exit\n")
        self.assertIn("late (", self.folded())

    def test_trace_and_profile_functions(self):
        for hears in ("settrace", "setprofile"):
            done = self.assertSame(self.script(
                f"""
                import sys
                def hear(frame, event, argument): print(event, frame.f_code.co_name)
                def work(): pass
                sys.{hears}(hear)
                work()
                """
            ))
            self.assertIn("call work\n", done.stdout)

    def test_processes(self):
        for method in ("spawn", "fork", "forkserver"):
            with self.subTest(method=method):
                self.script(
                    f"""
                    import concurrent.futures, multiprocessing, os, sys
                    def work(n):
                        return n * n, "FLAMEPROF_RUN" in os.environ, "_flameprof" in sys.modules
                    if __name__ == "__main__":
                        multiprocessing.set_start_method({method!r})
                        with multiprocessing.Pool(2) as pool:
                            print([n[:2] for n in pool.map(work, range(4))])
                        with concurrent.futures.ProcessPoolExecutor(2) as pool:
                            print([n[:2] for n in pool.map(work, range(4))])
                        process = multiprocessing.Process(target=sys.exit, args=(5,))
                        process.start(); process.join(); print(process.exitcode)
                        process = multiprocessing.Process(target=input)
                        import time
                        process = multiprocessing.Process(target=time.sleep, args=(100,))
                        process.start(); process.terminate(); process.join()
                        print(process.exitcode)
                    """
                )
                self.assertIn("\n5\n-15\n", self.assertSame("script.py").stdout)

    def test_forked_child(self):
        """It is not profiled, and writes nothing at its end. Since 3.12 Python warns of a fork
        beside threads, which are ours."""
        self.script(
            """
            import os, sys, warnings
            warnings.simplefilter("ignore")
            child = os.fork()
            if child:
                print(os.waitpid(child, 0)[1])
            else:
                print("child", flush=True)
                sys.exit(3)
            """
        )
        self.assertEqual(self.assertSame("script.py").stdout, "child\n768\n")

    def test_sub_process(self):
        self.script(
            """
            import os, subprocess, sys
            code = "import signal, sys; print(sorted(sys.modules), signal.getsignal(15))"
            print(subprocess.run([sys.executable, "-c", code], capture_output=True).stdout)
            child = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
            child.terminate()
            print(child.wait(), os.system("exit 3"))
            """
        )
        self.assertIn("-15 768", self.assertSame("script.py").stdout)


class Interrupted(Runs):
    def start(self, *words, stdin=None, new_session=True):
        process = subprocess.Popen(
            [sys.executable, "-m", "flameprof", "run", "-o", "p.folded", *words],
            cwd=self.folder, env=ENVIRONMENT, text=True, stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, start_new_session=new_session,
        )
        self.addCleanup(self.end, process)
        return process

    def end(self, process):
        with contextlib.suppress(OSError):
            process.kill()
        process.communicate()

    def interrupt(self, text, number, within=30):
        process = self.start(self.script(BUSY + textwrap.dedent(text)))
        self.assertEqual(process.stdout.readline(), "ready\n")
        time.sleep(0.3)
        process.send_signal(number)
        begun = time.monotonic()
        said = process.communicate(timeout=PATIENCE)
        self.assertLess(time.monotonic() - begun, within)
        return process.returncode, *said

    def test_by_signals(self):
        waits = {
            "in Python": "busy(100)",
            "in a sleep": "time.sleep(100)",
            "for a thread": "import threading; threading.Event().wait()",
            # C code that never comes back to Python: a handler of Python's would not run
            "in C": "import ctypes; ctypes.CDLL(None).sleep(100); ctypes.CDLL(None).sleep(100)",
        }
        for where, wait in waits.items():
            for number in (signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT):
                with self.subTest(where=where, signal=number.name):
                    text = f"def waiting():\n    {wait}\nprint('ready', flush=True)\nwaiting()\n"
                    status, out, err = self.interrupt(text, number)
                    self.assertEqual((status, out), (-number, ""), err)
                    self.assertRegex(err, r"\Aflameprof: p\.folded: .* samples.*\n\Z")
                    self.assertIn("waiting (", self.folded())

    def test_by_the_keyboard(self):
        text = "print('ready', flush=True)\nbusy(100)\n"
        status, out, err = self.interrupt(text, signal.SIGINT)
        self.assertEqual((status, out), (-signal.SIGINT, ""), err)
        self.assertIn("KeyboardInterrupt", err)
        self.assertNotIn("hook", err)
        self.assertIn("busy (", self.folded())

    def test_the_script_has_handlers_of_its_own(self):
        text = """
            import signal, sys
            def end(number, frame):
                print("ended", number)
                sys.exit(9)
            assert signal.signal(signal.SIGTERM, end) == signal.SIG_DFL
            print("ready", flush=True)
            busy(100)
            """
        status, out, _ = self.interrupt(text, signal.SIGTERM)
        self.assertEqual((status, out), (9, "ended 15\n"))
        self.assertIn("busy (", self.folded())

    def test_said_twice(self):
        """As timeout(1) does, to the process and to its group; and by two at once."""
        self.script(
            """
            import os, signal, sys, threading, time
            numbers = [getattr(signal, name) for name in sys.argv[1:]]
            def say():
                time.sleep(0.2)
                for number in numbers:
                    os.kill(os.getpid(), number)
                    time.sleep(0.001)
            threading.Thread(target=say).start()
            time.sleep(100)
            """
        )
        for names in (["SIGTERM"] * 2, ["SIGHUP"] * 5, ["SIGTERM", "SIGHUP", "SIGTERM"]):
            with self.subTest(names=names):
                done, said = self.run_script("-o", "p.folded", "script.py", *names)
                self.assertEqual((done.returncode, done.stderr), (-getattr(signal, names[0]), ""))
                self.assertEqual(said.count("p.folded: "), 1)

    def test_ignored(self):
        text = """
            import signal
            signal.signal(signal.SIGTERM, signal.SIG_IGN)
            print("ready", flush=True)
            busy(1)
            print("went on")
            """
        self.assertEqual(self.interrupt(text, signal.SIGTERM)[:2], (0, "went on\n"))

    def test_the_picture_is_interrupted(self):
        self.script(
            """
            import os
            def interrupt(source, target):
                raise KeyboardInterrupt
            os.replace = interrupt
            """
        )
        done, said = self.run_script("-o", "p.html", "script.py")
        self.assertEqual((done.returncode, done.stderr), (0, ""))
        self.assertEqual(said, "flameprof: p.html: it could not be written: KeyboardInterrupt\n")
        self.assertEqual([path.name for path in self.folder.iterdir()], ["script.py"])

    def test_at_its_own_end(self):
        """The signal's picture is being drawn when the script comes to its end by itself."""
        self.script(
            """
            import os, random, signal, sys, time
            def again(n):
                if n:
                    random.choice(functions)(n - 1)
            functions = []
            for n in range(300):
                names = {"again": again}
                exec(f"def f{n}(n):\\n    again(n)\\n", names)
                functions.append(names[f"f{n}"])
            end = time.monotonic() + 1
            while time.monotonic() < end:
                again(60)
            os.kill(os.getpid(), signal.SIGTERM)
            time.sleep(float(sys.argv[1]))
            """
        )
        for seconds in ("0.01", "0.03", "0.05", "0.07"):
            with self.subTest(seconds=seconds):
                done, said = self.run_script("-i", "0.0005", "-o", "p.svg", "script.py", seconds)
                self.assertEqual((done.returncode, done.stderr), (-signal.SIGTERM, ""))
                self.assertEqual(said.count("p.svg: "), 1)

    def test_the_first_process_of_a_container(self):
        """Signals that it does not handle are kept from it: it goes on."""
        alone = ["unshare", "--pid", "--fork", "--kill-child"]
        if self.call([*alone, "true"]).returncode != 0:
            self.skipTest("no process namespace can be made")
        self.script(
            """
            import os, signal, subprocess, time
            assert os.getpid() == 1
            subprocess.run(["kill", "-TERM", "1"])
            subprocess.run(["kill", "-HUP", "1"])
            time.sleep(0.5)
            print("went on", int(signal.getsignal(signal.SIGTERM)))
            """
        )
        run = ["-m", "flameprof", "run", "-o", "p.folded", "script.py"]
        done = self.call([*alone, sys.executable, *run])
        self.assertEqual((done.returncode, done.stdout), (0, "went on 0\n"), done.stderr)
        self.assertIn("p.folded: ", done.stderr)

    def test_at_once_the_second_time(self):
        """While somebody keeps the GIL nothing can be written: one a second later kills."""
        text = """
            print("ready", flush=True)
            sum(range(10**12))
            """
        process = self.start(self.script(textwrap.dedent(text)))
        self.assertEqual(process.stdout.readline(), "ready\n")
        time.sleep(0.3)
        process.terminate()
        time.sleep(0.3)
        process.terminate()
        time.sleep(1.2)
        self.assertIsNone(process.poll())
        process.terminate()
        self.assertEqual(process.wait(timeout=30), -signal.SIGTERM)

    def test_ends_without_a_picture(self):
        for text, status in (
            ("import os; os._exit(4)", 4),
            ("import os; os.kill(os.getpid(), 9)", -9),
            ("import os; os.abort()", -6),
            ("import os; os.execlp('true', 'true')", 0),
            ("import signal as s; s.signal(15, print); s.signal(15, s.SIG_DFL); s.raise_signal(15)",
             -15),
        ):
            with self.subTest(script=text):
                done, said = self.run_script("-o", "none.folded", self.script(text))
                self.assertEqual((done.returncode, said), (status, ""))
                self.assertFalse((self.folder / "none.folded").exists())


if __name__ == "__main__":
    unittest.main()
