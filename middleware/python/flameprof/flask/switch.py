"""The one switch of all workers of a server: running or paused, and the interval.

A browser cannot choose which worker answers it, so what is switched has to hold for
all of them. They share a few bytes of a file: each looks whether these have changed
before it serves a request, which costs no system call, and follows.
"""

import fcntl
import mmap
import os
import stat
import struct
import sys
import tempfile
from typing import NamedTuple

WORD = struct.Struct("=Qd?")  # how often it was changed, then Setting
COUNT = struct.Struct("=Q")
SIZE = 32


class Setting(NamedTuple):
    interval: float  # seconds; 0: as configured
    running: bool


def family():
    """The process that has forked this one to serve, or this one if none has.

    The two servers that do so are asked: a parent can be anything.
    """
    if "gunicorn.arbiter" in sys.modules:
        return os.getppid()
    try:
        import uwsgi
    except ImportError:
        return os.getpid()
    return uwsgi.masterpid() or os.getpid()


class Switch:
    """In one process, which makes its own after a fork; the caller locks."""

    def __init__(self):
        self.family = family()
        self._file = None
        if self.family != os.getpid():
            try:
                self._file = os.open(
                    path_of(self.family),
                    os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW,
                    0o600,
                )
                os.ftruncate(self._file, SIZE)
            except OSError as error:
                print(f"[flameprof] each worker is switched alone: {error}", file=sys.stderr)
                self.family = os.getpid()
        self._bytes = mmap.mmap(-1 if self._file is None else self._file, SIZE)
        self._seen = bytes(COUNT.size)

    def is_shared(self):
        return self._file is not None

    def has_changed(self):
        """Since read() or write(). A look at memory: on the path of every request."""
        return self._bytes[: COUNT.size] != self._seen

    def read(self):
        with Locked(self._file):
            count, interval, running = WORD.unpack_from(self._bytes)
        self._seen = COUNT.pack(count)
        return Setting(interval, running)

    def write(self, **changes):
        """Changes some of the Setting for all, and returns it."""
        with Locked(self._file):
            count, interval, running = WORD.unpack_from(self._bytes)
            setting = Setting(interval, running)._replace(**changes)
            WORD.pack_into(self._bytes, 0, count + 1, *setting)
        self._seen = COUNT.pack(count + 1)
        return setting


class Locked:
    """Among processes; None: there are no others."""

    def __init__(self, file):
        self._file = file

    def __enter__(self):
        if self._file is not None:
            fcntl.flock(self._file, fcntl.LOCK_EX)

    def __exit__(self, *exception):
        if self._file is not None:
            fcntl.flock(self._file, fcntl.LOCK_UN)


def path_of(pid):
    """The file of a family: in a folder of ours, that nobody else can write to."""
    folder = os.path.join(tempfile.gettempdir(), f"flameprof-{os.geteuid()}")
    try:
        os.mkdir(folder, 0o700)
    except FileExistsError:
        found = os.lstat(folder)
        mine = stat.S_ISDIR(found.st_mode) and found.st_uid == os.geteuid()
        if not mine or found.st_mode & 0o077:
            raise PermissionError(f"{folder} is not a folder of ours alone") from None
    space = str(os.stat("/proc/self/ns/pid").st_ino)  # containers may share the folder
    forget_the_dead(folder, space)
    return os.path.join(folder, f"{space}-{pid}-{born(pid)}")


def born(pid):
    """When a process was started, in the kernel's ticks: a number can come again."""
    with open(f"/proc/{pid}/stat") as file:
        return file.read().rpartition(")")[2].split()[19]


def forget_the_dead(folder, space):
    for name in os.listdir(folder):
        whose, _, rest = name.partition("-")
        pid, _, start = rest.partition("-")
        if whose == space and pid.isdigit() and not is_alive(pid, start):
            try:
                os.unlink(os.path.join(folder, name))
            except FileNotFoundError:
                pass  # another worker was quicker


def is_alive(pid, start):
    try:
        return born(pid) == start
    except FileNotFoundError:
        return False
