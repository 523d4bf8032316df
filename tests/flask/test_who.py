"""Who may see the pages, whose forms are taken, and configurations that make no sense."""

import csv
import io
import re
import unittest

import flask
import flask_login
import flask_wtf
import shop
from client import Client, pause

from flameprof.flask import OX_PROF_BP, flameprof
from flameprof.flask.process import PROCESS

ELSEWHERE = {"REMOTE_ADDR": "198.51.100.7"}
SEEN = {200, 404}  # what somebody gets who may: perhaps there is no graph yet


def paths(app):
    """Of the pages and the style."""
    return ["/flameprof/static/flameprof.css"] + [
        rule.rule
        for rule in app.url_map.iter_rules()
        if rule.endpoint.startswith("flameprof.") and "<" not in rule.rule
    ]


class ThisMachine(unittest.TestCase):
    def statuses(self, client, **options):
        found = set()
        for path in paths(client.client.application):
            answer = client.get(path, **options)
            found.add(answer.status_code)
            answer.close()
        return found

    def test_only_straight_from_it(self):
        app = shop.create()
        self.assertLessEqual(self.statuses(Client(app)), SEEN)
        for name, environ in {
            "elsewhere": ELSEWHERE,
            "no address": {"REMOTE_ADDR": ""},
            "proxied": {"HTTP_X_FORWARDED_FOR": "127.0.0.1"},
            "old proxy": {"SERVER_PROTOCOL": "HTTP/1.0"},
            "rebound": {"HTTP_HOST": "evil.example"},
            "other site": {"HTTP_SEC_FETCH_SITE": "cross-site"},
        }.items():
            with self.subTest(caller=name), self.assertLogs(app.logger, "WARNING"):
                app.extensions["flameprof"].quiet_until = 0
                client = Client(app, **environ)
                self.assertEqual(self.statuses(client), {403})
                self.assertEqual(client.get("/flameprof/").text, "Forbidden\n")
                self.assertEqual(client.post("/flameprof/start").status_code, 403)
                self.assertEqual(client.get("/quick").status_code, 200)

    def test_proxy_fix_does_not_help(self):
        from werkzeug.middleware.proxy_fix import ProxyFix

        app = shop.create(FLAMEPROF_ALLOW=["198.51.100.0/24"])
        app.wsgi_app = ProxyFix(app.wsgi_app)
        client = Client(app, REMOTE_ADDR="203.0.113.1", HTTP_X_FORWARDED_FOR="198.51.100.7")
        self.assertEqual(self.statuses(client), {403})

    def test_networks(self):
        app = shop.create(FLAMEPROF_ALLOW=["198.51.100.0/24"])
        self.assertLessEqual(self.statuses(Client(app, **ELSEWHERE)), SEEN)
        self.assertEqual(self.statuses(Client(app, REMOTE_ADDR="203.0.113.1")), {403})

    def test_the_log_says_why_once_a_minute(self):
        app = shop.create()
        with self.assertLogs(app.logger, "WARNING") as log:
            for _ in range(3):
                Client(app, **ELSEWHERE).get("/flameprof/")
        self.assertEqual(len(log.output), 1)
        self.assertIn("FLAMEPROF_USERS", log.output[0])


