"""%flameprof and %%flameprof: a flame graph of a statement or of a cell, in IPython.

``%load_ext flameprof`` registers them. A cell is compiled as IPython does it and executed
from here, so that neither IPython's frames nor ours are in the graph.
"""

import ast
import contextlib
import html
import inspect
import linecache
import os
import re
import sys
import traceback

import _flameprof
from IPython.core.error import UsageError
from IPython.core.magic import Magics, line_cell_magic, magics_class, no_var_expand
from IPython.display import display
from traitlets import Bool, Enum, Float, Int

from .decorator import save
from .profiler import Profiler

CLOCKS = ["wall", "cpu", "offcpu", "gil"]
HEIGHT = 520  # the picture, a little lower, has room for its numbers (page.css)
VALUE = "_flameprof_value"  # of the last expression, among the user's names for a moment


@magics_class
class FlameprofMagics(Magics):
    interval = Float(
        0.001, min=0.00005, max=1, help="Seconds between two samples, 0.00005 to 1."
    ).tag(config=True)
    clock = Enum(CLOCKS, "wall", help="The time that widths are at first.").tag(config=True)
    threads = Bool(False, help="With the threads that the code starts.").tag(config=True)
    lines = Bool(False, help="Tell a function's lines apart.").tag(config=True)
    height = Int(HEIGHT, min=120, help="Of the frame in a notebook, in pixels.").tag(config=True)

    _running = False

    @no_var_expand
    @line_cell_magic
    def flameprof(self, line, cell=None):
        """Draw a flame graph of a statement, or of a cell.

            %flameprof [options] statement
            %%flameprof [options]
            code

        -i SECONDS     between two samples, 0.00005 to 1
        --clock CLOCK  the time that widths are at first: wall, cpu, offcpu or gil
        --threads      with the threads that the code starts
        --lines        tell a function's lines apart
        -o FILE        write the picture there, too; the ending says the format: .svg,
                       .html, .json, .folded, .pb.gz, .speedscope.json, .gecko.json,
                       .png or .pdf

        The value is that of the last expression. %config FlameprofMagics has the defaults.
        """
        options, statement = self.parse_options(
            line, "i:o:", "clock=", "threads", "lines",
            posix=False, strict=False, preserve_non_opts=True,
        )  # fmt: skip
        statement = statement.strip()
        if self._running:
            raise UsageError("%flameprof: a flame graph is being made already, with this in it")
        if cell is None and not statement:
            raise UsageError("%flameprof takes a statement, %%flameprof a cell")
        if cell is not None and statement:
            raise UsageError(f"%%flameprof takes options and a cell below, not {statement!r}")
        code = compiled(self.shell, statement if cell is None else cell, cell is not None)
        profiler, clock, path = self._asked(options)  # knows the code's text by now
        profiler.title = statement or f"In [{self.shell.displayhook.prompt_count}]"
        self._running = True
        try:
            return run(self.shell, code, profiler)
        finally:
            self._running = False
            self._show(profiler, clock, path)

    def _asked(self, options):
        """A Profiler, the clock and the path to write to or None. UsageError: they make no
        sense, which is said before anything has run."""
        clock = options.get("clock", self.clock)
        path = options["o"].strip("'\"") if "o" in options else None
        try:
            _flameprof.check_picture(clock=clock)
            profiler = Profiler(
                interval=number(options.get("i", self.interval)),
                threads="threads" in options or self.threads,
                lines="lines" in options or self.lines,
                sources=cells(),
            )
            if path is not None:
                path = os.path.abspath(os.path.expanduser(path))
                _flameprof.format_of(path)
                os.stat(os.path.dirname(path))
        except (OSError, ValueError) as error:
            raise UsageError(f"%flameprof: {error}") from None
        return profiler, clock, path

    def _show(self, profiler, clock, path):
        try:
            profiler.quality()
        except RuntimeError:
            return  # it never began
        try:
            if path is not None:
                profiler.save(path, clock=clock)
            elif "text/html" not in self.shell.display_formatter.active_types:
                path = save(profiler, "cell", clock=clock)
        except (OSError, RuntimeError) as error:  # where PNG cannot be drawn, say
            print(f"%flameprof: {error}", file=sys.stderr)
            path = None
        display(Graph(profiler, clock, path, self.height))


def cells():
    """The text of what was typed, by the file's name that IPython gave it."""
    return {
        encodable(name): encodable("".join(entry[2]))
        for name, entry in linecache.cache.items()
        if len(entry) > 2 and not os.path.exists(name)
    }


def encodable(text):
    return text.encode("utf-8", "replace").decode()


def number(value):
    try:
        return float(value)
    except ValueError:
        raise ValueError(f"-i {value}: it takes seconds, as in 0.0005") from None


