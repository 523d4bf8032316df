"""FlameprofMiddleware on a site, by Django's own client; and the configuration."""

import atexit
import inspect
import os
import pathlib
import re
import sys
import tempfile
import unittest
import xml.etree.ElementTree

import served

sys.path[:0] = [str(served.PACKAGE), str(served.SITE)]
os.environ["DJANGO_SETTINGS_MODULE"] = "settings"
# What all workers of a user share, and with it the limits, shall be this run's own.
SHARED = tempfile.TemporaryDirectory(prefix="flameprof-django-")
atexit.register(SHARED.cleanup)
os.environ["TMPDIR"] = SHARED.name

import django  # noqa: E402 (where the site is had to be said first)

django.setup()

import flameprof  # noqa: E402
from django.core import checks, signals  # noqa: E402
from django.core.exceptions import ImproperlyConfigured  # noqa: E402
from django.test import Client, override_settings  # noqa: E402
from flameprof.django import config  # noqa: E402
from measuring import Seeing  # noqa: E402

import urls  # noqa: E402

HOST = {"HTTP_HOST": "127.0.0.1", "REMOTE_ADDR": "127.0.0.1", "SERVER_PROTOCOL": "HTTP/1.1"}
FOLDED = "?flamegraph=1&flamegraph_format=folded"
ONLY_OURS = ["flameprof.django.FlameprofMiddleware"]


def site(**settings):
    settings = {"MIDDLEWARE": ONLY_OURS, "DEBUG": False, **settings}
    return override_settings(**settings)


def get(path, **more):
    return Client(raise_request_exception=False).get(path, **{**HOST, **more})


class Somebody:
    def __init__(self, active, staff):
        self.is_active = active
        self.is_staff = staff


def as_user(get_response):
    """Stands for AuthenticationMiddleware."""

    def middleware(request):
        named = request.META.get("HTTP_X_USER")
        if named:
            request.user = Somebody("active" in named, "staff" in named)
        return get_response(request)

    return middleware


def refuses(request):
    raise ValueError("cannot tell")


def of_a_header(request):
    return request.META.get("HTTP_X_MAY") == "yes"


class Profiles(Seeing):
    def test_a_picture_instead_of_the_page(self):
        with site():
            answer = get("/?flamegraph=1")
        self.assertEqual(answer.status_code, 200)
        self.assertEqual(answer["Content-Type"], "image/svg+xml")
        self.assertEqual(answer["X-Flameprof-Status"], "200 OK")
        self.assertIn("Content-Security-Policy", answer)
        xml.etree.ElementTree.fromstring(answer.content)
        self.assert_seen([b"compute"], answer.content)

    def test_what_is_seen(self):
        with site():
            for path, name in (("/", "wait"), ("/data/", "data"), ("/cookie/", "cookie"),
                               ("/stream/", "parts"), ("/broken/", "broken")):
                with self.subTest(path=path):
                    answer = get(path + FOLDED)
                    self.assertEqual(answer.status_code, 200)
                    self.assert_seen([name], re.findall(r"\w+", answer.content.decode()))

    def test_short_paths(self):
        text = get("/" + FOLDED).content.decode()
        self.assertIn("(django/", text)
        self.assertNotIn(os.path.dirname(django.__path__[0]), text)
        self.assertNotIn(str(served.SITE), text)
        with site(FLAMEPROF_CONFIG={"FULL_PATHS": True}):
            self.assertIn(f"({django.__path__[0]}/", get("/" + FOLDED).content.decode())

    def test_redacted(self):
        with site(FLAMEPROF_CONFIG={"REDACT": ["* (django/)"]}):
            text = get("/" + FOLDED).content.decode()
        self.assert_seen(["[redacted]"], text)
        self.assertNotIn("(django/", text)

    def test_headers_and_cookies_are_kept(self):
        with site():
            answer = get("/cookie/?flamegraph=1")
        self.assertEqual(answer["X-Flameprof-Status"], "404 Not here")
        self.assertEqual(answer["X-Own"], "kept")
        self.assertEqual(answer.cookies["a"].value, "1")

    def test_raised(self):
        with site():
            answer = get("/broken/?flamegraph=1")
        self.assertEqual(answer.status_code, 200)
        self.assertEqual(answer["X-Flameprof-Status"], "500 Internal Server Error")

    def test_bad_parameters(self):
        with site():
            answer = get("/?flamegraph=1&interval=nan")
        self.assertEqual(answer.status_code, 400)
        self.assertEqual(len(answer.content.decode().splitlines()), 1)

    def test_repeated(self):
        with site():
            answer = get("/data/?flamegraph=1&flamegraph_repeat=3")
        self.assertEqual(answer["X-Flameprof-Runs"], "3")

    def test_signals_once_and_what_is_open_is_closed(self):
        finished = []

        def count(**_):
            finished.append(1)

        signals.request_finished.connect(count)
        try:
            with site():
                get("/stream/?flamegraph=1")  # the client closes it
                self.assertEqual(len(finished), 1)
                before = len(urls.closed)
                get("/closing/?flamegraph=1")
        finally:
            signals.request_finished.disconnect(count)
        self.assertEqual(len(finished), 2)
        self.assertEqual(len(urls.closed) - before, 1)

    def test_whoever_may_not_has_the_page(self):
        with site():
            page = get("/cookie/")
            for more in ({"REMOTE_ADDR": "192.0.2.1"}, {"HTTP_X_FORWARDED_FOR": "127.0.0.1"},
                         {"HTTP_SEC_FETCH_SITE": "cross-site"}):
                with self.subTest(more=more):
                    answer = get("/cookie/?flamegraph=1", **more)
                    self.assertEqual(answer.content, page.content)
                    self.assertEqual(dict(answer.items()), dict(page.items()))
                    self.assertEqual(answer.status_code, 404)

    def test_what_is_not_ours(self):
        with site():
            for query in ("", "?flamegraph=0", "?flamegraph=10", "?xflamegraph=1", "?a=%66"):
                with self.subTest(query=query):
                    self.assertEqual(get("/data/" + query).json(), {"answer": 42})
            self.assertEqual(Client().post("/data/?flamegraph=1", **HOST).json(), {"answer": 42})


