"""The site of site/, behind gunicorn on 127.0.0.1."""

import json
import os
import pathlib
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parent.parent
sys.path.append(str(ROOT / "tests"))  # measuring
PACKAGE = ROOT / os.environ.get("BUILD", "build") / "python"
SITE = HERE / "site"


def free_port():
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return sock.getsockname()[1]


class Site:
    """Its workers; settings: what differs from settings.py."""

    def __init__(self, *arguments, **settings):
        self.folder = tempfile.TemporaryDirectory(prefix="flameprof-site-")
        self.url = f"http://127.0.0.1:{free_port()}"
        environment = dict(
            os.environ,
            PYTHONPATH=f"{PACKAGE}:{SITE}",
            TMPDIR=self.folder.name,
            FLAMEPROF_TEST_SETTINGS=json.dumps(settings),
        )
        self.log = open(os.path.join(self.folder.name, "log"), "w+", encoding="utf-8")
        self.process = subprocess.Popen(
            [sys.executable, "-B", "-m", "gunicorn", "--threads", "3",
             "--graceful-timeout", "1", "--bind", self.url[len("http://"):],
             "--error-logfile", "-", *arguments, "wsgi:application"],
            env=environment, cwd=SITE, stdout=self.log, stderr=self.log,
        )
        self._wait()

    def _wait(self):
        for _ in range(200):
            try:
                self.get("/data/")
                return
            except OSError:
                if self.process.poll() is not None:
                    break
                time.sleep(0.1)
        self.stop()
        raise AssertionError("the site does not answer")

    def get(self, path, **headers):
        """An answer of urllib's, with .text."""
        request = urllib.request.Request(self.url + path, headers=headers)
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        with opener.open(request, timeout=30) as answer:
            answer.text = answer.read().decode("utf-8", "replace")
            return answer

    def said(self):
        self.log.flush()
        with open(self.log.name, encoding="utf-8") as log:
            return log.read()

    def stop(self):
        self.process.send_signal(signal.SIGINT)  # without waiting for idle connections
        self.process.wait(20)
        self.log.close()
        self.folder.cleanup()
