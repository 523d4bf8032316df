"""Servers on 127.0.0.1 for the benchmarks, and the client that asks them."""

import os
import pathlib
import signal
import socket
import subprocess
import tempfile
import time

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parent
BUILD = ROOT / os.environ.get("BUILD", "build")
UWSGI = os.environ.get("UWSGI", "uwsgi")
PLUGIN = BUILD / "flameprof_plugin.so"
# Out of the way of what is measured: of the plugin, and of a Middleware.
LIMITS = {"at_once": 256, "worker_at_once": 64, "per_minute": 1000000}
LIFTED = [f"--flameprof-{name.replace('_', '-')}={value}" for name, value in LIMITS.items()]


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class Server:
    """A command that serves on `port`; a context manager that ends it by its pid."""

    def __init__(self, command, port, environment=None, patience=60):
        self.command, self.port, self.patience = command, port, patience
        self.environment = {**os.environ, "PYTHONDONTWRITEBYTECODE": "1", **(environment or {})}

    def __enter__(self):
        self.log_file = tempfile.TemporaryFile()
        self.process = subprocess.Popen(
            self.command,
            stdin=subprocess.DEVNULL,
            stdout=self.log_file,
            stderr=subprocess.STDOUT,
            env=self.environment,
        )
        try:
            self.wait_until_up()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_):
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            try:
                self.process.wait(20)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
        self.log_file.close()

    def wait_until_up(self):
        deadline = time.monotonic() + self.patience
        while time.monotonic() < deadline:
            if self.process.poll() is not None:
                raise SystemExit(f"{self.command[0]} ended instead of serving:\n{self.log()}")
            try:
                # Listening is not enough: the first answer comes when all is loaded.
                self.get("/")
                return
            except OSError:
                time.sleep(0.1)
        raise SystemExit(f"{self.command[0]} did not come up:\n{self.log()}")

    def log(self):
        return os.pread(
            self.log_file.fileno(), os.fstat(self.log_file.fileno()).st_size, 0
        ).decode("utf-8", "replace")

    def get(self, target):
        """The whole answer, and the monotonic time in ns at which its last byte was here."""
        with socket.create_connection(("127.0.0.1", self.port), timeout=60) as sock:
            sock.sendall(
                f"GET {target} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n".encode()
            )
            parts = []
            last = 0
            while part := sock.recv(1 << 20):
                last = time.monotonic_ns()
                parts.append(part)
        answer = b"".join(parts)
        if not answer.startswith((b"HTTP/1.1 200", b"HTTP/1.0 200")):
            raise SystemExit(f"GET {target} answered {answer[:300]!r}\n{self.log()}")
        return answer, last
