"""Servers as docs/servers.md starts them, on 127.0.0.1, and what holds for each of them."""

import contextlib
import http.client
import importlib.util
import json
import os
import pathlib
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import unittest

import page

sys.path.append(str(page.ROOT / "tests"))  # which has folders named as the frameworks are
from measuring import Measuring  # noqa: E402

BUILD = page.ROOT / os.environ.get("BUILD", "build")
PACKAGE = BUILD / "python"
UWSGI = os.environ.get("UWSGI", "uwsgi")
PATIENCE = 40  # seconds, on a busy machine
METADATA = "uwsgi_flameprof-0.dist-info"  # what an installed package has beside it
ENTRY_POINTS = "[paste.filter_factory]\nmain = flameprof.paste:filter_factory\n"


def is_there(module):
    try:
        spec = importlib.util.find_spec(module)
    except ModuleNotFoundError:  # nor is its package
        return False
    return spec is not None and spec.origin is not None  # no mere folder of that name


def need(*modules):
    """A decorator of tests."""
    missing = [module for module in modules if not is_there(module)]
    reason = f"SKIPPED: not installed for this Python: {', '.join(missing)}"
    return unittest.skipIf(missing, reason)


def free_port():
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return sock.getsockname()[1]


class Profile:
    """An answer in our JSON: the shares of functions by name."""

    def __init__(self, answer):
        self.headers = answer.headers
        said = json.loads(answer.body)
        self.quality = said["quality"]
        places, names = said["places"], [function["name"] for function in said["functions"]]
        self.names = {names[function] for function in places["function"]}
        self.times = {}
        paths = []
        for parent, function, own in zip(places["parent"], places["function"], places["self"]):
            path = (paths[parent] if paths else frozenset()) | {names[function]}
            paths.append(path)
            for name in path:
                self.times[name] = self.times.get(name, 0) + int(own) / 1e9

    def blind(self):
        """The part of the time of which nothing is known."""
        quality = self.quality
        return quality["missed"] * quality["interval_ns"] / max(1, quality["duration_ns"])


class Answer:
    def __init__(self, response):
        self.status = response.status
        self.headers = response.headers
        self.body = response.read()


class Served:
    """A server by the line that starts it, and all processes it has; ended by stop()."""

    def __init__(self, line, folder, port, **environment):
        self.port = port
        self.folder = pathlib.Path(folder)
        self.log_path = self.folder / "log"
        line = line.replace("8000", str(port))
        with open(self.log_path, "wb") as log:
            self.process = subprocess.Popen(
                ["sh", "-c", "exec " + line], cwd=folder, stdout=log, stderr=log,
                stdin=subprocess.DEVNULL, start_new_session=True,
                env={**os.environ, "PYTHONPATH": str(PACKAGE), "PYTHONDONTWRITEBYTECODE": "1",
                     "TMPDIR": str(self.folder / "tmp"), **environment},
            )  # fmt: skip
        try:
            self.until(lambda: self.get("/").status == 200)
        except BaseException:
            self.stop()
            raise

    def log(self):
        return self.log_path.read_text(encoding="utf-8", errors="replace")

    def get(self, path, **headers):
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=PATIENCE)
        try:
            connection.request("GET", path, headers=headers)
            return Answer(connection.getresponse())
        finally:
            connection.close()

    def profile(self, path="/", query=""):
        return Profile(self.get(f"{path}?flamegraph=1&flamegraph_format=json{query}"))

    def until(self, true):
        """A server that reloads may not answer for a moment."""
        end = time.monotonic() + PATIENCE
        while True:
            with contextlib.suppress(OSError, http.client.HTTPException):
                if true():
                    return
            if self.process.poll() is not None or time.monotonic() > end:
                raise AssertionError("it was waited for in vain:\n" + self.log()[-4000:])
            time.sleep(0.1)

    def processes(self):
        """Those of its session."""
        found = []
        for pid in filter(str.isdigit, os.listdir("/proc")):
            with contextlib.suppress(OSError), open(f"/proc/{pid}/stat") as stat:
                state, _, _, session = stat.read().rpartition(") ")[2].split()[:4]
                if int(session) == self.process.pid and state != "Z":
                    found.append(int(pid))
        return found

    def held(self):
        """By process: its open descriptors. A thread of ours counts as one."""
        found = {}
        for pid in self.processes():
            with contextlib.suppress(OSError):
                names = [pathlib.Path(f"/proc/{pid}/task/{task}/comm").read_text()
                         for task in os.listdir(f"/proc/{pid}/task")]
                ours = sum(name.startswith("flameprof") for name in names)
                found[pid] = len(os.listdir(f"/proc/{pid}/fd")) + ours
        return found

    def signal(self, number):
        os.kill(self.process.pid, number)

    def stop(self):
        """As Ctrl-C does. All its processes are gone then, by themselves."""
        if self.process.returncode is None:
            os.killpg(self.process.pid, signal.SIGINT)
        end = time.monotonic() + PATIENCE
        while self.process.poll() is None or self.processes():
            if time.monotonic() > end:
                left = self.processes()
                for pid in left:
                    with contextlib.suppress(ProcessLookupError):
                        os.kill(pid, signal.SIGKILL)
                self.process.wait(PATIENCE)
                raise AssertionError(f"{len(left)} processes did not end:\n" + self.log()[-4000:])
            time.sleep(0.05)


