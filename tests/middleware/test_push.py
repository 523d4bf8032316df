"""Profiles on their way to a server: what arrives, what is tried again, what is lost."""

import os
import pathlib
import signal
import socket
import subprocess
import sys
import tempfile
import time
import unittest

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(1, str(HERE.parent))

from measuring import Seeing  # noqa: E402
from pyroscope import Server  # noqa: E402

SECRET = "hunter2"
SLOW_ONCE = os.environ["SLOW_ONCE"]  # tests.mk builds it

# A process that profiles requests to the paths it is given, does what its last argument
# says, and ends.
CHILD = """
import os, sys, threading, time, wsgiref.util
import flameprof

def app(environ, start_response):
    end = time.perf_counter() + 0.02
    while time.perf_counter() < end:
        sum(range(100))
    start_response("200 OK", [])
    return [b"answer"]

def ask(path):
    environ = {"QUERY_STRING": "flamegraph=1&flamegraph_format=folded&token=hunter2",
               "REMOTE_ADDR": "127.0.0.1", "HTTP_HOST": "localhost", "PATH_INFO": path,
               "SERVER_PROTOCOL": "HTTP/1.1"}
    wsgiref.util.setup_testing_defaults(environ)
    begun = time.perf_counter()
    body = b"".join(middleware(environ, lambda *said: None))
    assert b"[application]" in body, body
    return time.perf_counter() - begun

def threads():
    time.sleep(0.05)  # one that has been joined may be on its way out
    return len(os.listdir("/proc/self/task"))

def maps_curl():
    return "libcurl" in open("/proc/self/maps").read()

options = eval(sys.argv[1])
middleware = flameprof.Middleware(app, at_once=64, worker_at_once=64, per_minute=1000000, **options)
exec(sys.argv[2])
"""


def run(what, environ=(), **options):
    """Its output, and how long it took."""
    begun = time.monotonic()
    done = subprocess.run(
        [sys.executable, "-B", "-c", CHILD, repr(options), what],
        capture_output=True, text=True, timeout=60, env={**os.environ, **dict(environ)},
    )
    if done.returncode:
        raise AssertionError(f"exit status {done.returncode}: {done.stderr}")
    return done.stdout, done.stderr, time.monotonic() - begun


def busy(seconds):
    def answer(handler):
        handler.send_response(429)
        handler.send_header("Retry-After", str(seconds))
        handler.send_header("Content-Length", "0")
        handler.end_headers()

    return answer


