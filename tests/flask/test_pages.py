"""The pages: what they show, what they take, what they change."""

import csv
import datetime
import io
import os
import re
import signal
import subprocess
import sys
import threading
import time
import unittest

import flask
import shop
from client import Client, pause

from flameprof.flask import OX_PROF_BP, blueprint, flameprof
from flameprof.flask.process import PROCESS


def tickers():
    return [thread.name for thread in threading.enumerate() if thread.name == "flameprof"]


class Pages(unittest.TestCase):
    def setUp(self):
        self.addCleanup(pause)
        self.client = Client(shop.create())

    def text(self, path, status=200):
        answer = self.client.get(path)
        self.assertEqual(answer.status_code, status, answer.text)
        return answer.get_data(as_text=True)

    def test_the_index_links_to_all(self):
        for path in ("/flameprof/", "/flameprof/index"):
            text = self.text(path)
            for name in ("status", "pause", "unpause", "show_req_times", "graph"):
                self.assertIn(f'href="/flameprof/{name}"', text)

    def test_paused_until_somebody_starts(self):
        self.assertIn(">paused<", self.text("/flameprof/status"))
        self.assertEqual(tickers(), [])
        answer = self.client.press("start")
        self.assertEqual(answer.status_code, 303)
        self.assertTrue(answer.headers["Location"].endswith("/flameprof/status"))
        self.assertIn(">running<", self.text("/flameprof/status"))
        self.assertEqual(self.client.press("pause").status_code, 303)
        self.assertIn(">paused<", self.text("/flameprof/status"))

    def test_what_was_seen(self):
        self.client.press("unpause")
        self.client.get("/slow/0.4")
        text = self.text("/flameprof/status?re_filter=grind|slow&max_records=1")
        self.assertRegex(text, r"1 of \d functions")
        self.assertRegex(text, r'class="function">(grind|slow) ')
        had = re.search(r"Interval achieved</dt><dd>([\d.]+) <small>± [\d.]+ ms", text)
        self.assertTrue(5 < float(had.group(1)) < 50, had.group())  # of 10
        self.client.press("pause")
        before = re.findall(r'"number">(\d+)<', self.text("/flameprof/status?re_filter=grind"))
        self.client.get("/slow/0.1")
        after = re.findall(r'"number">(\d+)<', self.text("/flameprof/status?re_filter=grind"))
        self.assertEqual(before, after)

    def test_a_thread_that_blocks_signals(self):
        """As uWSGI's do: from a request on it lets the sampler's through, until the pause."""
        client = Client(self.client.client.application)
        masks = []

        def serve():
            signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
            client.get("/quick")
            masks.append(signal.pthread_sigmask(signal.SIG_BLOCK, []))
            pause()
            client.get("/quick")
            masks.append(signal.pthread_sigmask(signal.SIG_BLOCK, []))

        self.client.press("start")  # on another thread than the one that is asked about
        thread = threading.Thread(target=serve)
        thread.start()
        thread.join()
        self.assertLess(masks[0], masks[1])  # sets: fewer were blocked

    def test_bad_values_get_a_sentence(self):
        for query, sentence in (
            ("re_filter=(", "re_filter is no regular expression"),
            ("re_filter=(a%2B)%2B%24", "could take too long"),
            ("max_records=x", "max_records takes a number from 1 to 10000"),
            ("max_records=0", "max_records takes"),
            ("max_records=-1", "max_records takes"),
            ("max_records=99999999999999999999999", "max_records takes"),
            ("max_records=²", "max_records takes"),
        ):
            with self.subTest(query=query):
                text = self.text(f"/flameprof/status?{query}", 400)
                self.assertIn(sentence, text)
                self.assertEqual(text.count("\n"), 1)

    def test_the_interval(self):
        self.assertEqual(self.client.press("set_interval", interval="0.002").status_code, 303)
        self.assertEqual(PROCESS.interval, 0.002)
        self.assertIn(
            'name="interval" inputmode="decimal" value="0.002"', self.text("/flameprof/status")
        )
        for bad in ("0", "-1", "nan", "inf", "11", "fast", ""):
            with self.subTest(interval=bad):
                answer = self.client.press("set_interval", interval=bad)
                self.assertEqual(answer.status_code, 400)
                self.assertIn("interval", answer.text)
        self.assertEqual(PROCESS.interval, 0.002)
        self.client.press("set_interval", interval="0.01")

    def test_the_graph(self):
        self.client.press("start")
        self.client.get("/slow/0.3")
        picture = self.client.get("/flameprof/graph")
        self.assertEqual(picture.mimetype, "image/svg+xml")
        self.assertIn("script-src 'sha256-", picture.headers["Content-Security-Policy"])
        self.assertEqual(picture.headers["Cache-Control"], "no-store")
        self.assertEqual(picture.headers["X-Content-Type-Options"], "nosniff")
        for name in (f"process {PROCESS.pid}", "grind"):
            self.assertTrue(name in picture.text, f"{name} is not in the picture")
        folded = self.text("/flameprof/graph?format=folded&clock=cpu")
        self.assertRegex(folded, r"slow .*;grind .* \d+")
        self.assertIn("it is one of", self.text("/flameprof/graph?format=bmp", 400))
        self.assertIn("clock", self.text("/flameprof/graph?clock=sun", 400))

    def test_headers(self):
        for path in ("/", "/status", "/pause", "/show_req_times", "/set_interval"):
            with self.subTest(path=path):
                answer = self.client.get("/flameprof" + path)
                policy = answer.headers["Content-Security-Policy"]
                self.assertIn("default-src 'none'", policy)
                self.assertIn("frame-ancestors 'none'", policy)
                self.assertNotIn("unsafe", policy)
                self.assertEqual(answer.headers["Cache-Control"], "no-store")
                # Flask-WTF looks at Referer, under https.
                self.assertEqual(answer.headers["Referrer-Policy"], "same-origin")
                self.assertNotRegex(answer.text, r"<script|\bstyle=|\bon[a-z]+=|https?://")

    def test_names_are_text(self):
        app = shop.create()
        app.add_url_rule("/x/<p>", "<img src=x>", lambda p: "")
        client = Client(app)
        client.get("/x/1")
        text = client.get("/flameprof/show_req_times").text
        self.assertIn("&lt;img src=x&gt;", text)
        self.assertNotIn("<img", text)

    def test_how_long_requests_took(self):
        for path in ("/slow/0.05", "/quick", "/quick", "/nowhere"):
            self.client.get(path)
        text = self.text("/flameprof/show_req_times")
        self.assertLess(text.index(">slow <"), text.index(">quick <"))
        self.assertIn("/slow/&lt;float:seconds&gt;", text)
        self.assertIn("(no route)", text)
        by_hits = self.text("/flameprof/show_req_times?sort=hits")
        self.assertLess(by_hits.index(">quick <"), by_hits.index(">slow <"))
        self.assertIn("sort takes one of", self.text("/flameprof/show_req_times?sort=size", 400))
        self.assertIn("as_csv takes", self.text("/flameprof/show_req_times?as_csv=x", 400))

    def test_csv(self):
        began = time.time()
        self.client.get("/slow/0.05")
        answer = self.client.get("/flameprof/show_req_times?as_csv=1")
        self.assertEqual(answer.headers["Content-Disposition"], "attachment; filename=reqs.csv")
        self.assertEqual(answer.mimetype, "text/csv")
        rows = list(csv.DictReader(io.StringIO(answer.text, newline="")))
        self.assertEqual(list(rows[0]), ["user", "endpoint", "start_time", "end_time"])
        self.assertEqual((rows[-1]["user"], rows[-1]["endpoint"]), ("", "slow"))
        moments = [self.seconds(rows[-1][name]) for name in ("start_time", "end_time")]
        self.assertAlmostEqual(moments[0], began, delta=1)
        self.assertGreater(moments[1] - moments[0], 0.0499)

    def seconds(self, text):
        when = datetime.datetime.fromisoformat(text).replace(tzinfo=datetime.timezone.utc)
        return when.timestamp()

    def test_answered_by_a_before_request(self):
        app = flask.Flask("early")
        app.before_request(lambda: None if flask.request.path.startswith("/flameprof") else "no")
        app.register_blueprint(flameprof)
        client = Client(app)
        self.assertEqual(client.get("/page").text, "no")
        self.assertIn("(no route)", client.get("/flameprof/show_req_times").text)

    def test_async_views(self):
        app = shop.create()

        @app.route("/async")
        async def slowly():
            shop.grind(0.3)
            return "async"

        client = Client(app)
        client.press("start")
        self.assertEqual(client.get("/async").text, "async")
        self.assertIn("slowly ", client.get("/flameprof/status?re_filter=slowly").text)
        self.assertIn(">slowly <", client.get("/flameprof/show_req_times").text)


