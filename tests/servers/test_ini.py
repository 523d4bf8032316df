"""docs/servers.md: the filter of PasteDeploy's ini files, and Pyramid served by one."""

import pathlib
import re
import sys
import tempfile
import textwrap
import unittest

import page
from served import PACKAGE, Serving, need

sys.path.insert(0, str(PACKAGE))
import _flameprof  # noqa: E402

from flameprof import paste  # noqa: E402

SECTION = page.Section("Pyramid")
INI = SECTION.blocks("ini")[0]

SHOP = """
from pyramid.config import Configurator
from pyramid.response import Response
import app

def view(request):
    said = []
    body = app.application(request.environ, lambda status, headers: said.extend(headers))
    return Response(b"".join(body), headerlist=said)

def main(global_config, **settings):
    with Configurator(settings=settings) as config:
        config.add_route("front", "/")
        config.add_view(view, route_name="front")
        return config.make_wsgi_app()
"""


def application(environ, start_response):
    start_response("200 OK", [])
    return [b"done\n"]


def environ(**variables):
    return {"REQUEST_METHOD": "GET", "PATH_INFO": "/", "QUERY_STRING": "flamegraph=1",
            "SERVER_PROTOCOL": "HTTP/1.1", "REMOTE_ADDR": "127.0.0.1",
            "HTTP_HOST": "localhost", **variables}


class Filter(unittest.TestCase):
    """flameprof.paste.filter_factory, as PasteDeploy calls it."""

    # Of each option: what an ini file says, and what flameprof.Middleware takes for it.
    OPTIONS = {
        "interval": ("0.5ms", 0.0005), "max_seconds": ("2s", 2.0), "allow": ("::1", ["::1"]),
        "dir": ("{folder}/kept", None), "dir_profiles": ("10", 10), "dir_bytes": ("2M", 2 << 20),
        "url": ("/kept/", None), "unsafe_methods": ("yes", True),
        "trusted_proxies": ("\n10.0.0.0/8\n  \n::1", ["10.0.0.0/8", "::1"]),
        "secret_file": ("", []), "off_file": ("/run/off", None), "at_once": ("3", 3),
        "worker_at_once": ("1", 1), "per_minute": ("1K", 1024), "min_interval": ("100ms", 0.1),
        "max_profile_bytes": ("64M", 64 << 20), "max_picture_bytes": ("1G", 1 << 30),
        "full_paths": ("ON", True), "redact": ("a, b (c.py)\n* (d/)", ["a, b (c.py)", "* (d/)"]),
        "push": ("http://127.0.0.1:1/", None), "push_service": ("shop", None),
        "push_credentials": ("{folder}/credentials", None), "slower_than": ("2", 2.0),
        "on_error": ("0", False), "slow_interval": ("0.01", 0.01), "slow_per_minute": ("7", 7),
        "authorize": ("test_ini:environ", environ), "panel": ("false", False),
        "panel_folder": ("{folder}/panel", None),
    }  # fmt: skip
    SENTENCES = (
        ("intervall", "1", "there is no option 'intervall': did you mean interval?"),
        ("nonsense", "1", "there is no option 'nonsense': there are allow, at_once, authorize,"),
        ("interval", "fast", "interval: 'fast' is not seconds from 0.00005 to 1"),
        ("interval", "", "interval: '' is not seconds"),
        ("max_profile_bytes", "64X", "max-profile-bytes: '64X' is not bytes from 16M to 1G"),
        ("on_error", "maybe", "on_error: 'maybe' is not true or false"),
        ("panel", "", "panel: '' is not true or false"),
        ("allow", "::1, 10.0.0.0/8", "allow: '::1, 10.0.0.0/8' is not a network such as"),
        ("secret_file", "/no/such", "secret-file: '/no/such' is not a file of"),
        ("push", "ftp://me:secret@x", "push: '(hidden)' is not an address"),
        ("authorize", "os", "authorize: 'os' is no \"module:callable\""),
        ("authorize", "os:nothing", "has no attribute 'nothing'"),
        ("authorize", "nothing.of:that", "No module named 'nothing'"),
        ("authorize", "os:sep", "authorize: 'os:sep' is not callable"),
    )

    def test_every_option(self):
        self.assertEqual(set(self.OPTIONS), set(paste.DEFAULTS))
        folder = tempfile.TemporaryDirectory(prefix="flameprof-servers-")
        self.addCleanup(folder.cleanup)
        credentials = pathlib.Path(folder.name, "credentials")
        credentials.write_text("me:secret\n")
        credentials.chmod(0o600)
        for key, (text, value) in self.OPTIONS.items():
            with self.subTest(key=key):
                text = text.format(folder=folder.name)
                self.assertEqual(paste.value_of(key, text), text if value is None else value)

    def test_they_take_effect(self):
        conf = {"here": "/", "__file__": "/x.ini", "debug": "true"}
        wide = paste.filter_factory(conf, allow="192.0.2.0/24\n", interval="2ms")(application)
        self.assertIsInstance(wide, _flameprof.Middleware)
        self.assertIs(wide.app, application)
        for address, picture in (("192.0.2.1", True), ("198.51.100.1", False)):
            body = b"".join(wide(environ(REMOTE_ADDR=address), lambda *said: None))
            self.assertEqual(body != b"done\n", picture)
        nobody = paste.filter_factory(conf, authorize="test_ini:refuse")(application)
        self.assertEqual(b"".join(nobody(environ(), lambda *said: None)), b"done\n")

    def test_one_sentence(self):
        for key, text, sentence in self.SENTENCES:
            with self.subTest(key=key, text=text):
                with self.assertRaises(ValueError) as caught:
                    paste.filter_factory({}, **{key: text})
                said = str(caught.exception)
                self.assertTrue(said.startswith("flameprof: "), said)
                self.assertIn(sentence, said)
                self.assertNotIn("secret@", said)
                self.assertNotIn("\n", said)

    def test_numbers_alone(self):
        with self.assertRaisesRegex(TypeError, "no option 'nothing' takes a number"):
            _flameprof.option_of_text("nothing", "1")
        for wrong in (("interval",), ("interval", 1), (1, "1"), ("interval", "\ud800"),
                      ("on_error", "true")):
            with self.assertRaises((TypeError, ValueError), msg=wrong):
                _flameprof.option_of_text(*wrong)


