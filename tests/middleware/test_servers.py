"""The middleware behind real servers over HTTP: gunicorn (sync, gthread, gevent), wsgiref."""

import concurrent.futures
import http.client
import importlib.util
import os
import re
import socket
import subprocess
import sys
import time
import unittest

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(1, os.path.dirname(HERE))

from measuring import Seeing  # noqa: E402


def free_port():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


def command(server, port):
    if server == "wsgiref":
        return [sys.executable, "-B", os.path.join(HERE, "server_app.py"), str(port)]
    workers = ["-k", server] + (["--threads", "4"] if server == "gthread" else [])
    return [sys.executable, "-B", "-m", "gunicorn", "-b", "127.0.0.1:%d" % port] + [
        *workers, "-w", "1", "--chdir", HERE, "server_app:application",
    ]  # fmt: skip


class Server:
    def __init__(self, kind):
        self.port = free_port()
        self.process = subprocess.Popen(
            command(kind, self.port), stdout=subprocess.DEVNULL, stderr=subprocess.PIPE
        )
        deadline = time.monotonic() + 20
        while True:
            try:
                socket.create_connection(("127.0.0.1", self.port), 1).close()
                return
            except OSError:
                if self.process.poll() is not None or time.monotonic() > deadline:
                    self.process.kill()
                    raise AssertionError(self.process.stderr.read().decode())
                time.sleep(0.05)

    def get(self, path, method="GET", headers=()):
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=20)
        try:
            connection.request(method, path, headers=dict(headers))
            response = connection.getresponse()
            return response, response.read()
        finally:
            connection.close()

    def stop(self):
        self.process.terminate()
        return self.process.communicate(timeout=20)[1].decode()


class Servers(Seeing):
    def through(self, kind):
        server = Server(kind)
        try:
            plain, plain_body = server.get("/page/")
            picture, body = server.get("/page/?flamegraph=1&interval=0.0005")
            head, head_body = server.get("/page/?flamegraph=1", "HEAD")
            folded, stacks = server.get("/page/?flamegraph=1&flamegraph_format=folded")
            bad, sentence = server.get("/page/?flamegraph=1&interval=9")
            proxied, proxied_body = server.get(
                "/page/?flamegraph=1", headers={"X-Forwarded-For": "10.0.0.1"}
            )
        finally:
            log = server.stop()
        self.assertEqual((plain.status, plain_body), (200, b"<h1>done</h1>"))
        self.assertEqual(picture.status, 200)
        self.assertEqual(picture.getheader("Content-Type"), "image/svg+xml")
        self.assertEqual(picture.getheader("Set-Cookie"), "session=1")
        self.assertEqual(picture.getheader("X-Flameprof-Status"), "200 OK")
        self.assert_seen([b"slow_helper"], body)
        self.assertEqual((head.status, head_body), (200, b""))
        shares = {}
        for line in stacks.decode().splitlines():
            stack, weight = line.rsplit(" ", 1)
            for name in {frame.split(" (")[0] for frame in stack.split(";")}:
                shares[name] = shares.get(name, 0) + int(weight)
        # The server's own frames and its other threads are not the request's.
        self.assert_seen(["application", "slow_helper", "quick_helper"], shares)
        self.assertNotIn("handle_request", shares)
        total = shares["slow_helper"] + shares["quick_helper"]
        truth = float(folded.getheader("X-Slow-Share"))
        # Less is known of a profile for the time it did not see.
        missed = re.findall(r"folded: ([\d.]+) s, \d+ samples, (\d+) missed", log)[-1]
        blind = int(missed[1]) * 0.001 / float(missed[0])
        self.assertAlmostEqual(shares["slow_helper"] / total, truth, delta=0.06 + blind)
        self.assertEqual(bad.status, 400)
        self.assertIn(b"interval", sentence)
        self.assertEqual(proxied_body, plain_body)
        self.assertIn("samples", log)

    def test_gevent_requests_do_not_mix(self):
        self.need("gunicorn", "gevent")
        server = Server("gevent")
        query = "?flamegraph=1&interval=0.0005&flamegraph_format=folded"
        try:
            with concurrent.futures.ThreadPoolExecutor(12) as pool:
                asked = {
                    "only_%d" % i: pool.submit(server.get, "/waits/only_%d%s" % (i, query))
                    for i in range(6)
                }
                others = [pool.submit(server.get, "/waits/other_%d" % i) for i in range(6)]
            alone = server.get("/spawns/child%s" % query)[1]
            with_children = server.get("/spawns/child%s&flamegraph_children=1" % query)[1]
        finally:
            server.stop()
        for i, other in enumerate(others):
            self.assertEqual(other.result()[1], b"other_%d" % i)
        for name, future in asked.items():
            answer, stacks = future.result()
            text = stacks.decode()
            self.assertIn(name + " (", text)
            self.assertNotIn("other_", text)
            self.assertEqual(set(re.findall(r"only_\d", text)), {name})
            # The time it waited is its own, and whole.
            total = sum(int(line.rsplit(" ", 1)[1]) for line in text.splitlines()) / 1e6
            self.assertGreater(total, float(answer.getheader("X-Took")) * 0.99)
            self.assertLess(total, float(answer.getheader("X-Took")) * 1.03 + 0.01)
        self.assertNotIn(b"[greenlet child]", alone)
        self.assertIn(b"[greenlet child];child", with_children)

    def test_wsgiref(self):
        self.through("wsgiref")

    def need(self, *modules):
        for module in modules:
            if importlib.util.find_spec(module) is None:
                self.skipTest("SKIPPED: %s is not installed for this Python" % module)

    def gunicorn(self, kind):
        self.need("gunicorn")
        self.through(kind)

    def test_gunicorn_gevent(self):
        self.need("gevent")
        self.gunicorn("gevent")

    def test_gunicorn_sync(self):
        self.gunicorn("sync")

    def test_gunicorn_gthread(self):
        self.gunicorn("gthread")


if __name__ == "__main__":
    unittest.main()
