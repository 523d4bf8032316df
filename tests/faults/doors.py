"""Both doors with the application of afflicted.py: uWSGI with the plugin, gunicorn with
the Middleware. A row of docs/faults.md is a test that asks `self.serve()` for a server
and does not care which."""

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
from checks import ASK, FOLDED, Checks, functions  # noqa: E402, F401

LIBRARIES = server.BUILD / "tests" / "faults"
PRELOADED = ("env", f"LD_PRELOAD={LIBRARIES / 'refuse.so'}")


def until(condition, patience=30):
    end = time.monotonic() + patience
    while not condition():
        if time.monotonic() > end:
            return False
        time.sleep(0.05)
    return True


class Uwsgi(server.Server):
    def __init__(self, *, timeout=None, workers=1, **more):
        options = ["--processes", str(workers), "--buffer-size", "32768", "--pythonpath",
                   str(HERE), *(["--harakiri", str(timeout)] if timeout else [])]
        super().__init__(*options, app=("--module", "afflicted", "--need-app"), **more)


class Gunicorn(server.Server):
    """The same interface; `--workers` processes of the sync worker."""

    def __init__(self, *, timeout=60, workers=1, wrap=(), panel=False):
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
            env={**os.environ, "TMPDIR": self.folder.name,
                 "PYTHONPATH": f"{server.BUILD / 'python'}:{PLUGIN_TESTS}"})
        try:
            self.wait_until_up()
        except BaseException:
            self.stop()
            raise

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

    def assert_alive(self, served, ordinary):
        """Not profiled it answers as before, and profiles are as good as ever."""
        self.assertEqual(self.plain(served), ordinary, served.log()[-2000:])
        self.assert_profiled(served.get(f"/works?{FOLDED}"), "works", "work")
        self.assert_sound(served)

    def assert_sound(self, served, but="nothing"):
        bad = [line for line in served.log().splitlines()
               if re.search(r"!!! uWSGI process|Segmentation|Fatal Python|Traceback|SystemError|"
                            "Exception ignored|was sent SIG(SEGV|ABRT|BUS)", line)
               and not re.search(but, line)]
        self.assertEqual(bad, [], served.log()[-3000:])

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