def compiled(shell, text, is_cell):
    """The code of a cell's text, whose last expression's value goes to VALUE.

    Unreadable. UsageError: it awaits.
    """
    source = shell.transform_cell(text)
    if is_cell:
        # The magic's line, and empty ones that IPython takes away: numbers are the cell's.
        source = "\n" * (1 + re.match(r"(?:[ \t]*\n)*", text)[0].count("\n")) + source
    name = shell.compile.cache(source, shell.displayhook.prompt_count)
    try:
        return compiled_tree(shell, source, name)
    except SyntaxError as error:
        raise Unreadable(shell, error, None) from None


def compiled_tree(shell, source, name):
    tree = shell.transform_ast(shell.compile.ast_parse(source, name))
    last = tree.body[-1] if tree.body else None
    if isinstance(last, ast.Expr) and not is_silent(source, last):
        target = ast.copy_location(ast.Name(VALUE, ast.Store()), last)
        tree.body[-1] = ast.copy_location(ast.Assign([target], last.value), last)
    with shell.compile.extra_flags(ast.PyCF_ALLOW_TOP_LEVEL_AWAIT):
        code = shell.compile(tree, name, "exec")
    if code.co_flags & inspect.CO_COROUTINE:
        raise UsageError("%flameprof takes no code that awaits: use flameprof.profile() in it")
    return code


class Unreadable(Exception):
    """A SyntaxError, of the cell or of what it does. IPython shows an error of that type
    with all frames that led to it, ours among them."""

    def __init__(self, shell, error, frames):
        super().__init__(str(error))
        frames = traceback.extract_tb(frames)
        self._shown = shell.SyntaxTB.structured_traceback(type(error), error, frames)

    def _render_traceback_(self):
        return self._shown


def is_silent(source, last):
    """A semicolon follows the last expression."""
    lines = source.encode().splitlines()[last.end_lineno - 1 :]
    return lines[0][last.end_col_offset :].lstrip().startswith(b";")


def run(shell, code, profiler):
    """The value of the last expression. Raises what the code does."""
    session, names = profiler._session, shell.user_ns  # no frames of Profiler's methods
    try:
        session.start()
    except RuntimeError as error:
        raise UsageError(f"%flameprof: {error}") from None
    try:
        try:
            exec(code, shell.user_global_ns, names)
        finally:
            session.stop()
        return names.get(VALUE)
    except SyntaxError as error:
        raise Unreadable(shell, error, error.__traceback__.tb_next) from None
    except BaseException as error:
        show_from(shell, error, error.__traceback__.tb_next)
        raise
    finally:
        names.pop(VALUE, None)


def show_from(shell, error, frames):
    """Has IPython show an exception's own traceback, once: as IPython asks an exception
    that brings its own. It is raised on, so that the cell has failed for everybody."""
    shown = shell.InteractiveTB.structured_traceback(type(error), error, frames, tb_offset=0)

    def render():
        del error._render_traceback_
        return shown

    with contextlib.suppress(AttributeError):
        error._render_traceback_ = render


class Graph:
    """A profile as IPython displays it: an interactive frame, or a table."""

    # The picture's script runs, and reaches nothing of the notebook's; it saves files and
    # opens an editor. The strip below is what it is resized by, and meanwhile the frame
    # does not take the mouse: with CSS's own corner it would, and could not get smaller.
    # The frame's text is for notebooks that are not trusted, which take away the frame alone;
    # its colours suit dark pages, too.
    FRAME = (
        '<div style="height: {height}px; box-sizing: border-box; '
        'border: 1px solid rgba(128, 128, 128, .5)">'
        '<iframe title="Flame graph" sandbox="allow-scripts allow-downloads allow-popups" '
        'style="display: block; width: 100%; height: calc(100% - 12px); border: 0" '
        'srcdoc="{page}">The flame graph of a cell stands here once the notebook is trusted, '
        "or the cell has run again.</iframe>"
        '<div title="Drag to resize" style="height: 12px; cursor: ns-resize; '
        'background: rgba(128, 128, 128, .15); color: #888; font: 12px/8px sans-serif; text-align: center; touch-action: none" '
        'onpointerdown="this.setPointerCapture(event.pointerId); event.preventDefault(); '
        "this.previousElementSibling.style.pointerEvents = 'none'\" "
        "onlostpointercapture=\"this.previousElementSibling.style.pointerEvents = ''\" "
        'onpointermove="if (this.hasPointerCapture(event.pointerId)) {{ '
        "const box = this.parentNode; box.style.height = "
        "Math.max(120, event.clientY - box.getBoundingClientRect().top + 6) + 'px' }}\">…</div>"
        "</div>{note}"
    )

    def __init__(self, profiler, clock="wall", path=None, height=HEIGHT):
        self._profiler, self._clock, self._path, self._height = profiler, clock, path, height

    def __repr__(self):
        lines = [self._profiler.summary(clock=self._clock), self._path]
        return "\n".join(filter(None, lines))

    def _repr_html_(self):
        page = self._profiler.render("html", clock=self._clock).decode()
        note = f"<code>{html.escape(self._path)}</code>" if self._path else ""
        return self.FRAME.format(height=self._height, page=html.escape(page), note=note)
