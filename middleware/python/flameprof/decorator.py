"""@flamegraph: a picture of each call."""

import functools
import inspect
import shlex
import subprocess
import sys
import tempfile

from .profiler import Profiler, log

OPEN_COMMAND = "open {}" if sys.platform == "darwin" else "xdg-open {}"


def flamegraph(
    function=None, *, open_svg=False, open_command=OPEN_COMMAND, interval=0.001, **options
):
    """Draw each call of a function, a coroutine or a generator; its value is kept.

    Each picture goes to a new SVG in the folder for temporary files, whose path is
    printed on standard error. open_svg: it is opened, too, by open_command, in which {}
    is the path. Options are Profiler's. Of a coroutine and of a generator it is the time
    that they run themselves: not while they are suspended.

    >>> @flamegraph
    ... def work():
    ...     return sum(range(1000))
    >>> work()
    499500
    """
    if function is None:
        return functools.partial(
            flamegraph,
            open_svg=open_svg,
            open_command=open_command,
            interval=interval,
            **options,
        )

    if inspect.isasyncgenfunction(function):
        raise TypeError("flamegraph() does not draw asynchronous generators")
    name = getattr(function, "__qualname__", type(function).__qualname__)

    def profiler():
        return Profiler(interval=interval, title=name, **options)

    def finish(profiler):
        log(profiler)
        path = save(profiler, name)
        print(path, file=sys.stderr)
        if open_svg:
            command = [part.replace("{}", path) for part in shlex.split(open_command)]
            subprocess.run(command, check=False)

    if inspect.iscoroutinefunction(function):

        @functools.wraps(function)
        async def drawn(*args, **kwargs):
            return await Steps(function(*args, **kwargs), profiler(), finish)

    elif inspect.isgeneratorfunction(function):

        @functools.wraps(function)
        def drawn(*args, **kwargs):
            return (yield from Steps(function(*args, **kwargs), profiler(), finish))

    else:

        @functools.wraps(function)
        def drawn(*args, **kwargs):
            watched = profiler()
            try:
                with watched:
                    return function(*args, **kwargs)
            finally:
                finish(watched)

    return drawn


def save(profiler, name, **options):
    """Into a new file for temporary ones; its path."""
    name = "".join(letter for letter in name.split(".")[-1] if letter.isalnum() or letter == "_")
    descriptor, path = tempfile.mkstemp(prefix=f"{name}-", suffix=".svg")
    with open(descriptor, "wb") as file:
        file.write(profiler.render("svg", **options))
    return path


class Steps:
    """A coroutine or a generator that is watched while it runs, and not in between."""

    def __init__(self, inner, profiler, finish):
        self.inner, self.profiler, self.finish = inner, profiler, finish
        self.begun = False

    def __await__(self):
        return self

    __iter__ = __await__

    def step(self, resume, *values):
        self.go_on()
        try:
            value = resume(*values)
        except BaseException:
            self.end()
            raise
        self.profiler.pause()
        return value

    def go_on(self):
        if self.begun:
            self.profiler.resume()
        else:
            self.profiler.start()
        self.begun = True

    def end(self):
        self.profiler.stop()
        self.finish(self.profiler)

    def __next__(self):
        return self.step(self.inner.send, None)

    def send(self, value):
        return self.step(self.inner.send, value)

    def throw(self, *exception):
        return self.step(self.inner.throw, *exception)

    def close(self):
        self.go_on()
        try:
            self.inner.close()
        finally:
            self.end()
