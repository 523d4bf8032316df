"""A profiler of the whole process, switched on and off while the process works.

>>> from flameprof import launcher
>>> launcher = launcher.SimpleLauncher()
>>> launcher.start()
>>> launcher.unpause()
>>> text = [repr(list(range(1000))) for _ in range(2000)]
>>> query, total_records = launcher.sampler.my_db.query()
>>> info = [f"{record.name}: {record.hits}" for record in query]
>>> print("Items in query:\\n  - " + "\\n  - ".join(info))  # doctest: +ELLIPSIS
Items in query:
  - ...
>>> launcher.cancel()
"""

import atexit
import os
import re
import threading
import weakref
from typing import NamedTuple

import _flameprof

from .profiler import Profiler


class Record(NamedTuple):
    """What was seen of a function, with all that it calls but for ``own``; in seconds."""

    name: str
    hits: int  # samples it was in; one inside its own calls counts once
    own: float
    total: float


class Snapshot:
    """What a launcher has seen so far; what a Session says, without what is idle."""

    def __init__(self, session, idle=None):
        self._session, self._idle = session, idle

    def render(self, format="svg", **options):
        """Bytes of a format. Options: as of Session.render()."""
        return self._session.render(format, **{"idle": self._idle, **options})

    def svg(self, **options):
        return self._session.svg(**{"idle": self._idle, **options})

    def folded(self, **options):
        return self._session.folded(**{"idle": self._idle, **options})

    save = Profiler.save

    def functions(self, **options):
        return self._session.functions(**{"idle": self._idle, **options})

    def tally(self, **options):
        return self._session.tally(**{"idle": self._idle, **options})

    def quality(self):
        return self._session.quality()


def by_name(name, file, line):
    return name


