"""``pytest --flameprof``: flame graphs of the slowest tests; a marker, and a fixture.

It is a plugin by the name ``flameprof`` where the distribution is installed, and by
``-p flameprof.pytest_plugin`` or a conftest.py elsewhere. A run without the option, the
marker and the fixture has no hook of ours at any test.

With pytest-xdist each worker keeps the graphs of its own slowest tests, and notes them in
their folder: reports do not arrive any more after -x, nor from one that crashes. The process
that prints the summary throws away what is not among the slowest of all.
"""

import _flameprof
import pytest

from ..profiler import Profiler
from .folder import Folder, new_run
from .watch import Watch, options_of

NAMES = ("flameprof", __name__)
MARKER = (
    "flameprof(interval=None, clock=None, **options): draw a flame graph of this test, and "
    "keep it however fast the test was. The options are those of flameprof.Profiler."
)


def pytest_addoption(parser, pluginmanager):
    # An entry point and -p or a conftest.py may both name it, and pytest takes a
    # plugin twice for an error.
    for name in NAMES:
        if not pluginmanager.has_plugin(name):
            pluginmanager.set_blocked(name)
    add = parser.getgroup("flameprof", "flame graphs of tests").addoption
    add("--flameprof", action="store_true", help="keep flame graphs of the slowest tests")
    add("--flameprof-dir", metavar="DIR", default="flameprof-tests",
        help="the folder they are in (default: %(default)s)")
    add("--flameprof-keep", metavar="N", type=int, default=10,
        help="how many are kept (default: %(default)s)")
    add("--flameprof-interval", metavar="S", type=float, default=0.001,
        help="seconds between two samples (default: %(default)s)")
    add("--flameprof-clock", metavar="CLOCK", default="wall",
        help="the time that the widths are: wall, cpu, offcpu or gil (default: %(default)s)")


def pytest_configure(config):
    config.addinivalue_line("markers", MARKER)
    config.flameprof_run = getattr(config, "workerinput", {}).get("flameprof_run") or new_run()
    if config.option.flameprof:
        check(config.option)
        watch(config)


@pytest.hookimpl(optionalhook=True)
def pytest_configure_node(node):
    """One of pytest-xdist's workers is about to begin: it is of this run."""
    node.workerinput["flameprof_run"] = node.config.flameprof_run


def check(option):
    """UsageError: a value makes no sense."""
    if option.flameprof_keep < 0:
        raise pytest.UsageError("--flameprof-keep takes a number from 0")
    for name, take in (
        ("interval", lambda value: Profiler(interval=value)),
        ("clock", lambda value: _flameprof.check_picture(clock=value)),
    ):
        try:
            take(getattr(option, f"flameprof_{name}"))
        except ValueError as error:
            raise pytest.UsageError(f"--flameprof-{name}: {error}") from None


def folder_of(config):
    """A test may go elsewhere: the folder is where pytest was started."""
    start, folder = config.invocation_params.dir, config.option.flameprof_dir
    return Folder(start, folder, config.flameprof_run)


def watch(config):
    """The Watch of this process, whose hooks are called from now on."""
    found = config.pluginmanager.get_plugin("flameprof-watch")
    if found is None:
        folder = folder_of(config)
        try:
            folder.make()
        except OSError as error:
            raise pytest.UsageError(f"--flameprof-dir: {error}") from None
        found = Watch(config.option, folder)
        config.pluginmanager.register(found, "flameprof-watch")
    return found


def pytest_collection_modifyitems(config, items):
    if any("flameprof" in item.keywords for item in items):
        watch(config)


@pytest.fixture
def flameprof(request):
    """A flameprof.Profiler for a part of this test: ``with flameprof: work()``.

    Its graph is kept however fast the test was. The marker has its options.
    """
    options, clock = options_of(request.node, request.config.option)
    profiler = Profiler(**options)
    watching = watch(request.config)  # before the call: it hears how that ends
    yield profiler
    watching.take(request.node, profiler, clock)


def pytest_terminal_summary(terminalreporter, config):
    if hasattr(config, "workerinput"):
        return  # one of pytest-xdist's workers: it has only its own
    reports = [report for some in terminalreporter.stats.values() for report in some]
    problems = {report.flameprof for report in reports if hasattr(report, "flameprof")}
    watching = config.pluginmanager.get_plugin("flameprof-watch")
    if watching is not None:
        problems.update(watching.unreported)
    folder = folder_of(config)
    try:
        graphs = folder.prune(config.option.flameprof_keep)
    except OSError as error:
        graphs = []
        problems.add(str(error))
    if graphs or problems:
        terminalreporter.section("flame graphs of tests")
    for entry in graphs:
        terminalreporter.line(
            f"{entry['seconds']:8.3f} s  {entry['test']}  {folder.shown(entry['file'])}"
        )
    for problem in sorted(problems):
        terminalreporter.line(f"flameprof: {problem}")
