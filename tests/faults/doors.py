"""Both doors with the application of afflicted.py: uWSGI with the plugin, gunicorn with
the Middleware. A row of docs/faults.md is a test that asks `self.serve()` for a server
and does not care which."""

import json
import os
import pathlib
import re
import signal
import socket
import subprocess
import sys
import tempfile
import time

HERE = pathlib.Path(__file__).resolve().parent
PLUGIN_TESTS = HERE.parent / "plugin"
sys.path.insert(0, str(PLUGIN_TESTS))

import server  # noqa: E402
from checks import ASK, CRASHES, FOLDED, NOTHING, Checks, functions  # noqa: E402, F401
from measuring import until  # noqa: E402, F401

LIBRARIES = server.BUILD / "tests" / "faults"
PRELOADED = ("env", f"LD_PRELOAD={LIBRARIES / 'refuse.so'}")


def as_arguments(options):
    """--flameprof-NAME VALUE of the Middleware's keywords."""
    for name, value in options.items():
        yield "--flameprof-" + name.replace("_", "-")
        if value is not True:
            yield str(value)


class Uwsgi(server.Server):
    """options: flameprof's; from_the_start: what of afflicted.py is called in a worker
    before its first request, with which query."""

    def __init__(self, *, timeout=None, workers=1, options=None, from_the_start="", **more):
        arguments = ["--processes", str(workers), "--buffer-size", "32768", "--pythonpath",
                     str(HERE), *(["--harakiri", str(timeout)] if timeout else []),
                     *as_arguments(options or {}),
                     *(["--lazy-apps", "--env", f"FROM_THE_START={from_the_start}"]
                       if from_the_start else [])]
        super().__init__(*arguments, app=("--module", "afflicted", "--need-app"), **more)


class Gunicorn(server.Server):
    """The same interface; `--workers` processes of the sync worker."""

    def __init__(self, *, timeout=60, workers=1, wrap=(), panel=False, options=None,
                 from_the_start=""):
        self.port = server.free_port()
        self.log_file = tempfile.TemporaryFile()
        module = "behind_panel" if panel else "behind"
        self.folder = tempfile.TemporaryDirectory()  # what a panel keeps
        self.process = subprocess.Popen(
            [*wrap, sys.executable, "-B", "-m", "gunicorn", "-k", "sync", "-w", str(workers),
             "-b", f"127.0.0.1:{self.port}", "--chdir", str(HERE), "--timeout", str(timeout),
             "--graceful-timeout", "20", f"behind:{module}"],
            stdout=self.log_file, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL,
            start_new_session=True,
            env={**os.environ, "TMPDIR": self.folder.name, "OPTIONS": json.dumps(options or {}),
                 "FROM_THE_START": from_the_start,
                 "PYTHONPATH": f"{server.BUILD / 'python'}:{PLUGIN_TESTS}"})
        try:
            self.wait_until_up()
        except BaseException:
            self.stop()
            raise

    def stop(self):
        super().stop()
        self.folder.cleanup()

    def wait_until_up(self, patience=20):
        end = time.monotonic() + patience
        while time.monotonic() < end and self.process.poll() is None:
            try:
                socket.create_connection(("127.0.0.1", self.port), 1).close()
                return
            except OSError:
                time.sleep(0.02)
        raise AssertionError("gunicorn did not come up:\n" + self.log())


class Row(Checks):
    """A server for each test; `door` is set by the classes that run."""

    BAD = CRASHES + "|Traceback|SystemError|was sent SIG(SEGV|ABRT|BUS)"
    door = None
    maxDiff = 2000

    def serve(self, **options):
        served = self.door(**options)
        self.addCleanup(served.stop)
        return served

    def plain(self, served, path="/well"):
        """An ordinary answer, but for the time of day."""
        return re.sub(rb"\r\nDate: [^\r]+", b"", served.get(path).raw)

    def worker(self, served):
        return int(served.get("/pid").body)

    def assert_alive(self, served, ordinary, but=NOTHING):
        """Not profiled it answers as before, and profiles are as good as ever."""
        self.assertEqual(self.plain(served), ordinary, served.log()[-2000:])
        self.assert_profiled(served.get(f"/works?{FOLDED}"), "works", "work")
        self.assert_sound(served, but)

    def in_namespace(self, *script):
        """What goes before a command so that the shell's script is run before it, alone
        in what it mounts."""
        wrap = ("unshare", "-rm", "sh", "-c", " && ".join((*script, 'exec "$@"')), "sh")
        if subprocess.run([*wrap, "true"], capture_output=True).returncode:
            self.skipTest("nothing can be mounted here")
        return wrap

    def reload(self, served):
        served.process.send_signal(signal.SIGHUP)


class ThroughUwsgi:
    door = Uwsgi


class ThroughGunicorn:
    door = Gunicorn

    def setUp(self):
        try:
            import gunicorn  # noqa: F401
        except ImportError:
            self.skipTest("gunicorn is not installed for this Python")
