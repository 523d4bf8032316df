"""Completion in bash, zsh and fish: every option that --help has, where it belongs."""

import os
import pathlib
import pty
import re
import select
import shutil
import subprocess
import tempfile
import time
import unittest

import pyte

ROOT = pathlib.Path(__file__).resolve().parents[2]
FOLDER = ROOT / "middleware" / "command" / "completion"
PROGRAM = os.path.abspath(os.environ["FLAMEPROF"])
COMMANDS = ["run", "render", "diff", "sign"]
VALUES = {
    "run --clock": {"wall", "cpu", "offcpu", "gil"},
    "render --format": set("svg html png pdf folded json speedscope pprof gecko".split()),
    "diff -u": {"microseconds", "samples"},
    "render --colours": {"origin", "file", "warm"},
}


def helped():
    """By sub-command: its long options."""
    text = subprocess.run([PROGRAM, "--help"], capture_output=True, text=True).stdout
    run, rest = text.split("\nrender and diff draw", 1)
    draw, sign = rest.split("\nsign prints", 1)
    sign = sign.split("--version")[0]
    absolute = {"--absolute"}
    found = [set(re.findall(r"^ .{5}(--[a-z-]+)", part, re.M)) for part in (run, draw, sign)]
    return {"run": found[0], "render": found[1] - absolute, "diff": found[1], "sign": found[2]}


class Completion:
    def test_sub_commands(self):
        self.assertLessEqual(set(COMMANDS), self.offered("flameprof ", COMMANDS))

    def test_options(self):
        for command, options in helped().items():
            with self.subTest(command=command):
                self.assertGreater(len(options), 4)
                offered = self.offered(f"flameprof {command} --", options)
                self.assertEqual(offered - {"--help"}, options - {"--help"})

    def test_values(self):
        for words, values in VALUES.items():
            with self.subTest(words=words):
                self.assertEqual(self.offered(f"flameprof {words} ", values), values)

    def test_files(self):
        for words in ("run -o ", "run ", "run script.py ", "run -i 1 script.py --its ", "render ",
                      "sign --secret-file "):
            with self.subTest(words=words):
                self.assertIn("script.py", self.offered(f"flameprof {words}scr", ["script.py"]))

    def test_what_is_the_scripts(self):
        for words in ("run script.py --", "run -o x.svg script.py --", "run -m module --"):
            with self.subTest(words=words):
                self.assertEqual(self.offered(f"flameprof {words}", []), set())


class Shell(unittest.TestCase):
    def setUp(self):
        self.assertTrue(shutil.which(self.SHELL), "it is in packages.txt")
        folder = tempfile.TemporaryDirectory(prefix="completion-")
        self.addCleanup(folder.cleanup)
        self.folder = folder.name
        pathlib.Path(self.folder, "script.py").write_text("")

    def ask(self, *words, **options):
        done = subprocess.run(words, cwd=self.folder, capture_output=True, text=True, timeout=60,
                              env={**os.environ, "HOME": self.folder, "LC_ALL": "C.UTF-8"})
        self.assertEqual(done.stderr, "")
        return done.stdout


class Bash(Completion, Shell):
    SHELL = "bash"
    # As readline does: = is a word, too, and the function's answer, else files.
    CODE = """
        source "$1"
        read -ra COMP_WORDS <<<"${2//=/ = }"
        [[ $2 == *" " ]] && COMP_WORDS+=("")
        COMP_CWORD=$((${#COMP_WORDS[@]} - 1))
        complete -p flameprof | grep -q -- '-o default' || exit 1
        _flameprof
        printf '%s\\n' "${COMPREPLY[@]}"
        ((${#COMPREPLY[@]})) || compgen -f -- "${COMP_WORDS[COMP_CWORD]}"
        """

    def offered(self, line, _expected):
        text = self.ask("bash", "-c", self.CODE, "bash", str(FOLDER / "flameprof.bash"), line)
        return set(text.split())

    def test_values_behind_an_equals_sign(self):
        for words, values in VALUES.items():
            if "--" in words:
                with self.subTest(words=words):
                    self.assertEqual(self.offered(f"flameprof {words}=", values), values)
        self.assertEqual(self.offered("flameprof run --clock=c", []), {"cpu"})
        self.assertEqual(self.offered("flameprof run --clock=cpu --li", []), {"--lines"})
        self.assertEqual(self.offered("flameprof run --output=x.svg script.py --li", []), set())
        self.assertIn("script.py", self.offered("flameprof run --output=scr", []))


class Fish(Completion, Shell):
    SHELL = "fish"
    CODE = 'source $argv[1]; complete -C "$argv[2]"'

    def offered(self, line, _expected):
        text = self.ask("fish", "--no-config", "-c", self.CODE, str(FOLDER / "flameprof.fish"), line)
        return {line.split("\t")[0] for line in text.splitlines()}

    # fish has no word for "from here on it is another program's".
    test_what_is_the_scripts = None


class Zsh(Completion, Shell):
    """zsh completes on a terminal only."""

    SHELL = "zsh"
    ROWS, COLUMNS = 60, 100

    def setUp(self):
        super().setUp()
        shutil.copy(FOLDER / "_flameprof", self.folder)
        self.process, self.terminal = pty.fork()
        if self.process == 0:
            os.chdir(self.folder)
            os.execvpe("zsh", ["zsh", "-f", "-i"],
                       {**os.environ, "TERM": "xterm", "HOME": self.folder, "LC_ALL": "C.UTF-8"})
        self.addCleanup(self.close)
        self.screen = pyte.Screen(self.COLUMNS, self.ROWS)
        self.stream = pyte.ByteStream(self.screen)
        setup = (f"stty rows {self.ROWS} columns {self.COLUMNS}; PS1='> '; "
                 "setopt auto_list no_always_to_end no_menu_complete no_auto_menu; "
                 "zstyle ':completion:*' insert-unambiguous no; LISTMAX=1000; "
                 "fpath=($PWD $fpath); autoload -U compinit && compinit -u -D; print re''ady\n")
        self.type(setup, lambda text: "ready" in text)

    def close(self):
        os.close(self.terminal)
        os.waitpid(self.process, 0)

    def type(self, text, seen):
        """What is on the screen then, or after a while."""
        os.write(self.terminal, text.encode())
        patience = time.monotonic() + 20
        while time.monotonic() < patience:
            if select.select([self.terminal], [], [], 0.2)[0]:
                self.stream.feed(os.read(self.terminal, 65536))
            elif seen("\n".join(self.screen.display)):
                break
        return "\n".join(self.screen.display)

    def offered(self, line, expected):
        self.type("\x15", lambda text: True)
        self.type("clear\n", lambda text: "ready" not in text)
        # ^D lists what could follow.
        seen = (lambda text: all(word in text for word in expected)) if expected else (
            lambda text: True)
        text = self.type(f"{line}\x04", seen)
        rest = text.split(line.rstrip(), 1)[1] if line.rstrip() in text else text
        if "script.py" in expected:
            return {word for word in expected if word in rest}
        if expected and not next(iter(expected)).startswith("--"):
            return set(expected) & set(re.findall(r"[\w-]+", rest))
        return set(re.findall(r"(?<!\S)--[a-z][a-z-]*", rest))

    def test_files(self):
        for words in ("run -o ", "run ", "run script.py ", "render ", "sign --secret-file "):
            with self.subTest(words=words):
                self.type("\x15", lambda text: True)
                line = f"flameprof {words}scr"
                text = self.type(f"{line}\t", lambda text: f"{line}ipt.py" in text)
                self.assertIn(f"{line}ipt.py", text)


if __name__ == "__main__":
    unittest.main()