class Serving(Measuring):
    """A test of a server has a folder with what the page's beginning writes."""

    def setUp(self):
        self.port = free_port()
        # Where a server that gives up root can read, too.
        temporary = "/tmp" if os.geteuid() == 0 else None
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="flameprof-servers-", dir=temporary))
        self.addCleanup(shutil.rmtree, self.folder, ignore_errors=True)
        self.folder.chmod(0o755)
        (self.folder / "tmp").mkdir()
        (self.folder / "tmp").chmod(0o1777)
        self.write("app.py", page.APP)
        self.write("served.py", page.SERVED)

    def write(self, name, text):
        (self.folder / name).write_text(text.replace("8000", str(self.port)), encoding="utf-8")

    def install(self):
        """What makes "egg:uwsgi-flameprof#main" known; the PYTHONPATH that has it."""
        metadata = self.folder / "installed" / METADATA
        metadata.mkdir(parents=True, exist_ok=True)
        (metadata / "METADATA").write_text("Metadata-Version: 2.1\nName: uwsgi-flameprof\nVersion: 0\n")
        (metadata / "entry_points.txt").write_text(ENTRY_POINTS)
        return f"{metadata.parent}:{PACKAGE}:{self.folder}"

    def serve(self, line, folder=None, **environment):
        line = re.sub(r"^python3 ", sys.executable + " -B ", line)
        served = Served(line, folder or self.folder, self.port, **environment)
        self.addCleanup(served.stop)
        return served

    def check(self, served, path="/", reload=None):
        """All that is to hold for a server; reload: what makes it read app.py anew."""
        self.check_ordinary(served, path)
        self.check_profile(served, path)
        self.check_nothing_is_held(served, path)
        if reload is not None:
            self.write("app.py", page.APP.replace("done", "again"))
            reload()
            served.until(lambda: served.get(path).body == b"again\n")
            self.check_profile(served, path)

    def check_ordinary(self, served, path):
        for query in ("", "?flamegraph=0"):
            answer = served.get(path + query)
            self.assertEqual((answer.status, answer.body), (200, b"done\n"))
            self.assertIn("Server-Timing", answer.headers)
            self.assertNotIn("X-Flameprof-Status", answer.headers)

    def check_profile(self, served, path="/"):
        profile = served.profile(path)
        self.check_shares(profile)
        # Of the application's and what is below the door; of the server nothing.
        self.assertEqual({"compute", "wait", "application"} - profile.names, set())
        self.assertEqual({"serve_forever", "handle_request", "run"} & profile.names, set())
        return profile

    def check_shares(self, profile):
        """What the profile says is what the application has measured."""
        truth = {name: float(took) / 1e3 for name, took in
                 re.findall(r"(\w+);dur=([\d.]+)", profile.headers["Server-Timing"])}
        seen = {name: profile.times.get(name, 0) for name in truth}
        self.assertAlmostEqual(seen["compute"] / max(1e-9, sum(seen.values())),
                               truth["compute"] / sum(truth.values()),
                               delta=0.06 + profile.blind())

    def check_nothing_is_held(self, served, path):
        """Workers that serve their first profile may open a file; after that nothing grows."""
        for _ in range(4):
            before = served.held()
            for _ in range(2):
                served.profile(path)
            end = time.monotonic() + 5
            while time.monotonic() < end:
                now = served.held()
                if all(now[pid] <= before.get(pid, now[pid]) for pid in now):
                    return
                time.sleep(0.1)
        self.fail(f"it grows: {before} {now}\n" + served.log()[-2000:])