class SimpleLauncher:
    """Samples all threads of the process while it is not paused, which it is at first.

    interval: seconds between two samples of a thread, 0.00005 to 10. recorder: its method
    record(rows) is called at each pause(), query() and cancel() with Records of what was
    seen since the last time. measurement: called with (name, file, line) of a function,
    returns the name that it is counted by. idle: patterns of places where threads only
    wait for work, in place of flameprof.IDLE. full_paths and redact: as of Session.

    Any thread may call any method. A forked child has a launcher that is paused and has
    seen nothing.
    """

    def __init__(
        self,
        interval=0.01,
        recorder=None,
        idle=None,
        measurement=by_name,
        full_paths=True,
        redact=(),
    ):
        self._names = {"full_paths": full_paths, "redact": redact}
        self._new_session(interval)  # ValueError: before anything has begun
        self._interval = interval
        self._recorder, self._measurement = recorder, measurement
        self._idle = idle
        self._started = self._cancelled = False
        self._forget()
        _launchers.add(self)

    @classmethod
    def launch(cls, *args, **kwargs):
        """A launcher that samples already."""
        launcher = cls(*args, **kwargs)
        launcher.start()
        launcher.unpause()
        return launcher

    def _forget(self):
        self._lock = threading.RLock()
        self._recording = threading.RLock()  # never asked for by who has the lock
        self._paused = True
        self._session = None  # what runs
        self._seen = self._new_session(self._interval)  # since the interval was set
        self._before = self._new_session(self._interval)

    def _new_session(self, interval):
        return _flameprof.Session(interval=interval, everybody=True, **self._names)

    # ---- what runs; all with the lock

    def _go_on(self):
        """Sample, if that is wanted."""
        if self._session is None and self._started and not self._paused:
            session = self._new_session(self._interval)
            try:
                session.start()
            except BaseException:
                self._paused = True
                raise
            self._session = session

    def _halt(self):
        """Do not sample any more; what was seen, or None."""
        session, self._session = self._session, None
        if session is not None:
            session.stop()
            self._seen.merge(session)
        return session

    def _all(self):
        session = self._before.snapshot()
        session.merge(self._seen)
        return session

    def _check(self):
        if self._cancelled:
            raise RuntimeError("the launcher has been cancelled")

    # ---- what it is told

    def start(self):
        """Be ready; it stays paused unless unpause() has been called."""
        with self._lock:
            self._check()
            if self._started:
                raise RuntimeError("the launcher has been started already")
            self._started = True
            self._go_on()

    def unpause(self):
        """Sample from here on. RuntimeError: it cannot, or has been cancelled."""
        with self._lock:
            self._check()
            self._paused = False
            self._go_on()

    def pause(self):
        """Sample nothing until unpause()."""
        with self._lock:
            self._paused = True
            session = self._halt()
        self._record(session)

    def is_paused(self):
        return self._paused

    def cancel(self):
        """End for good. What was seen can still be asked for."""
        with self._lock:
            self._cancelled = True
            self._paused = True
            session = self._halt()
        self._record(session)

    @property
    def interval(self):
        return self._interval

    def set_interval(self, interval):
        """Seconds, 0.00005 to 10; ValueError: they are not. quality() begins anew, what
        was seen stays."""
        seen = self._new_session(interval)
        with self._lock:
            session = self._halt()
            self._before.merge(self._seen)
            self._seen = seen
            self._interval = interval
            self._go_on()
        self._record(session)

    # ---- what was seen

    def _look(self):
        """A Session of all until now, while it goes on."""
        with self._lock:
            session = self._halt()
            self._go_on()
            everything = self._all()
        self._record(session)
        return everything

    def _records(self, session):
        rows = session.functions(idle=self._idle, name=self._measurement)
        records = [
            Record(name, samples, own / 1e9, total / 1e9)
            for name, _, _, own, total, samples, _ in rows
            if samples and not (name.startswith("[") and name.endswith("]"))
        ]
        return sorted(records, key=lambda record: (-record.hits, -record.total, record.name))

    def _record(self, session):
        if session is not None and self._recorder is not None:
            with self._recording:
                self._recorder.record(self._records(session))

    def query(self, re_filter=".*", max_records=10):
        """(Records of functions whose name the expression is found in, the most hits first;
        the number of different stacks of all). None: all. ValueError: that is none."""
        try:
            found = re.compile(".*" if re_filter is None else re_filter).search
        except re.error as error:
            raise ValueError(f"re_filter={re_filter!r} is no regular expression: {error}") from None
        if max_records is not None and max_records < 0:
            raise ValueError(f"max_records={max_records!r}: it is a count, or None for all")
        session = self._look()
        records = [record for record in self._records(session) if found(record.name)]
        return records[:max_records], session.tally(idle=self._idle)["stacks"]

    def show(self, limit=10, query=".*", sep="\n", col="  "):
        """A table as text; sep is between lines, col between columns."""
        records, stacks = self.query(query, limit)
        head = f"The first {len(records)} functions of {stacks} stacks:"
        titles = col.join([f"{'hits':>8}", f"{'own s':>10}", f"{'total s':>10}", "function"])
        lines = [
            col.join([f"{hits:8}", f"{own:10.3f}", f"{total:10.3f}", name])
            for name, hits, own, total in records
        ]
        return sep.join([head, titles, *lines])

    def snapshot(self):
        """What has been seen so far, which does not change any more: a Snapshot."""
        return Snapshot(self._look(), self._idle)

    def quality(self):
        """A dict of how it was sampled since the interval was set: as Session.quality(),
        and mean and deviation of the time between two samples, in seconds."""
        with self._lock:
            session = self._halt()
            self._go_on()
            quality = self._seen.snapshot().quality()
        self._record(session)
        quality["mean"] = quality["spacing_mean_ns"] / 1e9
        quality["deviation"] = quality["spacing_deviation_ns"] / 1e9
        return quality

    @property
    def sampler(self):
        """Itself, as is its my_db: where ox_profile's launcher keeps query() and show()."""
        return self

    my_db = sampler


_launchers = weakref.WeakSet()


def _after_fork():
    for launcher in list(_launchers):
        launcher._forget()


def _at_exit():
    for launcher in list(_launchers):
        launcher.cancel()


os.register_at_fork(after_in_child=_after_fork)
atexit.register(_at_exit)
