"""--flameprof-authorize: the application's own function says who may."""

import concurrent.futures
import json
import os
import pathlib
import subprocess
import sys
import tempfile

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))

from checks import FOLDED, Checks  # noqa: E402
from server import BUILD, HERE, Server  # noqa: E402

STRANGER = {"REMOTE_ADDR": "192.0.2.9", "HTTP_HOST": "shop.example"}
OPTION = ("--flameprof-authorize", "judged:may")
APP = ("--module", "judged", "--need-app")
MOUNTS = ("--mount", f"/one={HERE}/judged.py", "--mount", f"/two={HERE}/judged.py",
          "--manage-script-name")
GEVENT = {"before": ("--plugin", "python3,gevent_python3")}


class Authorize(Checks):
    def serve(self, *args, app=APP, **kwargs):
        server = Server(*OPTION, *args, app=app, **kwargs)
        self.addCleanup(server.stop)
        return server

    def ask(self, server, who=None, path="/x", query=FOLDED, **more):
        whose = {"HTTP_X_WHO": who} if who else {}
        return server.speak_uwsgi(path, query, **{**STRANGER, **whose, **more})

    def seen(self, server, path="/seen", query="", **more):
        return json.loads(self.ask(server, path=path, query=query, **more).body)

    def assert_ordinary(self, server, who=None, path="/x", query=FOLDED, **more):
        """Byte for byte what the application says, whatever was asked."""
        self.assertEqual(self.ask(server, who, path, query, **more).raw,
                         self.ask(server, who, path, "", **more).raw)

    def check(self, server, path="/x"):
        for _ in range(2):
            self.assert_profiled(self.ask(server, "staff", path), "judged_work")
            self.assert_ordinary(server, "customer", path)
            self.assert_ordinary(server, None, path)


class Modes(Authorize):
    def test_one_application(self):
        for mode in ((), ("--enable-threads",), ("--single-interpreter",), ("--lazy-apps",),
                     ("--async", "4"), ("--threads", "3")):
            with self.subTest(mode=mode):
                self.check(self.serve(*mode))

    def test_gevent(self):
        server = self.serve("--gevent", "20", "--gevent-monkey-patch", **GEVENT)
        self.check(server)
        self.check_many(server)

    def test_threads(self):
        self.check_many(self.serve("--threads", "4"))
        self.check_many(self.serve("--threads", "4", app=MOUNTS), "/one/x", "/two/x")

    def check_many(self, server, *paths):
        """Several are asked about at once, while others are served."""
        asked = [("waits", path) for path in paths or ("/x",)] * 3
        others = [("customer", path) for _, path in asked]
        with concurrent.futures.ThreadPoolExecutor(8) as pool:
            answers = list(pool.map(lambda one: self.ask(server, *one), asked + others))
        for answer in answers[: len(asked)]:
            self.assert_profiled(answer, "judged_work")
        for answer in answers[len(asked):]:
            self.assertEqual(answer.body, b"{}")

    def test_each_interpreter_has_its_own(self):
        for mode in ((), ("--enable-threads",), ("--threads", "3")):
            with self.subTest(mode=mode):
                server = self.serve(*mode, app=MOUNTS)
                self.check(server, "/one/x")
                self.check(server, "/two/x")
                for mount in ("/one", "/two"):
                    asked = self.seen(server, mount + "/seen")["asked"]
                    self.assertEqual([one["SCRIPT_NAME"] for one in asked], [mount] * 6)
                self.check(server, "/one/x")

    def test_an_application_that_is_loaded_by_its_request(self):
        server = self.serve(app=())
        on_demand = {"UWSGI_SCRIPT": "judged"}
        # Nobody knows its users before it is there.
        self.assertEqual(self.ask(server, "staff", **on_demand).body, b"{}")
        self.assert_profiled(self.ask(server, "staff", **on_demand), "judged_work")
        self.assert_ordinary(server, "customer", **on_demand)