def refuse(environ):
    return False


@need("pyramid", "paste.deploy", "waitress")
class Pyramid(Serving):
    def start(self, ini, options=" --reload", **environment):
        self.write("shop.py", SHOP)
        self.write("development.ini", ini)
        self.assertEqual(SECTION.commands(), ["pserve development.ini --reload"])
        same = re.search(r"`(python3 -m pyramid\S+)`", SECTION.text).group(1)
        environment = environment or {"PYTHONPATH": self.install()}
        return self.serve(f"{same} development.ini{options}", **environment)

    def test_page(self):
        served = self.start(INI)
        profile = served.profile()
        self.assertEqual(profile.quality["interval_ns"], 500000)
        self.check(served, reload=lambda: None)

    def test_not_installed(self):
        instead = re.search(r"`(paste\.filter_factory = .*?)`", SECTION.text).group(1)
        ini = INI.replace("use = egg:uwsgi-flameprof#main", instead)
        served = self.start(ini, "", PYTHONPATH=f"{PACKAGE}:{self.folder}")
        self.assertEqual(self.check_profile(served).quality["interval_ns"], 500000)

    def test_it_stands_first(self):
        """Behind PasteDeploy's prefix a client says itself where it is, where its server hands
        such headers on: waitress 3 does not, unless it is told to."""
        start = INI.replace("egg:waitress#main", "egg:waitress#main\nclear_untrusted_proxy_headers = false")
        claims = {"X-Forwarded-For": "127.0.0.1", "X-Forwarded-Host": "localhost"}
        for order, may in (("flameprof prefix shop", False), ("prefix flameprof shop", True)):
            ini = start.replace("[app:main]", "[app:shop]").replace("filter-with = flameprof", "")
            served = self.start(f"{ini}\n[filter:prefix]\nuse = egg:PasteDeploy#prefix\n"
                                f"[pipeline:main]\npipeline = {order}\n", "")
            answer = served.get("/?flamegraph=1", **claims)
            self.assertEqual(answer.body != b"done\n", may, order)
            served.stop()

    def test_a_mistake(self):
        """It keeps the server from starting, and the log's last line says what it is."""
        with self.assertRaises(AssertionError) as caught:
            self.start(INI.replace("interval = 0.5ms", "intervall = 0.5ms"), options="")
        last = str(caught.exception).strip().splitlines()[-1]
        self.assertEqual(last, "ValueError: flameprof: there is no option 'intervall': "
                               "did you mean interval?")

    def test_in_python(self):
        call = re.search(r"`application = (flameprof.*?)`\.", SECTION.text).group(1)
        self.write("shop.py", SHOP + textwrap.dedent(f"""
            import flameprof
            config = Configurator()
            config.add_route("front", "/")
            config.add_view(view, route_name="front")
            application = {call}
        """))
        self.check_profile(self.serve("python3 -m waitress --listen=127.0.0.1:8000 shop:application"))


if __name__ == "__main__":
    unittest.main()