FORK = """
import os, sys
import shop
from client import Client

client = Client(shop.create())
client.press("start")
client.get("/slow/0.3")
print("grind" in client.get("/flameprof/status").text, flush=True)
child = os.fork()
status = client.get("/flameprof/status").text
times = client.get("/flameprof/show_req_times?as_csv=1").text
if child == 0:
    print(f"process {os.getpid()}" in status, ">paused<" in status, "grind" in status, "slow" in times)
    client.press("start")
    client.get("/slow/0.3")
    print("grind" in client.get("/flameprof/status").text, flush=True)
    os._exit(0)
os.waitpid(child, 0)
print(">running<" in status, "grind" in status, "slow" in times, flush=True)
"""


class Fork(unittest.TestCase):
    def test_a_child_begins_anew(self):
        said = subprocess.run(
            [sys.executable, "-B", "-c", FORK],
            cwd=os.path.dirname(os.path.abspath(__file__)),
            env={**os.environ, "PYTHONPATH": os.path.abspath(os.environ["PYTHONPATH"])},
            capture_output=True,
            text=True,
            timeout=60,
        )
        lines = ["True", "True True False False", "True", "True True True"]
        self.assertEqual(said.stdout.splitlines(), lines, said.stderr)


class Applications(unittest.TestCase):
    def setUp(self):
        self.addCleanup(pause)

    def test_each_has_its_own_requests(self):
        one, other = Client(shop.create()), Client(shop.create())
        one.get("/quick")
        self.assertIn(">quick <", one.get("/flameprof/show_req_times").text)
        self.assertNotIn(">quick <", other.get("/flameprof/show_req_times").text)

    def test_the_sampler_is_of_the_process(self):
        one, other = Client(shop.create()), Client(shop.create())
        one.press("start")
        self.assertIn(">running<", other.get("/flameprof/status").text)

    def seen(self, **config):
        """A folded graph and the table, of a process that begins anew."""
        PROCESS.pid = 0
        self.addCleanup(setattr, PROCESS, "pid", 0)
        client = Client(shop.create(**config))
        client.press("start")
        client.get("/slow/0.3")
        texts = [client.get(f"/flameprof/{page}").text for page in ("graph?format=folded", "status")]
        client.press("pause")
        return "".join(texts)

    def test_paths(self):
        text = self.seen()
        self.assertIn("(flask/app.py", text)
        self.assertNotIn(os.path.dirname(flask.__path__[0]), text)
        self.assertNotIn(os.path.dirname(shop.__file__) + "/", text)

    def test_full_paths(self):
        self.assertIn(shop.__file__, self.seen(FLAMEPROF_FULL_PATHS=True))

    def test_redacted(self):
        text = self.seen(FLAMEPROF_REDACT=["grind", "slow"])
        self.assertIn("[redacted]", text)
        self.assertNotIn("grind", text)

    def test_ox_profile(self):
        client = Client(shop.create(OX_PROF_BP))
        text = client.get("/ox_profile/").text
        for name in ("status", "pause", "unpause", "show_req_times"):
            self.assertIn(f'href="/ox_profile/{name}"', text)
        with client.client.application.test_request_context():
            self.assertEqual(flask.url_for("ox_profile.status"), "/ox_profile/status")
        self.assertEqual(client.press("unpause", "/ox_profile").status_code, 303)
        self.assertIn(">running<", client.get("/ox_profile/status").text)

    def test_two_blueprints_record_once(self):
        client = Client(shop.create(OX_PROF_BP, flameprof))
        client.get("/quick")
        text = client.get("/flameprof/show_req_times?as_csv=1").text
        self.assertEqual(text.count('"quick"'), 1)
        self.assertEqual(len(client.client.application.teardown_request_funcs[None]), 1)

    def test_elsewhere(self):
        app = flask.Flask("elsewhere")
        outer = flask.Blueprint("admin", "admin", url_prefix="/admin")
        outer.register_blueprint(blueprint("profiler", "/prof"))
        app.register_blueprint(outer)
        app.register_blueprint(flameprof, url_prefix="/_profiler")
        client = Client(app)
        for prefix in ("/admin/prof", "/_profiler"):
            with self.subTest(prefix=prefix):
                self.assertIn(f'href="{prefix}/status"', client.get(prefix + "/").text)
                self.assertEqual(client.press("start", prefix).status_code, 303)
                self.assertEqual(client.press("pause", prefix).status_code, 303)


if __name__ == "__main__":
    unittest.main()
