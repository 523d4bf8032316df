"""Real servers of shop.py on 127.0.0.1, and a client that keeps its cookie."""

import http.client
import importlib.util
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.parse

HERE = os.path.dirname(os.path.abspath(__file__))
UWSGI = os.environ.get("UWSGI", "uwsgi")


def free_port():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


def command(kind, port, app):
    if kind == "werkzeug":
        return [sys.executable, "-B", os.path.join(HERE, "shop.py"), str(port)]
    if kind == "uwsgi":
        inside = ["--virtualenv", sys.prefix] if sys.prefix != sys.base_prefix else []
        return [UWSGI, "--plugin", "python3", "--http-socket", f"127.0.0.1:{port}", "--master"] + [
            "--processes", "2", "--threads", "2", "--enable-threads", "--need-app", "--die-on-term",
            "--wsgi", app, *inside,
        ]  # fmt: skip
    return [sys.executable, "-B", "-m", "gunicorn", "-b", f"127.0.0.1:{port}", "-w", "2"] + [
        "--threads", "2", "--chdir", HERE, app, *(["--preload"] if kind == "preload" else []),
    ]  # fmt: skip


def missing(kind):
    """Why this Python has no such server, or None."""
    if kind == "uwsgi" and (sys.base_prefix != "/usr" or shutil.which(UWSGI) is None):
        return "SKIPPED: Debian's uWSGI has Debian's Python only"
    if kind in ("gunicorn", "preload") and importlib.util.find_spec("gunicorn") is None:
        return "SKIPPED: gunicorn is not installed for this Python"
    return None


class Server:
    """A context manager, with a folder of its own for temporary files."""

    def __init__(self, kind="werkzeug", app="shop:served()"):
        self.port = free_port()
        self.cookie = ""
        self.temporary = tempfile.TemporaryDirectory()
        self.log = tempfile.TemporaryFile()
        paths = [HERE, os.path.abspath(os.environ["PYTHONPATH"].split(os.pathsep)[0])]
        self.process = subprocess.Popen(
            command(kind, self.port, app),
            cwd=HERE,
            env={
                **os.environ,
                "PYTHONPATH": os.pathsep.join(paths),
                "PYTHONDONTWRITEBYTECODE": "1",
                "TMPDIR": self.temporary.name,
            },
            stdout=self.log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        self.wait()

    def wait(self):
        deadline = time.monotonic() + 30
        while True:
            try:
                socket.create_connection(("127.0.0.1", self.port), 1).close()
                return
            except OSError:
                if self.process.poll() is not None or time.monotonic() > deadline:
                    self.__exit__()
                    raise AssertionError(self.said) from None
                time.sleep(0.05)

    def __enter__(self):
        return self

    def __exit__(self, *exception):
        self.process.terminate()
        try:
            self.process.wait(15)
        except subprocess.TimeoutExpired:
            os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait(15)
        self.log.seek(0)
        self.said = self.log.read().decode()
        self.log.close()
        self.temporary.cleanup()

    def ask(self, path, fields=None, headers=()):
        """(status, headers, text)"""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        body = None if fields is None else urllib.parse.urlencode(fields)
        sent = {"Cookie": self.cookie, **dict(headers)}
        if body is not None:
            sent["Content-Type"] = "application/x-www-form-urlencoded"
        try:
            connection.request("GET" if body is None else "POST", path, body, sent)
            answer = connection.getresponse()
            text = answer.read().decode()
        finally:
            connection.close()
        if answer.getheader("Set-Cookie"):
            self.cookie = answer.getheader("Set-Cookie").split(";")[0]
        return answer.status, answer.headers, text

    def get(self, path):
        status, _, text = self.ask(path)
        if status != 200:
            raise AssertionError(f"{path}: {status} {text}")
        return text

    def press(self, name, **fields):
        text = self.get(f"/flameprof/{name}")
        token = re.search('name="flameprof_token" value="([^"]+)"', text).group(1)
        status, _, text = self.ask(f"/flameprof/{name}", {"flameprof_token": token, **fields})
        if status != 303:
            raise AssertionError(f"{name}: {status} {text}")

    def each(self, path, workers=2, seconds=20):
        """{pid: text} of the page as each worker shows it last."""
        found = {}
        asked = 0
        deadline = time.monotonic() + seconds
        while len(found) < workers or asked < 20:
            text = self.get(path)
            found[int(re.search(r"of process (\d+)", text).group(1))] = text
            asked += 1
            if time.monotonic() > deadline:
                raise AssertionError(f"{sorted(found)} of {workers} workers answered")
        return found