class Push(Seeing):
    def serve(self, *arguments, **options):
        server = Server(*arguments, **options)
        self.addCleanup(server.__exit__)
        return server

    def file(self, text):
        with tempfile.NamedTemporaryFile("w", delete=False) as file:
            file.write(text)
        self.addCleanup(os.unlink, file.name)
        return file.name

    def test_what_arrives(self):
        server = self.serve()
        run("ask('/shop/41/item/5f0c2ab93e/'); ask('/')", push=server.url + "/",
            push_service="shop/web-1")
        (labels, profile, headers, query), (second, *_) = server.wait(2)
        self.assertEqual(labels, {"": "shop/web-1", "path": "/shop/:id/item/:id/",
                                  "host": socket.gethostname()})
        self.assertEqual(second["path"], "/")
        self.assertIn("wall", profile.types)
        self.assertIn("cpu", profile.types)
        self.assert_seen(["app"], {name for name, file in profile.functions.values()})
        self.assertEqual(query["spyName"], "flameprof")
        self.assertNotIn("Authorization", headers)
        self.assertIn("GET /shop/:id/item/:id/", profile.strings)
        for text in profile.strings:  # no query, no whole path
            self.assertNotIn(SECRET, text)
            self.assertFalse(text.startswith(os.path.dirname(os.__file__)), text)

    def test_redacted(self):
        server = self.serve()
        run("ask('/')", push=server.url, redact=["app"])
        names = {name for name, file in server.wait(1)[0][1].functions.values()}
        self.assert_seen(["[redacted]"], names)
        self.assertNotIn("app", names)

    def test_hostile_paths(self):
        server = self.serve()
        paths = ["/a,b=c}{d", "/\xe9\x00\n\"\\", "/" + "x" * 5000, "//", "/%7D,x=1", "x"]
        run(f"for path in {paths!r}: ask(path)", push=server.url)
        for labels, *_ in server.wait(len(paths)):
            self.assertEqual(set(labels), {"", "path", "host"})

    def test_ends_at_once(self):
        """What waits when the process ends is sent first."""
        server = self.serve(delay=0.1)
        run("[ask('/') for _ in range(4)]", push=server.url)
        self.assertEqual(len(server.got), 4)

    def test_the_end_waits_a_second_at_most(self):
        hung = socket.create_server(("127.0.0.1", 0))
        self.addCleanup(hung.close)
        without = run("ask('/')")[2]
        _, said, took = run("[ask('/') for _ in range(3)]",
                            push=f"http://127.0.0.1:{hung.getsockname()[1]}")
        self.assertLess(took - without, 1.6)
        self.assertIn("given up", said)
        self.assertIn("3 were", said.splitlines()[-1])

    def test_never_in_a_requests_way(self):
        hung = socket.create_server(("127.0.0.1", 0))
        self.addCleanup(hung.close)
        out, _, _ = run("print(max(ask('/') for _ in range(10)))",
                        push=f"http://127.0.0.1:{hung.getsockname()[1]}")
        self.assertLess(float(out), 5)  # an attempt takes ten

    def test_tried_again_later(self):
        server = self.serve([503, 500])
        run("ask('/'); time.sleep(4)", push=server.url)
        server.wait(1)
        self.assertEqual(len(server.times), 3)
        first, second = (b - a for a, b in zip(server.times, server.times[1:]))
        self.assertGreater(first, 0.45)
        self.assertLess(first, 1.5)
        self.assertGreater(second, 0.95)
        self.assertLess(second, 2.5)

    def test_as_late_as_the_server_says(self):
        server = self.serve([busy(2)])
        run("ask('/'); time.sleep(3)", push=server.url)
        server.wait(1)
        self.assertGreater(server.times[1] - server.times[0], 1.9)

    def test_what_the_server_does_not_want_is_not_sent_again(self):
        for status in (400, 401, 413, 302):
            server = self.serve([status])
            _, said, _ = run("ask('/a'); time.sleep(0.5); ask('/b'); time.sleep(0.5)",
                             push=server.url)
            self.assertEqual([labels["path"] for labels, *_ in server.wait(1)], ["/b"])
            self.assertIn(f"it answered {status}; 0 wait, 1 were given up", said)

    def test_said_once_a_minute(self):
        server = self.serve([400] * 5)
        _, said, _ = run("for _ in range(5): ask('/'); time.sleep(0.2)", push=server.url)
        self.assertEqual(said.count("pushing profiles"), 1)

    def test_what_waits_is_bounded(self):
        server = self.serve([busy(9)])
        run("ask('/first'); time.sleep(0.4); begun = time.monotonic()\n"
            "for i in range(70): ask(f'/{chr(97 + i % 26)}{chr(97 + i // 26)}')\n"
            "assert time.monotonic() - begun < 8\n"
            "time.sleep(begun + 10 - time.monotonic())", push=server.url)
        paths = [labels["path"] for labels, *_ in server.wait(64)]
        self.assertEqual(len(paths), 64)
        self.assertNotIn("/first", paths)  # the oldest had to go
        self.assertEqual(paths[-1], "/rc")

    def test_credentials(self):
        cases = (
            (dict(push="http://ann:p%40ss@{host}"), "Basic YW5uOnBAc3M="),
            (dict(push="http://{host}", push_credentials=self.file("ann:p@ss\n")),
             "Basic YW5uOnBAc3M="),
            (dict(push="http://no:body@{host}", push_credentials=self.file("ann:p@ss")),
             "Basic YW5uOnBAc3M="),
            (dict(push_credentials=self.file("Bearer t0ken\n"), push="http://no:body@{host}"),
             "Bearer t0ken"),
        )
        for options, expected in cases:
            server = self.serve()
            options["push"] = options["push"].format(host=f"127.0.0.1:{server.port}")
            run("ask('/')", **options)
            self.assertEqual(server.wait(1)[0][2]["Authorization"], expected)

    def test_credentials_that_others_can_read(self):
        """The rule and the words are --flameprof-secret-file's."""
        file = self.file("ann:p@ss")
        link = file + "-link"
        os.symlink(file, link)
        self.addCleanup(os.unlink, link)
        for mode, taken in ((0o600, True), (0o400, True), (0o640, False), (0o604, False),
                            (0o620, False)):
            for path in (file, link):
                os.chmod(file, mode)
                with self.subTest(mode=oct(mode), path=path):
                    if taken:
                        run("", push="http://127.0.0.1:9", push_credentials=path)
                        continue
                    with self.assertRaises(AssertionError) as raised:
                        run("", push="http://127.0.0.1:9", push_credentials=path)
                    self.assertIn(f"push-credentials: '{path}' is not a file that its owner "
                                  "alone can read (chmod 600)", str(raised.exception))
        if os.geteuid() == 0:
            os.chmod(file, 0o600)
            os.chown(file, 12345, -1)
            with self.assertRaisesRegex(AssertionError, "its owner alone can read"):
                run("", push="http://127.0.0.1:9", push_credentials=file)

    def test_credentials_are_not_said(self):
        port = socket.create_server(("127.0.0.1", 0))
        address = port.getsockname()[1]
        port.close()
        out, said, _ = run("ask('/')", push=f"http://ann:{SECRET}@127.0.0.1:{address}")
        self.assertIn(f"pushing profiles to http://127.0.0.1:{address}: ", said)
        self.assertNotIn(SECRET, out + said)
        for wrong in (f"http://ann:{SECRET}@", f"ftp://ann:{SECRET}@h", f"http://a:{SECRET}@h/?"):
            with self.assertRaises(AssertionError) as raised:
                run("", push=wrong)
            self.assertIn("push: '(hidden)' is not an address", str(raised.exception))
            self.assertNotIn(SECRET, str(raised.exception).splitlines()[-1])

    def test_tls_is_verified(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        key, certificate = folder.name + "/key.pem", folder.name + "/cert.pem"
        subprocess.run(["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2",
                        "-subj", "/CN=127.0.0.1", "-addext", "subjectAltName=IP:127.0.0.1",
                        "-keyout", key, "-out", certificate], check=True, capture_output=True)
        both = self.file(pathlib.Path(key).read_text() + pathlib.Path(certificate).read_text())
        server = self.serve(certificate=both)
        _, said, _ = run("ask('/'); time.sleep(1)", push=server.url)
        self.assertEqual(server.got, [])
        self.assertIn("certificate", said)

    def test_the_process_ends_while_tls_is_set_up(self):
        """exit() waits for that, and OpenSSL is not tidied up meanwhile."""
        server = self.serve()
        out, _, took = run("ask('/')\n"
                           "while not maps_curl(): time.sleep(0.001)\n"
                           "time.sleep(0.02)\n"
                           "print('_hashlib' in sys.modules, threads())",
                           environ={"LD_PRELOAD": SLOW_ONCE}, push=server.url)
        self.assertEqual(out.split(), ["False", "2"])  # nobody else has set it up
        self.assertGreater(took, 0.3)
        self.assertEqual(len(server.wait(1)), 1)

    def test_options_that_make_no_sense(self):
        for options in (dict(push="localhost"), dict(push=""), dict(push="http://"),
                        dict(push="http://a b"), dict(push="http://h/?x=1"), dict(push="http://:80"),
                        dict(push_service="a{b}"), dict(push_service="x" * 101),
                        dict(push_credentials="/nonexistent"),
                        dict(push_credentials=self.file("no colon")),
                        dict(push_credentials=self.file("a:b\nc:d\n")),
                        dict(push_credentials=self.file(""))):
            with self.assertRaisesRegex(AssertionError, "ValueError: push", msg=options):
                run("", **options)

    def test_nothing_is_loaded_without_it(self):
        out, _, _ = run("ask('/'); print(threads(), maps_curl())")
        self.assertEqual(out.split(), ["1", "False"])
        server = self.serve()
        out, _, _ = run("print(threads(), maps_curl()); ask('/'); time.sleep(0.5);"
                        "print(threads(), maps_curl())", push=server.url)
        self.assertEqual(out.split(), ["1", "False", "2", "True"])

    def test_a_forked_child_has_its_own(self):
        server = self.serve()
        run("ask('/parent'); time.sleep(0.3)\n"
            "child = os.fork()\n"
            "if not child:\n"
            "    assert threads() == 1\n"
            "    ask('/child'); sys.exit()\n"
            "assert os.waitpid(child, 0)[1] == 0\n"
            "ask('/parent')", push=server.url)
        paths = sorted(labels["path"] for labels, *_ in server.wait(3))
        self.assertEqual(paths, ["/child", "/parent", "/parent"])

    def test_what_waits_is_not_sent_twice_by_a_child(self):
        server = self.serve([503])
        run("ask('/'); time.sleep(0.3)\n"
            "for _ in range(3):\n"
            "    child = os.fork()\n"
            "    if not child: ask('/child'); sys.exit()\n"
            "    os.waitpid(child, 0)\n"
            "time.sleep(1.5)", push=server.url)
        paths = sorted(labels["path"] for labels, *_ in server.wait(4))
        self.assertEqual(paths, ["/"] + ["/child"] * 3)

    def test_many_threads(self):
        server = self.serve()
        run("many = [threading.Thread(target=ask, args=(f'/{c}',)) for c in 'abcdefghijkl']\n"
            "[one.start() for one in many]; [one.join() for one in many]", push=server.url)
        self.assertEqual(len(server.wait(12)), 12)

    def test_killed_in_the_middle(self):
        """Nothing of ours keeps a signal from a process."""
        server = self.serve()
        process = subprocess.Popen([sys.executable, "-B", "-c", CHILD, repr({"push": server.url}),
                                    "ask('/'); print('up', flush=True); time.sleep(30)"],
                                   stdout=subprocess.PIPE)
        self.assertEqual(process.stdout.readline(), b"up\n")
        process.send_signal(signal.SIGTERM)
        self.assertEqual(process.wait(5), -signal.SIGTERM)
        process.stdout.close()


if __name__ == "__main__":
    unittest.main()