class Users(unittest.TestCase):
    def setUp(self):
        self.addCleanup(pause)

    def client(self, user=None, *blueprints, **config):
        client = Client(shop.with_login(*blueprints, **config), **ELSEWHERE)
        if user:
            self.assertEqual(client.get(f"/login/{user}").status_code, 200)
        return client

    def status(self, client, path="/flameprof/status"):
        return client.get(path).status_code

    def test_the_list(self):
        for key, prefix, made in (
            ("FLAMEPROF_USERS", "/flameprof", flameprof),
            ("OX_PROF_USERS", "/ox_profile", OX_PROF_BP),
        ):
            with self.subTest(key=key):
                config = {key: {"Alice"}}
                path = prefix + "/status"
                self.assertEqual(self.status(self.client("alice", made, **config), path), 200)
                self.assertEqual(self.status(self.client(None, made, **config), path), 401)
                refused = self.client("mallory", made, **config).get(path)
                self.assertEqual((refused.status_code, refused.text), (403, "Forbidden\n"))

    def test_every_page_is_behind_it(self):
        client = self.client("mallory", FLAMEPROF_USERS={"Alice"})
        for path in paths(client.client.application):
            with self.subTest(path=path):
                self.assertEqual(self.status(client, path), 403)
        for path in ("start", "unpause", "pause", "set_interval"):
            self.assertEqual(client.post(f"/flameprof/{path}").status_code, 403)
        self.assertFalse(PROCESS.running)

    def test_this_machine_has_to_log_in_too(self):
        client = Client(shop.with_login(FLAMEPROF_USERS={"Alice"}))
        self.assertEqual(self.status(client), 401)

    def test_an_empty_list_is_nobody(self):
        self.assertEqual(self.status(self.client("alice", FLAMEPROF_USERS=set())), 403)

    def test_another_field(self):
        for key in ("FLAMEPROF_USERNAME_FIELD", "OX_PROF_USERNAME_FIELD"):
            config = {key: "email", "FLAMEPROF_USERS": {"alice@shop.example"}}
            self.assertEqual(self.status(self.client("alice", **config)), 200)
            self.assertEqual(self.status(self.client("bob", **config)), 403)

    def test_a_user_without_the_field(self):
        client = self.client("alice", FLAMEPROF_USERS={"x"}, FLAMEPROF_USERNAME_FIELD="nick")
        with self.assertLogs(client.client.application.logger) as log:
            self.assertEqual(self.status(client), 403)
        self.assertIn("FLAMEPROF_USERNAME_FIELD", log.output[0])

    def test_without_flask_login(self):
        app = shop.create(FLAMEPROF_USERS={"Alice"})
        with self.assertLogs(app.logger, "ERROR") as log:
            answer = Client(app).get("/flameprof/status")
        self.assertEqual(answer.status_code, 500)
        self.assertNotIn("Alice", answer.text)
        self.assertIn("has no LoginManager", log.output[0])

    def test_whose_request_it_was(self):
        client = self.client("alice", FLAMEPROF_USERS={"Alice"})
        client.get("/me")
        loaded = len(client.client.application.extensions["loaded"])
        client.get("/quick")  # which does not ask who it is: neither do we
        self.assertEqual(len(client.client.application.extensions["loaded"]), loaded)
        text = client.get("/flameprof/show_req_times?as_csv=1").text
        users = {row["endpoint"]: row["user"] for row in csv.DictReader(io.StringIO(text))}
        self.assertEqual(users, {"login": "Alice", "me": "Alice", "quick": "alice"})

    def test_a_user_that_breaks(self):
        class Broken(flask_login.UserMixin):
            id = "1"

            @property
            def name(self):
                raise RuntimeError("detached")

        app = shop.with_login()
        app.add_url_rule("/in", "in", lambda: str(flask_login.login_user(Broken())))
        client = Client(app)
        self.assertEqual(client.get("/in").text, "True")
        self.assertIn(">in <", client.get("/flameprof/show_req_times").text)


class Forms(unittest.TestCase):
    def setUp(self):
        self.addCleanup(pause)
        self.client = Client(shop.create())
        self.token = self.client.token()

    def start(self, token=True, **headers):
        field = {"flameprof_token": self.token if token is True else token}
        headers = {name.replace("_", "-"): value for name, value in headers.items()}
        answer = self.client.post("/flameprof/start", field, headers=headers)
        return answer.status_code

    def test_a_get_changes_nothing(self):
        for name in ("start", "unpause", "pause", "set_interval"):
            text = self.client.get(f"/flameprof/{name}?interval=0.5").text
            self.assertIn('method="post"', text)
            self.assertFalse(PROCESS.running)
        self.assertEqual(PROCESS.interval, 0.01)

    def test_other_sites(self):
        for headers in (
            {"Sec_Fetch_Site": "same-site"},
            {"Sec_Fetch_Site": "none"},
            {"Sec_Fetch_Site": "cross-site"},
            {"Origin": "https://evil.example"},
            {"Origin": "null"},
            {"Origin": "http://localhost:5001"},
        ):
            with self.subTest(**headers):
                self.assertEqual(self.start(**headers), 403)
                self.assertFalse(PROCESS.running)

    def test_our_own(self):
        for headers in (
            {},
            {"Sec_Fetch_Site": "same-origin"},
            {"Origin": "http://localhost:5000"},
            {"Sec_Fetch_Site": "same-origin", "Origin": "https://behind.a.proxy"},
        ):
            with self.subTest(**headers):
                self.assertEqual(self.start(**headers), 303)

    def test_the_token(self):
        for token in ("", "x", self.token + "x", "ü"):
            with self.subTest(token=token):
                self.assertEqual(self.start(token), 403)
        stranger = Client(self.client.client.application)
        answer = stranger.post("/flameprof/start", {"flameprof_token": self.token})
        self.assertEqual(answer.status_code, 403)  # it has no cookie
        self.assertEqual(stranger.post("/flameprof/start").status_code, 403)  # nor a field

    def test_the_cookie(self):
        answer = Client(shop.create()).get("/flameprof/status")
        cookie = answer.headers["Set-Cookie"]
        for part in ("HttpOnly", "SameSite=Lax", "Path=/flameprof/"):
            self.assertIn(part, cookie)
        self.assertNotIn("Secure", cookie)
        secure = Client(shop.create()).get("/flameprof/status", base_url="https://localhost")
        self.assertIn("Secure", secure.headers["Set-Cookie"])

    def test_flask_wtf_protects_everything(self):
        app = shop.create(SECRET_KEY="not secret", WTF_CSRF_FIELD_NAME="their_token")
        flask_wtf.CSRFProtect(app)
        client = Client(app)
        self.assertEqual(client.press("start").status_code, 400)  # without theirs
        for name in ("start", "pause", "set_interval"):
            text = client.get(f"/flameprof/{name}").text
            fields = dict(re.findall(r'type="hidden" name="(\w+)" value="([^"]+)"', text))
            self.assertEqual(set(fields), {"flameprof_token", "their_token"})
            fields["interval"] = "0.01"
            self.assertEqual(client.post(f"/flameprof/{name}", fields).status_code, 303)


