"""The limits of the WSGI door, in one process and in several, and what is counted."""

import contextlib
import http.client
import importlib.util
import json
import os
import pathlib
import re
import signal
import socket
import subprocess
import sys
import tempfile
import textwrap
import threading
import time
import unittest

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parents[1]

# What a process begins with that has limits of its own.
BEGINNING = """
import os, sys, threading, time
import flameprof

def environ(query="flamegraph=1&flamegraph_format=folded", **more):
    return dict({"REQUEST_METHOD": "GET", "PATH_INFO": "/", "QUERY_STRING": query,
        "REMOTE_ADDR": "127.0.0.1", "HTTP_HOST": "localhost", "SERVER_PROTOCOL": "HTTP/1.1",
        "wsgi.errors": open(os.devnull, "w")}, **more)

def ask(app, *arguments, **more):
    said = []
    def start_response(status, headers, *_):
        said.extend((status, headers))
    body = app(environ(*arguments, **more), start_response)
    data = b"".join(body)
    if hasattr(body, "close"):
        body.close()
    return said[0], dict(said[1]), data

def simple(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/html")])
    return [b"<html><body>hello</body></html>"]
"""


class Own(unittest.TestCase):
    """Each in a process, and with a folder, of its own."""

    def setUp(self):
        folder = tempfile.TemporaryDirectory(prefix="flameprof-limits-")
        self.addCleanup(folder.cleanup)
        self.folder = folder.name

    def run_code(self, code, **more):
        done = subprocess.run(
            [sys.executable, "-B", "-c", BEGINNING + textwrap.dedent(code)],
            env={**os.environ, "TMPDIR": self.folder, **more}, capture_output=True, text=True,
            timeout=60)
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        return done

    def test_as_many_a_minute_as_may(self):
        self.run_code("""
            app = flameprof.Middleware(simple, per_minute=2)
            assert [ask(app)[0] for _ in range(2)] == ["200 OK"] * 2
            status, headers, body = ask(app)
            assert status == "429 Too Many Requests", status
            assert 25 <= int(headers["Retry-After"]) <= 30, headers
            assert headers["Cache-Control"] == "no-store"
            assert body.startswith(b"This server takes 2 profiles a minute, no more "
                                   b"(per-minute): ask again in "), body
            # Who may not ask sees what was there before.
            refused = ask(app, REMOTE_ADDR="192.0.2.1")
            assert refused == ask(app, "", REMOTE_ADDR="192.0.2.1"), refused
            stats = flameprof.stats()
            assert (stats["profiles"], stats["refused_per_minute"], stats["refused_caller"],
                    stats["running"]) == (2, 1, 1, 0), stats
        """)

    def test_as_many_at_once_as_may(self):
        self.run_code("""
            inside, go = threading.Semaphore(0), threading.Event()
            hung = threading.Timer(40, os._exit, (9,))
            hung.daemon = True
            hung.start()
            def waits(environ, start_response):
                inside.release()
                go.wait()
                return simple(environ, start_response)
            for limits, sentence, count in (
                (dict(at_once=2), b"This server takes 2 profiles at once", "refused_at_once"),
                (dict(at_once=9, worker_at_once=1), b"This worker takes 1 profile at once",
                 "refused_worker_at_once")):
                go.clear()
                running = limits.get("worker_at_once", 2)
                app = flameprof.Middleware(waits, **{"worker_at_once": 9, **limits})
                threads = [threading.Thread(target=ask, args=(app,), daemon=True)
                           for _ in range(running)]
                for thread in threads:
                    thread.start()
                    inside.acquire()
                status, headers, body = ask(app)
                assert status[:3] == "429" and int(headers["Retry-After"]) > 0, (status, headers)
                assert body.startswith(sentence), body
                assert flameprof.stats()[count] == 1
                assert flameprof.stats()["running"] == running
                go.set()
                for thread in threads:
                    thread.join()
                assert ask(app)[0] == "200 OK"
                inside.acquire()
                assert flameprof.stats()["running"] == 0
        """)

    def test_every_way_out_gives_the_place_back(self):
        self.run_code("""
            class Body:
                def __init__(self, error):
                    self.error = error
                def __iter__(self):
                    yield b"a"
                    raise self.error
                def close(self):
                    raise self.error
            def early(error):
                def app(environ, start_response):
                    raise error
                return app
            def late(error):
                def app(environ, start_response):
                    start_response("200 OK", [])
                    return Body(error)
                return app
            def unsent(*arguments):
                raise OSError("the client is gone")
            for make in (early, late):
                for error in (ValueError(), SystemExit(1), KeyboardInterrupt(), GeneratorExit()):
                    for panel in (False, True):
                        app = flameprof.Middleware(make(error), panel=panel, at_once=1,
                                                   worker_at_once=1, per_minute=1000)
                        try:
                            ask(app, "" if panel else "flamegraph=1", HTTP_ACCEPT="text/html")
                        except BaseException as raised:
                            assert raised is error, (raised, error)
                        assert flameprof.stats()["running"] == 0, (make, error, panel)
            try:
                flameprof.Middleware(simple, per_minute=1000)(environ(), unsent)
            except OSError:
                pass
            assert flameprof.stats()["running"] == 0
            assert flameprof.stats()["profiles"] == 17, flameprof.stats()
        """)

    def test_a_child_forked_in_the_request_gives_nothing_back(self):
        self.run_code("""
            seen = []
            def forks(environ, start_response):
                child = os.fork()
                if child:
                    os.waitpid(child, 0)
                    seen.append(flameprof.stats()["running"])
                return simple(environ, start_response)
            app = flameprof.Middleware(forks)
            parent = os.getpid()
            status = ask(app)[0]
            if os.getpid() != parent:
                os._exit(0)
            assert status == "200 OK" and seen == [1], (status, seen)
            assert flameprof.stats()["running"] == 0
        """)

    def test_a_child_that_lives_on_keeps_no_place(self):
        """Forked beside profiles of other threads, which end in the parent only: by
        themselves, or with it."""
        for ends in ("go.set(); [thread.join() for thread in threads]",
                     "os.kill(os.getpid(), signal.SIGKILL)"):
            with self.subTest(ends=ends):
                self.run_code("""
                    import signal
                    signal.alarm(50)
                    parent = os.fork()
                    if not parent:
                        inside, go = threading.Semaphore(0), threading.Event()
                        def waits(environ, start_response):
                            inside.release()
                            go.wait()
                            return simple(environ, start_response)
                        limits = dict(at_once=3, worker_at_once=3)
                        app = flameprof.Middleware(waits, **limits)
                        threads = [threading.Thread(target=ask, args=(app,), daemon=True)
                                   for _ in range(3)]
                        for thread in threads:
                            thread.start()
                            inside.acquire()
                        heard, told = os.pipe()
                        if os.fork():
                            os.close(told)
                            ENDS
                            os.read(heard, 1)
                            os._exit(0)
                        signal.alarm(50)
                        deadline = time.monotonic() + 20
                        while flameprof.stats()["running"]:
                            assert time.monotonic() < deadline, flameprof.stats()
                            time.sleep(0.01)
                        go.set()
                        app = flameprof.Middleware(waits, **limits)
                        threads = [threading.Thread(target=ask, args=(app,)) for _ in range(3)]
                        go.clear()
                        for thread in threads:
                            thread.start()
                            assert inside.acquire(timeout=10)
                        assert flameprof.stats()["running"] == 3, flameprof.stats()
                        go.set()
                        for thread in threads:
                            thread.join()
                        assert flameprof.stats()["running"] == 0, flameprof.stats()
                        open("SAID", "w").close()
                        os._exit(0)
                    os.waitpid(parent, 0)
                    deadline = time.monotonic() + 20
                    while not os.path.exists("SAID"):
                        assert time.monotonic() < deadline
                        time.sleep(0.01)
                """.replace("ENDS", ends).replace("SAID", os.path.join(self.folder, "said")))
                os.unlink(os.path.join(self.folder, "said"))

    def test_a_page_over_the_limit_goes_on_untouched(self):
        self.run_code("""
            app = flameprof.Middleware(simple, panel=True, per_minute=1)
            page = dict(HTTP_ACCEPT="text/html")
            assert b"flameprof-badge" in ask(app, "", **page)[2]
            assert ask(app, "", **page) == ask(simple, "", **page)
            assert flameprof.stats()["refused_per_minute"] == 1
        """)

    def test_the_shortest_interval(self):
        self.run_code("""
            short = "flamegraph=1&interval=0.00005"
            status, _, body = ask(flameprof.Middleware(simple), short)
            assert status == "400 Bad Request", status
            assert body == (b'interval="0.00005" is not accepted: on this server it takes '
                            b'seconds from 0.0001 to 1.\\n'), body
            # What the server's own default is may always be.
            assert ask(flameprof.Middleware(simple, interval=0.00005), short)[0] == "200 OK"
            app = flameprof.Middleware(simple, min_interval=0.00005)
            assert ask(app, short)[0] == "200 OK"
            assert flameprof.stats()["refused_interval"] == 1
        """)

    def test_a_picture_that_would_be_too_large(self):
        self.run_code("""
            def wide(environ, start_response):
                names = {}
                for i in range(400):
                    code = "def f%d():\\n while time.perf_counter() < end: pass" % i
                    exec(code, globals(), names)
                for f in names.values():
                    globals()["end"] = time.perf_counter() + 0.001
                    f()
                return simple(environ, start_response)
            query = "flamegraph=1&interval=0.0002"
            status, _, body = ask(flameprof.Middleware(wide, max_picture_bytes=65536), query)
            assert status == "500 Internal Server Error", status
            assert body.startswith(b"The picture would be larger than allowed "
                                   b"(max-picture-bytes): "), body
            assert ask(flameprof.Middleware(wide), query)[0] == "200 OK"
            # A PNG's pixels are in memory before they are compressed.
            png = "flamegraph=1&flamegraph_format=png"
            assert ask(flameprof.Middleware(simple, max_picture_bytes=1 << 19), png)[0][:3] == "500"
            assert len(ask(flameprof.Middleware(simple), png)[2]) < 1 << 19
            stats = flameprof.stats()
            assert (stats["pictures"], stats["pictures_too_large"]) == (2, 2), stats
            assert stats["pictures_bytes"] > 65536 and stats["pictures_ns"] > 0, stats
            assert stats["samples"] > 0 and stats["sampling_ns"] > 0, stats
        """)

    def test_memory_for_the_threads_of_a_request(self):
        self.run_code("""
            def app(environ, start_response):
                threads = [threading.Thread(target=time.sleep, args=(0.2,)) for _ in range(6)]
                for thread in threads:
                    thread.start()
                for thread in threads:
                    thread.join()
                return simple(environ, start_response)
            def watched(**limits):
                query = "flamegraph=1&flamegraph_threads=1&flamegraph_format=json"
                body = ask(flameprof.Middleware(app, **limits), query)[2]
                quality = json.loads(body)["quality"]
                return quality["children"], quality["unwatched"]
            import json
            assert watched() == (6, 0), watched()
            assert watched(max_profile_bytes=16 << 20) == (2, 4), watched()
        """)

    def test_what_was_kept_is_not_drawn_by_all_at_once(self):
        self.run_code("""
            import json
            os.chdir(os.environ["TMPDIR"])
            os.mkdir("kept", 0o700)
            count = 100000 # takes a moment to be read
            with open("kept/" + 32 * "a" + ".pb.gz", "w") as file:
                json.dump({"format": "flameprof", "version": 1, "clock": "wall",
                           "unit": "nanoseconds",
                           "functions": [{"name": f"f{i}"} for i in range(1000)],
                           "places": {"parent": [0] * 1000 + [i // 2 for i in range(1000, count)],
                                      "function": [i % 1000 for i in range(count)],
                                      "self": [1000] * count}}, file)
            app = flameprof.Middleware(simple, dir="kept", worker_at_once=2)
            answers = []
            begin = threading.Barrier(6)
            def draw():
                begin.wait()
                answers.append(ask(app, "", PATH_INFO="/_flameprof/" + 32 * "a"))
            threads = [threading.Thread(target=draw) for _ in range(6)]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
            found = sorted(status[:3] for status, _, _ in answers)
            assert found == ["200"] * 2 + ["429"] * 4, found
            assert all(headers["Retry-After"] == "2" for status, headers, _ in answers
                       if status[:3] == "429")
            pid = os.fork()
            assert ask(app, "", PATH_INFO="/_flameprof/" + 32 * "a")[0] == "200 OK"
            if pid == 0:
                os._exit(0)
            assert os.waitpid(pid, 0)[1] == 0
            assert flameprof.stats()["refused_worker_at_once"] == 4
        """)

    def test_a_pdf_of_very_many_frames(self):
        self.run_code("""
            import json, resource
            os.chdir(os.environ["TMPDIR"])
            os.mkdir("kept", 0o700)
            count = 50000
            with open("kept/" + 32 * "a" + ".pb.gz", "w") as file:
                json.dump({"format": "flameprof", "version": 1, "clock": "wall",
                           "unit": "nanoseconds",
                           "functions": [{"name": f"f{i}"} for i in range(count)],
                           "places": {"parent": [max(0, i - 2000) for i in range(count)],
                                      "function": list(range(count)),
                                      "self": [1000] * count}}, file)
            app = flameprof.Middleware(simple, dir="kept")
            def draw(format, smallest):
                return ask(app, f"flamegraph_format={format}&flamegraph_width=10000"
                                f"&flamegraph_smallest={smallest}",
                           PATH_INFO="/_flameprof/" + 32 * "a")
            assert draw("svg", 0.1)[0] == "200 OK"
            assert draw("pdf", 100)[0] == "200 OK"
            before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
            for format in "png", "pdf":
                status, _, body = draw(format, 0.1)
                assert status[:3] == "500" and b"(max-picture-bytes)" in body, (status, body)
            assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss < before + 40000
        """)

    def test_without_a_folder_each_worker_is_alone(self):
        done = self.run_code("""
            flameprof.Middleware(simple)
            app = flameprof.Middleware(simple, per_minute=1)
            assert [ask(app)[0][:3] for _ in range(2)] == ["200", "429"]
            assert flameprof.stats()["shared"] is False
        """, TMPDIR="/proc/no/such")
        self.assertEqual(done.stderr.count("[flameprof]"), 1, done.stderr)
        self.assertIn("limits hold for each worker by itself", done.stderr)

    def test_options_take_what_they_say(self):
        self.run_code("""
            for name, bad in (("at_once", (0, 257, "1", 1.5)), ("worker_at_once", (0, 65, -1)),
                              ("per_minute", (0, 1000001)), ("min_interval", (0.00001, 2, "x")),
                              ("max_profile_bytes", ((16 << 20) - 1, (1 << 30) + 1)),
                              ("max_picture_bytes", (65535, (1 << 30) + 1))):
                for value in bad:
                    try:
                        flameprof.Middleware(simple, **{name: value})
                    except (ValueError, TypeError) as error:
                        assert name.replace("_", "-") in str(error) or name in str(error) \
                            or isinstance(error, TypeError), error
                    else:
                        raise AssertionError((name, value))
        """)

    def test_the_documentation_has_every_number(self):
        done = self.run_code("print(*flameprof.stats())")
        text = (ROOT / "docs" / "metrics.md").read_text()
        rows = re.findall(r"^\| `(\w+)` \|", text, re.M)
        self.assertEqual(rows, done.stdout.split())


