"""The folder of the flame graphs of one run of pytest."""

import contextlib
import json
import os
import re
import uuid
import zlib

from ..hook.flameprof_hook import save

INDEX = "flameprof.json"
NOTES = re.compile(r"\.run-(\d+)-[0-9a-f]{32}")
NAME_BYTES = 150


def new_run():
    """The name of a run of pytest, by the process that prints its summary."""
    return f".run-{os.getpid()}-{uuid.uuid4().hex}"


class Folder:
    """SVG files, an index of them, and the notes of the run that draws them.

    Every method may raise OSError. The processes of a run share it: each writes files of
    its own tests and notes them, and the one that prints the summary calls prune() at the
    end. A run that never comes there leaves its notes for the next one.
    """

    def __init__(self, start, folder, run):
        """folder: below start, if it is no whole path. run: what new_run() said."""
        self._folder = folder
        self._path = os.path.join(start, folder)
        self._run = run

    def path(self, name):
        return os.path.join(self._path, name)

    def shown(self, name):
        """For who stands in start."""
        return os.path.join(self._folder, name)

    def make(self):
        os.makedirs(self._path, exist_ok=True)

    def remove(self, name):
        """Whatever name is: nothing but a graph of this folder is removed."""
        if name.endswith(".svg") and name == os.path.basename(name):
            with contextlib.suppress(FileNotFoundError):
                os.unlink(self.path(name))

    def note(self, entry):
        """A graph was drawn. entry: test, seconds, file, outcome, and chosen if that test
        is to be kept in any case."""
        line = json.dumps(entry).encode() + b"\n"
        with open(self.path(self._run), "ab", buffering=0) as file:
            file.write(line)  # at once: other processes write there, too

    def prune(self, keep):
        """The entries that stay, the slowest first: `keep` of them, and all that are chosen.

        The files of the others are removed, and so are those of runs before; but a run
        that has drawn nothing leaves the folder as it is.
        """
        # By file: a test may be run again.
        latest = {entry["file"]: entry for entry in self._noted(self._run)}
        if not latest:
            return []
        entries = sorted(latest.values(), key=lambda entry: -entry["seconds"])
        slowest = [entry for entry in entries if not entry["chosen"]]
        kept = [entry for entry in entries if entry not in slowest[keep:]]
        over = [name for name in os.listdir(self._path) if is_over(name)]
        before = {entry["file"] for run in over for entry in self._noted(run)}
        for name in (self._listed() | before | set(latest)) - {entry["file"] for entry in kept}:
            self.remove(name)
        save(self.path(INDEX), json.dumps(kept, indent=1).encode())
        for run in {*over, self._run}:
            os.unlink(self.path(run))
        return kept

    def _noted(self, run):
        """The entries of a run, in the order in which they were drawn."""
        entries = []
        with contextlib.suppress(FileNotFoundError), open(self.path(run)) as file:
            for line in file:
                with contextlib.suppress(ValueError):  # the disk was full
                    entries.append(json.loads(line))
        return entries

    def _listed(self):
        """The files that the index of the run before has."""
        try:
            with open(self.path(INDEX)) as file:
                return {str(entry["file"]) for entry in json.load(file)}
        except (OSError, ValueError, TypeError, KeyError):
            return set()


def is_over(name):
    """It is a file of notes, and the process is gone that would have printed the summary."""
    match = NOTES.fullmatch(name)
    if match is None:
        return False
    process = int(match[1])
    if process == os.getpid():  # a number is given again, in containers soon
        return True
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return True
    except OSError:
        pass  # somebody else's
    return False


def file_of(test):
    """A file's name for a test's, which no other test has."""
    name = re.sub(r"[^\w.-]+", ".", test).strip(".")
    short = name.encode()[:NAME_BYTES].decode(errors="ignore")
    if name != short or not re.fullmatch(r"[\w./-]+(::\w+)*", test):
        name = f"{short}-{zlib.crc32(test.encode('utf-8', 'surrogatepass')):08x}"
    return name + ".svg"
