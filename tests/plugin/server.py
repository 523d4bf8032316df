"""Real uWSGI servers on 127.0.0.1, and raw clients for them."""

import atexit
import os
import pathlib
import re
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import time

HERE = pathlib.Path(__file__).resolve().parent
sys.path.append(str(HERE.parent))

from measuring import NotSeen  # noqa: E402

ROOT = HERE.parent.parent
BUILD = ROOT / os.environ.get("BUILD", "build")
PLUGIN = BUILD / "flameprof_plugin.so"
UWSGI = os.environ.get("UWSGI", "uwsgi")
# So a profile is refused while the machine lets another worker stand still for 0.1 s.
STALLED = b"a worker that was stopped holds what all share"


class Answer:
    """An answer as its bytes, and taken apart."""

    def __init__(self, raw):
        self.raw = raw
        head, _, self.body = raw.partition(b"\r\n\r\n")
        lines = head.decode("latin-1").split("\r\n")
        self.status = lines[0].partition(" ")[2]
        self.headers = [tuple(line.split(": ", 1)) for line in lines[1:]]

    def all(self, name):
        return [value for key, value in self.headers if key.lower() == name.lower()]

    def header(self, name):
        values = self.all(name)
        if len(values) > 1:
            raise AssertionError(f"{name} stands {len(values)} times: {values}")
        return values[0] if values else None


def free_port():
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return sock.getsockname()[1]


def exchange(port, data, timeout=30):
    with socket.create_connection(("127.0.0.1", port), timeout=timeout) as sock:
        sock.sendall(data)
        parts = []
        while True:
            try:
                part = sock.recv(1 << 20)
            except ConnectionResetError:
                part = b""
            if not part:
                return b"".join(parts)
            parts.append(part)


ENDING = []  # processes that were told to


@atexit.register
def wait_for_those_ending():
    end = time.monotonic() + 10
    for process in ENDING:
        try:
            process.wait(max(0, end - time.monotonic()))
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()


# Of the plugin, out of the way: tests ask for many profiles.
LIFTED = ["--flameprof-at-once", "256", "--flameprof-worker-at-once", "64",
          "--flameprof-per-minute", "1000000", "--flameprof-min-interval", "0.00005"]


class Server:
    """`uwsgi` with arguments; a context manager that ends what it started."""

    def __init__(self, *args, plugin=PLUGIN, app=("--module", "shapes", "--need-app"),
                 before=(), wrap=(), python=True, start=True):
        self.port, self.uwsgi_port = free_port(), free_port()
        self.log_file = tempfile.TemporaryFile()
        command = [*wrap, UWSGI, *before]
        command += ["--plugin", str(plugin), *LIFTED] if plugin else ["--plugin", "python3"]
        if python:
            command += [*app, "--pythonpath", str(HERE)]
        command += ["--http-socket", f"127.0.0.1:{self.port}", "--socket",
                    f"127.0.0.1:{self.uwsgi_port}", "--master", "--die-on-term", *args]
        self.process = subprocess.Popen(
            command, stdout=self.log_file, stderr=subprocess.STDOUT, cwd=HERE,
            stdin=subprocess.DEVNULL, start_new_session=True,
            env=dict(os.environ, PYTHONDONTWRITEBYTECODE="1"))
        if start:
            try:
                self.wait_until_up()
            except BaseException:
                self.stop()
                raise

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.stop()

    def wait_until_up(self, patience=20):
        end = time.monotonic() + patience
        while time.monotonic() < end:
            if self.process.poll() is not None:
                raise AssertionError("uwsgi ended:\n" + self.log())
            if re.search(r"spawned uWSGI worker|WSGI app 0", self.log()):
                try:
                    socket.create_connection(("127.0.0.1", self.port), 1).close()
                    return
                except OSError:
                    pass
            time.sleep(0.02)
        raise AssertionError("uwsgi did not come up:\n" + self.log())

    def wait(self, patience=20):
        return self.process.wait(patience)

    def stop(self):
        """Told to end, not waited for: uWSGI's master takes a second to notice, and the
        next test need not."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            ENDING.append(self.process)
        ENDING[:] = [process for process in ENDING if process.poll() is None]
        self.log_file.close()

    def log(self):
        size = os.fstat(self.log_file.fileno()).st_size
        return os.pread(self.log_file.fileno(), size, 0).decode("utf-8", "replace")

    def get(self, target, method="GET", headers=(), version="1.1", body=b""):
        lines = [f"{method} {target} HTTP/{version}"]
        names = [name.lower() for name, _ in headers]
        if "host" not in names:
            lines.append("Host: localhost")
        if body:
            lines.append(f"Content-Length: {len(body)}")
        lines += [f"{name}: {value}" for name, value in headers]
        answer = Answer(exchange(self.port,
                                 "\r\n".join([*lines, "", ""]).encode("latin-1") + body))
        if STALLED in answer.body:
            raise NotSeen(answer.body.decode())
        return answer

    def speak_uwsgi(self, path, query="", **variables):
        """A request by the uwsgi protocol, as nginx would pass it on."""
        environ = {"REQUEST_METHOD": "GET", "PATH_INFO": path, "QUERY_STRING": query,
                   "REQUEST_URI": path + ("?" + query if query else ""), "SCRIPT_NAME": "",
                   "SERVER_PROTOCOL": "HTTP/1.1", "SERVER_NAME": "localhost",
                   "SERVER_PORT": "80", "REMOTE_ADDR": "127.0.0.1",
                   "HTTP_HOST": "localhost", **variables}
        block = b"".join(struct.pack("<H", len(word)) + word
                         for pair in environ.items() for word in map(str.encode, pair))
        return Answer(exchange(self.uwsgi_port,
                               struct.pack("<BHB", 0, len(block), 0) + block))