class Configuration(unittest.TestCase):
    BAD = (
        ("FLAMEPROF_USERS", "alice", "not a str"),
        ("FLAMEPROF_USERS", None, "takes a set of names"),
        ("FLAMEPROF_USERS", {None}, "takes names, not None"),
        ("FLAMEPROF_USERS", {""}, "takes names"),
        ("FLAMEPROF_USERS", {True}, "takes names"),
        ("OX_PROF_USERS", "alice", "not a str"),
        ("FLAMEPROF_USERNAME_FIELD", "e-mail", "attribute's name"),
        ("FLAMEPROF_ALLOW", "10.0.0.0/8", "takes a list"),
        ("FLAMEPROF_ALLOW", ["everybody"], "such as"),
        ("FLAMEPROF_INTERVAL", "0.01", "takes seconds"),
        ("FLAMEPROF_INTERVAL", 0, "takes seconds"),
        ("FLAMEPROF_INTERVAL", 11, "takes seconds"),
        ("FLAMEPROF_INTERVAL", float("nan"), "takes seconds"),
        ("FLAMEPROF_IDLE", "wait", "takes a list"),
        ("FLAMEPROF_FULL_PATHS", 1, "takes True or False"),
        ("FLAMEPROF_REDACT", "charge", "takes a list"),
        ("FLAMEPROF_REDACT", [""], "a function's name"),
        ("FLAMEPROF_USER", {"alice"}, "did you mean FLAMEPROF_USERS?"),
        ("FLAMEPROF_COLOUR", "red", "no option of flameprof"),
    )

    def test_at_start_up(self):
        for key, value, sentence in self.BAD:
            with self.subTest(key=key, value=value):
                with self.assertRaisesRegex(ValueError, sentence.replace("?", r"\?")):
                    shop.create(**{key: value})

    def test_two_that_exclude_each_other(self):
        both = {"FLAMEPROF_USERS": {"a"}, "FLAMEPROF_ALLOW": ["10.0.0.0/8"]}
        with self.assertRaisesRegex(ValueError, "use one"):
            shop.create(**both)
        with self.assertRaisesRegex(ValueError, "use one"):
            shop.create(FLAMEPROF_USERS={"a"}, OX_PROF_USERS={"b"})

    def test_after_start_up(self):
        """ox_profile's document registers first; nobody gets in by a mistake."""
        for key, value, sentence in self.BAD:
            with self.subTest(key=key, value=value):
                app = shop.with_login()
                app.config[key] = value
                client = Client(app)
                with self.assertLogs(app.logger, "ERROR") as log:
                    client.get("/login/alice")  # a request of the application's own
                self.assertIn(sentence, log.output[0])
                with self.assertLogs(app.logger, "ERROR") as log:
                    self.assertEqual(client.get("/flameprof/status").status_code, 500)
                self.assertIn(sentence, log.output[0])
                self.assertEqual(client.get("/quick").status_code, 200)


if __name__ == "__main__":
    unittest.main()