class WhoMay(unittest.TestCase):
    def profiled(self, **more):
        return get("/data/?flamegraph=1", **more)["Content-Type"] == "image/svg+xml"

    def test_staff(self):
        with site(FLAMEPROF_CONFIG={"AUTHORIZE": "is_staff"},
                  MIDDLEWARE=["test_middleware.as_user", *ONLY_OURS]):
            far = {"REMOTE_ADDR": "192.0.2.1"}
            self.assertTrue(self.profiled(HTTP_X_USER="active staff", **far))
            self.assertFalse(self.profiled(HTTP_X_USER="active", **far))
            self.assertFalse(self.profiled(HTTP_X_USER="staff", **far))
            self.assertFalse(self.profiled())
            self.assertFalse(self.profiled(HTTP_X_USER="active staff",
                                           HTTP_SEC_FETCH_SITE="cross-site"))

    def test_one_of_your_own(self):
        for authorize in ("test_middleware.of_a_header", of_a_header):
            with site(FLAMEPROF_CONFIG={"AUTHORIZE": authorize}):
                self.assertTrue(self.profiled(HTTP_X_MAY="yes", REMOTE_ADDR="192.0.2.1"))
                self.assertFalse(self.profiled(HTTP_X_MAY="no"))

    def test_one_that_raises_lets_nobody_in(self):
        said = []
        hook, sys.unraisablehook = sys.unraisablehook, lambda error: said.append(error.exc_value)
        try:
            with site(FLAMEPROF_CONFIG={"AUTHORIZE": refuses}):
                self.assertFalse(self.profiled())
        finally:
            sys.unraisablehook = hook
        self.assertEqual([str(error) for error in said], ["cannot tell"])

    def test_networks(self):
        with site(FLAMEPROF_CONFIG={"ALLOW": ["192.0.2.0/24"]}):
            self.assertTrue(self.profiled(REMOTE_ADDR="192.0.2.1"))
            self.assertFalse(self.profiled(REMOTE_ADDR="198.51.100.1"))