class Server:
    """gunicorn, with workers that have nothing in common but a folder."""

    def __init__(self, folder, workers, **limits):
        with socket.socket() as listener:
            listener.bind(("127.0.0.1", 0))
            self.port = listener.getsockname()[1]
        self.process = subprocess.Popen(
            [sys.executable, "-B", "-m", "gunicorn", "--workers", str(workers), "--bind",
             f"127.0.0.1:{self.port}", "--graceful-timeout", "1", "limited_app:application"],
            cwd=HERE, env=dict(os.environ, TMPDIR=folder, LIMITS=json.dumps(limits)),
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        deadline = time.monotonic() + 20
        while True:
            with contextlib.suppress(OSError):
                socket.create_connection(("127.0.0.1", self.port), 1).close()
                return
            if time.monotonic() > deadline:
                self.stop()
                raise AssertionError("the server does not answer")
            time.sleep(0.05)

    def get(self, path, seconds=1.5):
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=20)
        try:
            connection.request("GET", path, headers={"X-Seconds": str(seconds)})
            answer = connection.getresponse()
            return answer.status, answer.read()
        finally:
            connection.close()

    def stats(self):
        return json.loads(self.get("/stats")[1])

    def stop(self):
        self.process.terminate()
        self.process.wait(20)


@unittest.skipIf(importlib.util.find_spec("gunicorn") is None,
                 "SKIPPED: gunicorn is not installed for this Python")