class Question(Authorize):
    @classmethod
    def setUpClass(cls):
        cls.scratch = tempfile.TemporaryDirectory(prefix="flameprof-authorize-")
        cls.addClassCleanup(cls.scratch.cleanup)
        folder = pathlib.Path(cls.scratch.name)
        cls.secret = folder / "secret"
        cls.secret.write_bytes(os.urandom(32))
        cls.secret.chmod(0o600)
        cls.server = Server(*OPTION, "--flameprof-secret-file", str(cls.secret),
                            "--flameprof-dir", str(folder / "kept"),
                            "--flameprof-unsafe-methods", app=APP)
        cls.addClassCleanup(cls.server.stop)

    def asked(self):
        return self.seen(self.server)["asked"]

    def test_it_decides_alone(self):
        local = {"REMOTE_ADDR": "127.0.0.1", "HTTP_HOST": "localhost"}
        self.assert_ordinary(self.server, "customer", **local)
        self.assert_profiled(self.ask(self.server, "staff", HTTP_VIA="1.1 proxy"), "judged_work")

    def test_it_is_asked_only_where_it_matters(self):
        before = len(self.asked())
        for query in ("", "a=b", "flamegraph=0", "flamegraph=10"):
            self.ask(self.server, "staff", query=query)
        self.assert_ordinary(self.server, "staff", HTTP_SEC_FETCH_SITE="cross-site")
        signed = subprocess.run(
            [str(BUILD / "flameprof"), "sign", "--secret-file", str(self.secret), "--path", "/x"],
            check=True, stdout=subprocess.PIPE, text=True).stdout.strip()
        self.assert_picture(self.ask(self.server, query=signed))
        self.assertEqual(len(self.asked()), before)
        self.assert_ordinary(self.server, query=signed[:-1])
        self.assertEqual(len(self.asked()), before + 1)

    def test_what_is_kept_is_for_those(self):
        self.assertIn(b"<html", self.ask(self.server, "staff", "/_flameprof/", "").body)
        self.assertEqual(self.ask(self.server, "customer", "/_flameprof/", "").body, b"{}")

    def test_the_environ(self):
        more = {"HTTP_X_BYTES": "caf\u00e9", "HTTPS": "on", "HTTP_COOKIE": "a=b"}
        seen = self.seen(self.server, query=FOLDED, **more)
        given = seen["asked"][-1]
        own = seen["environ"]
        self.assertEqual(given["HTTP_X_BYTES"], "caf\u00c3\u00a9")  # bytes as Latin-1
        self.assertEqual(given["wsgi.url_scheme"], "https")
        for key, value in given.items():
            if key != "wsgi.input":
                self.assertEqual(value, own[key], key)
        missing = {key for key in set(own) - set(given) if not key.startswith("uwsgi.")}
        self.assertEqual(missing, {"wsgi.file_wrapper"})

    def test_the_body_is_the_applications(self):
        answer = self.server.get(f"/seen?{FOLDED}", "POST", body=b"all of it")
        seen = json.loads(answer.body)
        self.assertEqual(seen["asked"][-1]["REQUEST_METHOD"], "POST")
        self.assertEqual(seen["body"], "all of it")

    def test_raising_means_no(self):
        worker = self.seen(self.server)["pid"]
        for who in ("raises", "exits"):
            self.assert_ordinary(self.server, who)
            self.assertEqual(self.ask(self.server, who).body, b"{}")
        self.assertEqual(self.seen(self.server)["pid"], worker)
        self.assertIn("ValueError: who is that?", self.server.log())
        self.assert_profiled(self.ask(self.server, "staff"), "judged_work")

    def test_the_log_says_who_may(self):
        self.assertIn("is answered to whomever judged:may lets", self.server.log())


class Options(Authorize):
    def test_what_cannot_be_had_lets_nobody_in(self):
        for name, why in (("nowhere:may", "ModuleNotFoundError: No module named 'nowhere'"),
                          ("judged:nowhere", "AttributeError: module 'judged' has no attribute"),
                          ("judged:nobody", "TypeError: it is not callable")):
            with self.subTest(name=name), Server("--flameprof-authorize", name,
                                                 app=APP) as server:
                for who in ("staff", "customer", "staff"):
                    self.assert_ordinary(server, who)
                said = [line for line in server.log().splitlines() if "cannot be had" in line]
                self.assertEqual(len(said), 1, server.log())
                self.assertIn(f"--flameprof-authorize {name} lets nobody in", said[0])
                self.assertIn(why, said[0])

    def test_options_that_end_the_start(self):
        for value in ("judged", "judged:", ":may", "judged:may:be", "judged:a.b", "a b:c",
                      "/judged.py:may"):
            with self.subTest(value=value):
                self.assert_refused(["--flameprof-authorize", value],
                                    f'--flameprof-authorize: "{value}" is not a function')
        self.assert_refused([*OPTION, "--flameprof-allow", "10.0.0.0/8"], "exclude each other")

    def assert_refused(self, options, words):
        with Server(*options, app=APP, start=False) as server:
            self.assertEqual(server.wait(), 1)
            self.assertIn(words, server.log())

    def test_refusals_are_logged_with_their_reason(self):
        with Server(*OPTION, app=APP) as server:
            self.assert_ordinary(server, "customer")
            self.assertIn("authorize did not let it", server.log())
