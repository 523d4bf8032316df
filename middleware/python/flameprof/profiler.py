"""Profiles of code, wherever it is: an object, and a context manager."""

import logging
import os
import sys
from typing import NamedTuple

import _flameprof

from .hook.flameprof_hook import save

logger = logging.getLogger("flameprof")


class Row(NamedTuple):
    """A function: its own time, and its time with all that it calls, in seconds.

    A call inside the function's own counts once in ``total`` and in ``samples``.
    """

    name: str
    file: str  # "": not known
    line: int  # of the definition; 0: not known
    own: float
    total: float
    samples: int
    places: int  # in the call tree


class Profiler:
    """What the thread that calls start() does until it calls stop().

    It may be started again: all of it is one profile. Options are those of Session:
    interval in seconds, 0.00005 to 1; max_seconds after which sampling ends by itself,
    0 for never; lines, threads, children; full_paths=False and redact for a picture
    that is shown to others; sources, a dict of texts by file, for code that is in no file.

    >>> profiler = Profiler(interval=0.0005)
    >>> profiler.start()
    >>> text = repr(list(range(100000)))
    >>> profiler.stop()
    >>> profiler.save("/tmp/of-a-list.svg")
    """

    def __init__(self, *, interval=0.001, title="", **options):
        self.title = title
        self._session = _flameprof.Session(interval=interval, **options)

    def start(self):
        """RuntimeError: it runs already, or this Python cannot be sampled."""
        self._session.start()

    def stop(self):
        """On the thread of start(). RuntimeError: it does not run."""
        self._session.stop()

    def pause(self):
        """Watch nothing until resume(). On the thread of start()."""
        self._session.pause()

    def resume(self):
        """Go on after pause()."""
        self._session.resume()

    def __enter__(self):
        self._session.start()
        return self

    def __exit__(self, *exception):
        self._session.stop()

    def merge(self, other):
        """Take in what another Profiler has seen, which stays as it is."""
        self._session.merge(other._session)

    def render(self, format="svg", **options):
        """The profile as bytes of svg, html, folded, json, speedscope, pprof, gecko, png or pdf.

        options: clock (wall, cpu, offcpu, gil), title, subtitle, inverted, callers,
        colours, width, smallest, scale. ValueError: it does not take that.
        """
        options.setdefault("title", self.title or None)
        return self._session.render(format, **options)

    def save(self, path, **options):
        """Write the profile to a file, whose ending says the format: .svg, .html, .folded,
        .json, .pb.gz, .speedscope.json, .gecko.json, .png or .pdf. Options: as of render().

        The file is there when all of it is, or it stays what it was.
        """
        path = os.fspath(path)
        save(path, self.render(_flameprof.format_of(path), **options))

    def top(self, count=10, *, clock="wall"):
        """The functions with the most own time, as Rows."""
        rows = self._session.functions(clock=clock)[:count]
        return [
            Row(name, file, line, own / 1e9, total / 1e9, samples, places)
            for name, file, line, own, total, samples, places in rows
        ]

    def quality(self):
        """How the profile came about: a dict of counts, and of times in ns."""
        return self._session.quality()

    def summary(self, count=10, *, clock="wall"):
        """A few lines of text: the duration, and top()."""
        quality = self.quality()
        lines = [
            f"{quality['duration_ns'] / 1e9:.3f} s, CPU time {quality['cpu_ns'] / 1e9:.3f} s, "
            f"{quality['samples']} samples, {quality['missed']} missed",
            "     own s    total s  function",
        ]
        for row in self.top(count, clock=clock):
            where = f" ({row.file}:{row.line})" if row.file else ""
            lines.append(f"{row.own:10.3f} {row.total:10.3f}  {row.name}{where}")
        return "\n".join(lines)

    def _repr_html_(self):
        """The frame with the picture, for notebooks; None while the profile is made."""
        from .ipython import Graph

        try:
            return Graph(self)._repr_html_()
        except RuntimeError:
            return None


class profile:
    """A profile of a block; with print_summary, said on standard error at its end.

    >>> with profile() as profiler:
    ...     text = repr(list(range(100000)))
    >>> profiler.save("/tmp/of-a-block.svg")

    It ends when the block does, also by an exception. Options are Profiler's.
    """

    def __init__(self, interval=0.001, print_summary=False, **options):
        self._profiler = Profiler(interval=interval, **options)
        self._print_summary = print_summary

    def __enter__(self):
        self._profiler.start()
        return self._profiler

    def __exit__(self, *exception):
        self._profiler.stop()
        log(self._profiler)
        if self._print_summary:
            print(self._profiler.summary(), file=sys.stderr)


def log(profiler):
    """A line of what was measured, for whoever listens to the logger "flameprof"."""
    quality = profiler.quality()
    logger.info(
        "%d samples, %d missed, sampling took %.4f s of %.4f s",
        quality["samples"],
        quality["missed"],
        quality["sampling_ns"] / 1e9,
        quality["duration_ns"] / 1e9,
    )
