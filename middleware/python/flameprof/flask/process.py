"""The sampler of this process, and the switch it follows. One, whatever the applications."""

import os
import threading

import _flameprof

from ..launcher import SimpleLauncher
from .switch import Switch

PATIENCE = 0.5  # seconds until a worker that serves nothing sees the switch


class Process:
    """Any thread. Made anew after a fork, when the first request comes."""

    def __init__(self):
        self.pid = 0  # for which the rest holds
        self._arriving = threading.Lock()

    def arrive(self, config):
        """Called at a process's first requests, of each application."""
        with self._arriving:
            if self.pid != os.getpid():
                self._lock = threading.RLock()
                self._config = config
                self._launcher = None
                self._switch = Switch()
                self._stopped = threading.Event()
                self.problem = ""  # why it does not do what the switch says
                self.running = False
                self.interval = config.interval
                self.pid = os.getpid()

    def family(self):
        """None: it is switched alone. Else the pid of the process above the workers."""
        return self._switch.family if self._switch.is_shared() else None

    def follow(self):
        """Do what the switch says, if that is news. Cheap when it is not."""
        if not self._switch.has_changed():
            return
        with self._lock:
            setting = self._switch.read()
            try:
                self._apply(setting)
            except (RuntimeError, ValueError) as error:
                self.problem = str(error)

    def turn(self, **changes):
        """Change running or interval, here and in the other workers.

        ValueError or RuntimeError, with a sentence: it cannot be, nothing was changed.
        """
        with self._lock:
            setting = self._switch.read()._replace(**changes)
            self._apply(setting)
            self._switch.write(**changes)

    def _apply(self, setting):
        interval = setting.interval or self._config.interval
        if setting.running or interval != self.interval:
            self._launched(interval)
        if setting.running and not self.running:
            self._launcher.unpause()
            self._stopped = threading.Event()
            threading.Thread(
                target=self._watch, args=(self._stopped,), name=_flameprof.OWN_THREAD, daemon=True
            ).start()
        elif self.running and not setting.running:
            self._stopped.set()
            self._launcher.pause()
        self.running = setting.running
        self.problem = ""

    def _launched(self, interval):
        """With a launcher of that interval; one that is there forgets its statistics."""
        if self._launcher is None:
            launcher = SimpleLauncher(
                interval,
                idle=self._config.idle,
                measurement=label,
                full_paths=self._config.full_paths,
                redact=self._config.redact,
            )
            launcher.start()
            self._launcher = launcher
        elif interval != self.interval:
            self._launcher.set_interval(interval)
        self.interval = interval

    def _watch(self, stopped):
        """So that a pause reaches a worker that nobody asks for anything."""
        while not stopped.wait(PATIENCE):
            self.follow()

    def quality(self):
        """A dict, or None: nothing has been sampled since the interval was set."""
        quality = None if self._launcher is None else self._launcher.quality()
        return quality if quality and quality["samples"] else None

    def query(self):
        """The functions that were seen, most hits first, and how many stacks."""
        return ([], 0) if self._launcher is None else self._launcher.query(max_records=None)

    def snapshot(self):
        """What has been seen until now; None: nothing."""
        seen = None if self._launcher is None else self._launcher.snapshot()
        return seen if seen and seen.tally()["stacks"] else None


def label(name, file, line):
    """By which a function is counted: many have the same name."""
    return f"{name} ({file}:{line})" if file else name


PROCESS = Process()