class Several(unittest.TestCase):
    def server(self, workers, **limits):
        folder = tempfile.TemporaryDirectory(prefix="flameprof-limits-")
        self.addCleanup(folder.cleanup)
        server = Server(folder.name, workers, **limits)
        self.addCleanup(server.stop)
        return server

    def start_slow(self, server, seconds):
        """A profile that runs, and its answer's status, once it is there."""
        answers = []

        def ask():
            with contextlib.suppress(OSError, http.client.HTTPException):
                answers.append(server.get("/slow?flamegraph=1", seconds)[0])

        thread = threading.Thread(target=ask)
        thread.start()
        self.addCleanup(thread.join)
        deadline = time.monotonic() + 10
        while server.stats()["running"] == 0 and time.monotonic() < deadline:
            time.sleep(0.02)
        return thread, answers

    def test_workers_share_limits_and_numbers(self):
        server = self.server(3, at_once=1, per_minute=1000)
        thread, answers = self.start_slow(server, 3)
        for _ in range(4):
            status, body = server.get("/?flamegraph=1")
            self.assertEqual(status, 429)
            self.assertIn(b"at-once", body)
        thread.join()
        self.assertEqual(answers, [200])
        self.assertEqual(server.get("/?flamegraph=1")[0], 200)
        seen = {}
        for _ in range(60):
            stats = server.stats()
            seen[stats.pop("pid")] = stats
        self.assertGreater(len(seen), 1)
        for stats in seen.values():
            self.assertTrue(stats["shared"])
            self.assertEqual((stats["profiles"], stats["refused_at_once"], stats["running"]),
                             (2, 4, 0))

    def test_a_worker_that_is_killed_gives_its_place_back(self):
        server = self.server(2, at_once=1, per_minute=1000)
        for _ in range(3):
            _, answers = self.start_slow(server, 30)
            idle = server.stats()["pid"]
            pid = server.process.pid
            children = pathlib.Path(f"/proc/{pid}/task/{pid}/children")
            for child in children.read_text().split():
                if int(child) != idle:
                    os.kill(int(child), signal.SIGKILL)
            deadline = time.monotonic() + 10
            while server.stats()["running"] and time.monotonic() < deadline:
                time.sleep(0.02)
            self.assertEqual(server.get("/?flamegraph=1")[0], 200)
            self.assertEqual(answers, [])


if __name__ == "__main__":
    unittest.main()
