"""Profiles that uWSGI keeps: every shape of answer goes on, and nothing is lost that was
cut short."""

import concurrent.futures
import contextlib
import gzip
import json
import os
import pathlib
import re
import shutil
import signal
import socket
import sys
import tempfile
import time
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
sys.path.insert(1, str(pathlib.Path(__file__).resolve().parent.parent))

from measuring import Seeing  # noqa: E402
from server import Server, exchange  # noqa: E402
from shapes import SHAPES  # noqa: E402

KEEP = "flamegraph=1&flamegraph_keep=1&flamegraph_interval=0.001"
NAME = re.compile("[0-9a-f]{32}")


def facts(path):
    """What stands in the gzip header, read by hand."""
    data = path.read_bytes()
    assert data[:3] == b"\x1f\x8b\x08" and data[3] & 4, data[:10]
    assert data[12:14] == b"fp"
    length = int.from_bytes(data[14:16], "little")
    gzip.decompress(data)
    return json.loads(data[16:16 + length])


class Archive(Seeing):
    def setUp(self):
        self.dir = pathlib.Path(tempfile.mkdtemp(prefix="flameprof-kept-"))
        self.addCleanup(shutil.rmtree, self.dir, ignore_errors=True)

    def serve(self, *args, **kwargs):
        server = Server("--flameprof-dir", str(self.dir), *args, **kwargs)
        self.addCleanup(server.stop)
        return server

    def kept(self, name, patience=10):
        path = self.dir / f"{name}.pb.gz"
        end = time.monotonic() + patience
        while not path.exists():
            self.assertLess(time.monotonic(), end, f"{name} is not there")
            time.sleep(0.02)
        return facts(path)

    def one_kept(self, patience=20):
        """The only one, which nobody was told the name of."""
        end = time.monotonic() + patience
        while not list(self.dir.glob("*.pb.gz")):
            self.assertLess(time.monotonic(), end, "nothing was kept")
            time.sleep(0.02)
        (path,) = self.dir.glob("*.pb.gz")
        return facts(path)

    def check_shapes(self, *args, names=None, **kwargs):
        server = self.serve(*args, **kwargs)
        plain = Server(*args, plugin=None, **kwargs)
        self.addCleanup(plain.stop)
        for shape in names or SHAPES:
            with self.subTest(shape=shape, args=args):
                expected = plain.get(f"/{shape}?{KEEP}&q=secret")
                answer = server.get(f"/{shape}?{KEEP}&q=secret")
                told = answer.header("X-Flameprof-Kept")
                if expected.raw:
                    self.assertRegex(told, NAME)
                    line = f"X-Flameprof-Kept: {told}\r\n".encode()
                    self.assertEqual(answer.raw.replace(line, b""), expected.raw)
                if told is None:
                    continue
                found = self.kept(told)
                self.assertEqual(found["path"], f"/{shape}?q=")
                self.assertEqual(found["why"], "asked")
                self.assertEqual(found["cut"], "")
                if shape != "sendfile":  # uWSGI's own raises when its body is iterated
                    self.assertEqual(found["raised"], SHAPES[shape][2] or "")
                picture = server.get(f"/_flameprof/{told}?flamegraph_format=folded")
                self.assert_seen([SHAPES[shape][1].encode()], picture.body)
        return server

    FEW = ("plain", "stream", "write", "real_file", "raises_midway", "closing")

    def test_every_shape(self):
        self.check_shapes("--processes", "2")

    def test_offload_threads(self):
        self.check_shapes("--offload-threads", "1", names=self.FEW)

    def test_threads(self):
        self.check_shapes("--threads", "2", names=self.FEW)

    def test_bare_async(self):
        self.check_shapes("--async", "4", names=self.FEW)

    def test_gevent(self):
        self.check_shapes("--gevent", "20", names=self.FEW,
                          before=("--plugin", "python3,gevent_python3"))

    def test_any_worker_serves_all(self):
        server = self.serve("--processes", "3")
        with concurrent.futures.ThreadPoolExecutor(6) as pool:
            answers = list(pool.map(server.get, [f"/plain?{KEEP}"] * 12))
        names = {answer.header("X-Flameprof-Kept") for answer in answers}
        self.assertEqual(len(names), 12, (names, server.log()[-3000:]))
        for name in names:
            self.assertEqual(self.kept(name)["status"], "200 OK")
        for _ in range(6):
            page = server.get("/_flameprof/").body.decode()
            self.assertEqual(set(NAME.findall(page)), names)
        self.assertEqual(server.get("/_flameprof/", "HEAD").body, b"")

    def test_for_nobody_else(self):
        server = self.serve()
        name = server.get(f"/plain?{KEEP}").header("X-Flameprof-Kept")
        self.kept(name)
        for path in ("/_flameprof/", f"/_flameprof/{name}", f"/plain?{KEEP}"):
            answer = server.get(path, headers=[("X-Forwarded-For", "192.0.2.1")])
            self.assertNotIn(b"flameprof", answer.raw.lower().replace(path.encode(), b""))
            self.assertNotIn(name.encode(), answer.raw)
        self.assertEqual(len(list(self.dir.iterdir())), 1)

    def test_unknown_names(self):
        server = self.serve()
        for name in ("0" * 32, "x", "..%2f..%2fetc/passwd", "0" * 31 + "G",
                     "0" * 32 + ".pb.gz", "0" * 32 + "/"):
            with self.subTest(name=name):
                self.assertEqual(server.get(f"/_flameprof/{name}").status, "404 Not Found")
        self.assertEqual(server.get("/_flameprof/../plain").body, b"plain")  # uWSGI's doing
        self.assertEqual(server.get("/_flameprof/%2e%2e/plain").status, "404 Not Found")
        answer = server.get("/_flameprof/", "POST", body=b"x")
        self.assertNotIn(b"Kept profiles", answer.raw)  # the application's

    def test_compared(self):
        server = self.serve()
        first, second = (server.get(f"/{path}?{KEEP}").header("X-Flameprof-Kept")
                         for path in ("plain", "sleeps"))
        self.kept(first), self.kept(second)
        picture = server.get(f"/plain?flamegraph=1&flamegraph_format=folded"
                             f"&flamegraph_diff={first}")
        self.assertEqual(picture.status, "200 OK")
        self.assertRegex(picture.body.decode(), r"(?m) \d+ \d+$")
        page = server.get(f"/_flameprof/?flamegraph_diff={first}&flamegraph_profile={second}")
        self.assertEqual(page.status, "200 OK")
        self.assert_seen([b"sleeps"], page.body)
        refused = server.get(f"/plain?flamegraph=1&flamegraph_diff={'0' * 32}")
        self.assertEqual(refused.status, "400 Bad Request")

    def test_without_a_dir(self):
        with Server() as server:
            answer = server.get(f"/plain?{KEEP}")
            self.assertEqual(answer.status, "400 Bad Request")
            self.assertIn(b"--flameprof-dir", answer.body)
            self.assertNotIn(b"Kept profiles", server.get("/_flameprof/").body)

    def test_another_path(self):
        server = self.serve("--flameprof-url", "/admin/flames/")
        self.assertIn(b"Kept profiles", server.get("/admin/flames/").body)
        self.assertNotIn(b"Kept profiles", server.get("/_flameprof/").body)

    def test_a_bad_path(self):
        server = self.serve("--flameprof-url", "flames", start=False)
        server.wait()
        self.assertIn("--flameprof-url takes a path", server.log())

    def test_unsafe_methods(self):
        server = self.serve("--flameprof-unsafe-methods")
        kept = server.get(f"/echo?{KEEP}", "POST", body=b"posted ")
        self.assertTrue(kept.body.startswith(b"posted "))
        self.assertEqual(self.kept(kept.header("X-Flameprof-Kept"))["method"], "POST")
        picture = server.get("/echo?flamegraph=1&flamegraph_repeat=9", "POST", body=b"posted ")
        self.assertEqual(picture.header("Content-Type"), "image/svg+xml")
        crossed = server.get("/echo?flamegraph=1", "POST", body=b"posted ",
                             headers=[("Sec-Fetch-Site", "cross-site")])
        self.assertTrue(crossed.body.startswith(b"posted "))
        with Server() as off:
            plain = off.get("/echo?flamegraph=1", "POST", body=b"posted ")
            self.assertTrue(plain.body.startswith(b"posted "))

    # ---- cut short

    def test_max_seconds(self):
        server = self.serve("--flameprof-max-seconds", "0.5", app=("--module", "life"))
        self.assertEqual(server.get(f"/long?{KEEP}").body, b"long")
        self.assertEqual(self.one_kept()["cut"], "max-seconds")
        for path in self.dir.iterdir():
            path.unlink()
        self.assertIn(b"<svg", server.get("/long?flamegraph=1").body)
        found = self.one_kept()
        self.assertEqual((found["why"], found["cut"]), ("cut short", "max-seconds"))

    def test_harakiri(self):
        for path, held in (("endless", "sleep"), ("stuck", "stuck")):
            for keep in (KEEP, "flamegraph=1"):
                with self.subTest(path=path, keep=keep):
                    for old in self.dir.iterdir():
                        old.unlink()
                    server = self.serve("--harakiri", "2", app=("--module", "life"))
                    if keep != KEEP:  # its harakiri is later, to draw
                        exchange(server.port, f"GET /{path}?{keep} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode(), 30)
                    else:
                        self.assertEqual(server.get(f"/{path}?{keep}").raw, b"")
                    found = self.one_kept()
                    self.assertIn("HARAKIRI", server.log())
                    self.assertEqual(found["cut"], "harakiri")
                    self.assert_more_than(50, found["quality"]["samples"])
                    page = server.get("/_flameprof/").body.decode()
                    self.assertIn("cut short: harakiri", page)
                    name = NAME.search(page).group()
                    picture = server.get(f"/_flameprof/{name}").body
                    self.assertIn(b"Cut short: harakiri", picture)
                    self.assertIn(held.encode(), picture)
                    server.stop()

    def test_exit_s_own_time_is_not_the_request_s(self):
        server = self.serve(app=("--module", "life"))
        server.get(f"/exits?{KEEP}")
        found = self.one_kept()
        self.assertEqual(found["cut"], "worker stopped")
        self.assertLess(found["quality"]["duration_ns"], 1_000_000_000)
        self.assertNotIn("signal 11", server.log())

    def test_harakiri_of_several_while_another_one_forks(self):
        server = self.serve("--harakiri", "2", "--threads", "8", app=("--module", "life"))
        targets = [f"/endless?{KEEP}"] * 6 + ["/forks_on"]
        with contextlib.ExitStack() as stack:
            for target in targets:
                client = stack.enter_context(socket.create_connection(("127.0.0.1", server.port)))
                client.sendall(f"GET {target} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
            self.assertEqual(client.recv(1), b"")
        self.assertIn("HARAKIRI", server.log())
        self.assertEqual(len(list(self.dir.glob("*.pb.gz"))), 6)

    def test_client_gone(self):
        server = self.serve()
        with socket.create_connection(("127.0.0.1", server.port)) as client:
            client.sendall(f"GET /big?{KEEP} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
            client.recv(1000)
        self.assertEqual(self.one_kept()["cut"], "client gone")

    def test_told_to_stop(self):
        server = self.serve(app=("--module", "life"))
        with socket.create_connection(("127.0.0.1", server.port)) as client:
            client.sendall(f"GET /long?{KEEP} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
            time.sleep(0.7)
            server.process.send_signal(signal.SIGTERM)
            server.wait()
        self.assertEqual(self.one_kept()["cut"], "worker stopped")

    def test_reload_without_mercy(self):
        server = self.serve("--reload-mercy", "2", "--worker-reload-mercy", "2",
                            app=("--module", "life"))
        with socket.create_connection(("127.0.0.1", server.port)) as client:
            client.sendall(f"GET /endless?{KEEP} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
            time.sleep(0.7)
            server.process.send_signal(signal.SIGHUP)
            self.assertEqual(self.one_kept()["cut"], "worker stopped")

    def test_no_thread_stays(self):
        server = self.serve()
        worker = int(server.get("/pid").body)
        self.kept(server.get(f"/plain?{KEEP}").header("X-Flameprof-Kept"))
        end = time.monotonic() + 10
        while len(os.listdir(f"/proc/{worker}/task")) > 1:
            self.assertLess(time.monotonic(), end)
            time.sleep(0.02)

    # ---- a folder that cannot be used

    def test_an_unusable_folder(self):
        cases = (("others may look", lambda: os.chmod(self.dir, 0o755)),
                 ("a file", lambda: (self.dir.rmdir(), self.dir.write_bytes(b"x"))))
        for case, spoil in cases:
            with self.subTest(case=case):
                spoil()
                server = self.serve()
                self.assertEqual(server.get(f"/plain?{KEEP}").body, b"plain")
                end = time.monotonic() + 10
                while "could not be kept" not in server.log():
                    self.assertLess(time.monotonic(), end)
                    time.sleep(0.02)
                self.assertEqual(server.get("/plain").body, b"plain")
                server.stop()
        self.dir.unlink()


if __name__ == "__main__":
    unittest.main()
