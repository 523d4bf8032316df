"""What the tests of the lookout run in a process of their own: lookout.c's sampler has
to be the only one there."""

import ctypes
import os
import pathlib
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
LIBRARY = ROOT / os.environ.get("BUILD", "build") / "tests" / "sampler" / "lookout.so"

library = ctypes.PyDLL(str(LIBRARY))
library.flame_test_begin.argtypes = [ctypes.c_double] * 4
library.flame_test_begin_at_home.argtypes = [ctypes.c_double]
library.flame_test_end.argtypes = [ctypes.c_int, ctypes.c_char_p, ctypes.c_size_t]
library.flame_test_spin.argtypes = [ctypes.c_uint, ctypes.c_double]
library.flame_test_spin.restype = ctypes.c_double
library.flame_test_unwatched.restype = ctypes.c_ulonglong

INTERVAL = 0.02
# One for all, or its memory, which malloc() keeps, would be counted for the lookout's.
text = ctypes.create_string_buffer(1 << 20)


def begin(interval=INTERVAL, slow=60, finer=0.001, most=60):
    return library.flame_test_begin(interval, slow, finer, most)


class Seen:
    """What was watched, as it ended: `had` is -1 not at all, 0 too short, 1 sampled."""

    def __init__(self, keep=True):
        self.had = library.flame_test_end(keep, text, len(text))
        lines = text.value.decode().splitlines()
        head = list(map(int, lines[0].split())) if lines else [0] * 4
        self.wall, self.cpu = head[0] / 1e9, head[1] / 1e9
        self.samples, self.interval = head[2], head[3] / 1e9
        self.places = {}  # function names, root first: seconds
        for line in lines[1:]:
            path, wall, _ = line.rsplit(" ", 2)
            names = tuple(name for name in path.split(";") if name)
            self.places[names] = self.places.get(names, 0) + int(wall) / 1e9

    def under(self, name):
        """Seconds."""
        return sum(wall for names, wall in self.places.items() if name in names)


def end(keep=True):
    return Seen(keep)


def busy(seconds):
    until = time.perf_counter() + seconds
    while time.perf_counter() < until:
        pass


def turns(name):
    """How often a thread of ours has had a CPU."""
    found = 0
    for task in pathlib.Path("/proc/self/task").iterdir():
        if (task / "comm").read_text().strip() == name:
            found += int((task / "schedstat").read_text().split()[2])
    return found