class Configuration(unittest.TestCase):
    GOOD = (
        {},
        {"INTERVAL": 0.0005, "MAX_SECONDS": 10, "LINES": True, "THREADS": True},
        {"ALLOW": ["10.0.0.0/8"], "CLOCK": "cpu", "COLOURS": "file"},
        {"AUTHORIZE": "is_staff"},
        {"AUTHORIZE": of_a_header, "FOLDER": "/var/tmp/flameprof"},
        {"FOLDER": pathlib.Path("/var/tmp/flameprof")},
        {"FULL_PATHS": True, "REDACT": ["charge", "* (billing/)"]},
        {"DIR": pathlib.Path("/var/tmp/kept"), "URL": "/kept/", "SLOWER_THAN": 2, "ON_ERROR": True},
        {"PUSH": "http://127.0.0.1:4040", "PUSH_SERVICE": "shop", "TRUSTED_PROXIES": ["10.0.0.1"]},
        {"INTERVAL": None, "DIR": None, "SLOWER_THAN": None, "AUTHORIZE": None},
    )
    BAD = (
        ({"OFF_FILE": "off"}, "an absolute path"),
        ({"SECRET_FILE": ["/nowhere"]}, "that its owner alone can read"),
        ({"SECRET_FILE": "/nowhere"}, "takes a list"),
        ({"TRUSTED_PROXIES": ["proxy"]}, "a network such as"),
        ({"SLOWER_THAN": 0}, "0.001 to 86400"),
        ({"ON_ERROR": 1}, "True or False"),
        ({"UNSAFE_METHODS": "yes"}, "True or False"),
        ({"AT_ONCE": 0}, "a number from 1 to 256"),
        ({"AT_ONCE": "4"}, "AT_ONCE='4'"),
        ({"DIR_BYTES": 1}, "a size from 1M"),
        ({"URL": "profiles"}, "begins and ends with a slash"),
        ({"DIR": "x" * 600}, "too long"),
        ({"PUSH": "ftp://me:my-password@there/"}, "PUSH is not accepted"),
        ([], "dictionary"),
        ({"INTERVALL": 1}, "INTERVALL"),
        ({"SAMPLE_INTERVAL": 0.001}, "SAMPLE_INTERVAL"),
        ({"interval": 0.001}, "interval"),
        ({"INTERVAL": 0}, "0.00005 to 1"),
        ({"INTERVAL": float("nan")}, "0.00005 to 1"),
        ({"INTERVAL": "fast"}, "INTERVAL='fast'"),
        ({"INTERVAL": 10**400}, "INTERVAL="),
        ({"FOLDER": 7}, "FOLDER=7"),
        ({"MAX_SECONDS": -1}, "0.001 to 86400"),
        ({"LINES": 1}, "True or False"),
        ({"ALLOW": "10.0.0.0/8"}, "takes a list"),
        ({"ALLOW": ["elsewhere"]}, "a network such as"),
        ({"FULL_PATHS": 1}, "True or False"),
        ({"REDACT": "charge"}, "takes a list"),
        ({"REDACT": [""]}, "a function's name"),
        ({"CLOCK": "sun"}, "wall, cpu, offcpu and gil"),
        ({"COLOURS": "grey"}, "origin, file or warm"),
        ({"FOLDER": "x" * 600}, "too long"),
        ({"AUTHORIZE": "nobody.knows"}, "cannot be imported"),
        ({"AUTHORIZE": 7}, "is_staff"),
        ({"AUTHORIZE": "is_staff", "ALLOW": ["10.0.0.0/8"]}, "exclude each other"),
    )

    def test_good(self):
        for value in self.GOOD:
            with self.subTest(value=value), site(FLAMEPROF_CONFIG=value):
                self.assertEqual(config.problems(), [])
                config.Config().session()

    def test_bad(self):
        for value, words in self.BAD:
            with self.subTest(value=value), site(FLAMEPROF_CONFIG=value):
                found = config.problems()
                self.assertEqual(len(found), 1)
                self.assertIn(found[0], config.check(None))
                self.assertEqual(found[0].level, checks.ERROR)
                self.assertIn(words, found[0].msg)
                self.assertRegex(found[0].msg, r"^FLAMEPROF_CONFIG: .*[^.]\.$")
                self.assertNotIn("my-password", found[0].msg)
                with self.assertRaises(ImproperlyConfigured):
                    get("/")

    def test_hint(self):
        with site(FLAMEPROF_CONFIG={"INTERVALS": 1}):
            hint = config.check(None)[0].hint
        self.assertIn("Did you mean 'INTERVAL'?", hint)
        for key in config.DEFAULTS:
            self.assertIn(key, hint)

    def test_staff_before_the_user_is_known(self):
        with site(FLAMEPROF_CONFIG={"AUTHORIZE": "is_staff"}):
            self.assertIn("AuthenticationMiddleware", config.check(None)[0].hint)

    def test_the_servers_options_are_the_middlewares(self):
        keywords = dict(inspect.signature(flameprof.Middleware).parameters)
        for own in ("app", "authorize", "panel", "panel_folder"):
            del keywords[own]
        self.assertEqual({key.lower() for key in config.SERVER}, set(keywords))
        for key, keyword in keywords.items():
            default = config.DEFAULTS[key.upper()]
            if not isinstance(keyword.default, str):
                self.assertEqual(default, keyword.default, key)

    def test_what_does_nothing_is_said(self):
        def said(**settings):
            with site(**settings):
                return [(one.id, one.msg) for one in config.check(None)]

        self.assertEqual(said(FLAMEPROF_CONFIG={"SLOWER_THAN": 2}), [])
        under_asgi = said(ASGI_APPLICATION="asgi.application")
        self.assertEqual([name for name, _ in under_asgi], ["flameprof.W001"])
        without = said(MIDDLEWARE=[], FLAMEPROF_CONFIG={"SLOWER_THAN": 2, "INTERVAL": 0.01,
                                                        "AT_ONCE": 4, "CLOCK": "cpu"})
        self.assertEqual([name for name, _ in without], ["flameprof.W002"])
        self.assertIn("SLOWER_THAN does nothing", without[0][1])
        self.assertEqual(said(MIDDLEWARE=[]), [])

    def test_every_key_is_documented(self):
        page = (served.ROOT / "docs" / "django.md").read_text(encoding="utf-8")
        self.assertEqual(set(re.findall(r"^\| `([A-Z_]+)` ", page, re.M)), set(config.DEFAULTS))


if __name__ == "__main__":
    unittest.main()
