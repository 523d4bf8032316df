"""Who may ask, through uWSGI: signed links, trusted proxies, the off file."""

import concurrent.futures
import os
import pathlib
import subprocess
import sys
import tempfile
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))

from checks import FOLDED, Checks  # noqa: E402
from server import BUILD, HERE, Server  # noqa: E402

PROGRAM = str(BUILD / "flameprof")
STRANGER = {"REMOTE_ADDR": "192.0.2.9", "HTTP_HOST": "shop.example"}


class Access(Checks):
    @classmethod
    def setUpClass(cls):
        cls.scratch = tempfile.TemporaryDirectory(prefix="flameprof-access-")
        cls.addClassCleanup(cls.scratch.cleanup)
        folder = pathlib.Path(cls.scratch.name)
        cls.secrets = [folder / "old", folder / "new"]
        for path in cls.secrets:
            path.write_bytes(os.urandom(32))
            path.chmod(0o600)
        cls.off = folder / "off"
        options = ("--flameprof-trusted-proxies", "10.0.0.0/8", "--flameprof-allow",
                   "198.51.100.0/24", "--flameprof-off-file", str(cls.off),
                   "--flameprof-per-minute", "100000",
                   *(f"--flameprof-secret-file={path}" for path in cls.secrets))
        cls.server = Server("--processes", "3", "--manage-script-name", *options,
                            app=("--mount", f"/one={HERE}/shapes.py",
                                 "--mount", f"/two={HERE}/other.py"))
        cls.addClassCleanup(cls.server.stop)

    def sign(self, *arguments, path="/one/plain", secret=0):
        return subprocess.run(
            [PROGRAM, "sign", "--secret-file", str(self.secrets[secret]), "--path", path,
             *arguments], check=True, stdout=subprocess.PIPE, text=True).stdout.strip()

    def ask(self, query, path="/one/plain", **more):
        return self.server.speak_uwsgi(path, query, **{**STRANGER, **more})

    def assert_ordinary(self, query, path="/one/plain", **more):
        """Byte for byte what the application says, whatever was asked."""
        self.assertEqual(self.ask(query, path, **more).raw, self.ask("", path, **more).raw)

    def test_a_signed_link(self):
        self.assert_ordinary("flamegraph=1")
        for secret in (0, 1):
            query = self.sign(secret=secret)
            self.assert_picture(self.ask(query))
            self.assert_profiled(self.ask(query + "&" + FOLDED), "plain")
            self.assert_ordinary(query, path="/one/empty")
            self.assert_ordinary(query[:-1])
            self.assert_picture(self.ask(query, HTTP_SEC_FETCH_SITE="cross-site"))
        # A mounted application's path is the whole of it.
        self.assert_profiled(
            self.ask(self.sign(path="/two/") + "&" + FOLDED, path="/two/"), "other_work")
        self.assert_ordinary(self.sign(path="/"), path="/two/")

    def test_header_and_cookie(self):
        token = self.sign().rpartition("=")[2]
        for variable, value in (("HTTP_X_FLAMEPROF_TOKEN", token),
                                ("HTTP_COOKIE", f"a=b; flameprof_token={token}; c=d")):
            with self.subTest(variable=variable):
                self.assert_picture(self.ask("flamegraph=1", **{variable: value}))
                self.assert_ordinary("flamegraph=1", **{variable: value.replace(token, token + "x")})
        self.assert_ordinary("flamegraph=1", HTTP_COOKIE=f"flameprof_token={token}",
                             HTTP_SEC_FETCH_SITE="cross-site")

    def test_the_log_says_that_links_are_good(self):
        self.assertIn("whoever has a signed link", self.server.log())

    def test_by_http(self):
        answer = self.server.get("/one/plain?" + self.sign(),
                                 headers=(("Host", "shop.example"), ("Via", "1.1 proxy")))
        self.assert_picture(answer)

    def test_interval_min(self):
        query = self.sign("--interval-min", "0.005")
        self.assert_picture(self.ask(query))
        answer = self.ask(query + "&interval=0.001")
        self.assertEqual(answer.status, "400 Bad Request")
        self.assertIn(b"0.005000000 seconds and more", answer.body)

    def test_good_once_in_all_workers(self):
        time.sleep(1.1)  # signed in a later second than the server's start
        for _ in range(3):
            query = self.sign("--once")
            with concurrent.futures.ThreadPoolExecutor(6) as pool:
                answers = list(pool.map(self.ask, [query] * 6))
            profiled = [answer for answer in answers if answer.header("X-Flameprof-Status")]
            self.assertEqual(len(profiled), 1)
            self.assert_ordinary(query)

    def test_trusted_proxies(self):
        allowed, other = "198.51.100.7", "192.0.2.1"
        proxy = {"REMOTE_ADDR": "10.1.2.3"}
        for headers in ({"HTTP_X_FORWARDED_FOR": allowed},
                        {"HTTP_X_FORWARDED_FOR": f"{other}, {allowed}, 10.9.9.9"},
                        {"HTTP_FORWARDED": f'for="{allowed}:80";proto=https'}):
            with self.subTest(headers=headers):
                self.assert_picture(self.ask("flamegraph=1", **proxy, **headers))
                self.assert_ordinary("flamegraph=1", **headers)
        for headers in ({}, {"HTTP_X_FORWARDED_FOR": f"{allowed}, {other}"},
                        {"HTTP_X_FORWARDED_FOR": "unknown"},
                        {"HTTP_X_FORWARDED_FOR": allowed, "HTTP_FORWARDED": f"for={other}"},
                        {"HTTP_FORWARDED": f'for="{allowed}'}):
            with self.subTest(headers=headers):
                self.assert_ordinary("flamegraph=1", **proxy, **headers)

    def test_several_lines_of_one_header_are_one_list(self):
        with Server("--flameprof-trusted-proxies", "127.0.0.1", "--flameprof-allow",
                    "198.51.100.0/24") as server:
            def ask(*addresses):
                headers = [("X-Forwarded-For", address) for address in addresses]
                return server.get("/plain?flamegraph=1", headers=headers)

            self.assert_picture(ask("192.0.2.1", "198.51.100.7"))
            # By the last line alone it would be nobody's.
            self.assert_picture(ask("198.51.100.7", "127.0.0.1"))
            ordinary = server.get("/plain").raw
            self.assertEqual(ask("198.51.100.7", "192.0.2.1").raw, ordinary)
            # So is one of another name, which is why proxies have to drop those.
            self.assert_picture(server.get("/plain?flamegraph=1", headers=[
                ("X-Forwarded-For", "192.0.2.1"), ("X_Forwarded_For", "198.51.100.7")]))
            # Nor is anybody local whom a trusted proxy brings.
            self.assertEqual(server.get("/plain?flamegraph=1").raw, ordinary)

    def test_the_off_file_is_every_workers(self):
        query = self.sign()
        self.off.touch()
        try:
            with concurrent.futures.ThreadPoolExecutor(6) as pool:
                ordinary = self.ask("").raw
                for answer in pool.map(self.ask, [query] * 12):
                    self.assertEqual(answer.raw, ordinary)
        finally:
            self.off.unlink()
        self.assert_picture(self.ask(query))

    def test_bad_options_end_the_start(self):
        open_to_all = pathlib.Path(self.scratch.name) / "open"
        open_to_all.write_bytes(bytes(32))
        open_to_all.chmod(0o644)
        for option, value in (("trusted-proxies", "proxy"), ("off-file", "off"),
                              ("secret-file", str(open_to_all)), ("secret-file", "/nowhere")):
            with self.subTest(option=option, value=value):
                with Server(f"--flameprof-{option}", value, start=False) as server:
                    self.assertEqual(server.wait(), 1)
                    self.assertIn(f'--flameprof-{option}: "{value}" is not ', server.log())
