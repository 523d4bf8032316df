"""docs/flask.md: as somebody would follow it who has nothing else."""

import os
import pathlib
import re
import signal
import socket
import subprocess
import sys
import tempfile
import time
import unittest
import urllib.request

import flask
import shop
from client import Client
from server import free_port

from flameprof.flask import config, flameprof

ROOT = pathlib.Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs" / "flask.md").read_text()
PYTHON = re.findall(r"^```python\n(.*?)^```", PAGE, re.M | re.S)
COMMANDS = re.findall(r"^    (\S.*)$", PAGE, re.M)
PACKAGE = os.path.abspath(os.environ["PYTHONPATH"].split(os.pathsep)[0])


class Document(unittest.TestCase):
    def test_the_commands(self):
        port = free_port()
        serve, *curls = COMMANDS
        self.assertEqual(len(curls), 4)
        with tempfile.TemporaryDirectory() as folder:
            pathlib.Path(folder, "app.py").write_text(PYTHON[0])
            serve = serve.replace("build/python", PACKAGE).replace("python3", sys.executable)
            server = subprocess.Popen(
                ["sh", "-c", f"exec env {serve} --port {port}"],
                cwd=folder,
                env={**os.environ, "PYTHONDONTWRITEBYTECODE": "1"},
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                start_new_session=True,
            )
            try:
                self.wait(server, port)
                answers = []
                for curl in curls:
                    line = curl.replace("5000", str(port)).replace("curl ", "curl -sS -f ")
                    said = subprocess.run(
                        ["sh", "-c", line], cwd=folder, capture_output=True, text=True, timeout=30
                    )
                    self.assertEqual(said.returncode, 0, said.stderr)
                    answers.append(self.status(port))
                    for _ in range(20):
                        self.status(port)
                self.assertEqual(
                    [">running<" in text for text in answers], [True, True, True, False]
                )
                self.assertIn('value="0.005"', answers[1])
                self.assertRegex(pathlib.Path(folder, "all.folded").read_text(), r"(?m) \d+$")
            finally:
                os.killpg(server.pid, signal.SIGTERM)
                server.wait(15)

    def status(self, port):
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/flameprof/status") as page:
            return page.read().decode()

    def wait(self, server, port):
        deadline = time.monotonic() + 20
        while True:
            try:
                socket.create_connection(("127.0.0.1", port), 1).close()
                return
            except OSError:
                self.assertIsNone(server.poll())
                self.assertLess(time.monotonic(), deadline)
                time.sleep(0.05)

    def test_the_list(self):
        app = shop.with_login(flask.Blueprint("none", "none"))
        exec(PYTHON[1], {"app": app, "flameprof": flameprof})
        for user, status in (("alice", 200), ("mallory", 403)):
            client = Client(app)
            client.get(f"/login/{user}")
            self.assertEqual(client.get("/flameprof/status").status_code, status)

    def test_ox_profile(self):
        app = shop.with_login(flask.Blueprint("none", "none"))
        exec(PYTHON[2], {"app": app})
        for user, status in (("alice", 200), ("mallory", 403)):
            client = Client(app)
            client.get(f"/login/{user}")
            self.assertEqual(client.get("/ox_profile/status").status_code, status)

    def test_every_option_and_every_page(self):
        self.assertEqual(set(re.findall(r"^\| `(FLAMEPROF_\w+)`", PAGE, re.M)), config.KEYS)
        told = set(re.findall(r"`(/\w*)`", PAGE[: PAGE.index("## Who may")]))
        app = shop.create()
        pages = {
            rule.rule.replace("/flameprof", "", 1)
            for rule in app.url_map.iter_rules()
            if rule.endpoint.startswith("flameprof.") and rule.endpoint != "flameprof.static"
        }
        self.assertEqual(told, pages)
        client = Client(app)
        for page in pages - {"/graph"}:
            self.assertEqual(client.get("/flameprof" + page).status_code, 200)


if __name__ == "__main__":
    unittest.main()
