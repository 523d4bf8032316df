"""docs/servers.md: Apache with mod_wsgi, in daemon and embedded mode, to the letter."""

import concurrent.futures
import os
import pathlib
import pwd
import re
import shutil
import signal
import sys
import unittest

import page
from served import PACKAGE, Serving

SECTION = page.Section("Apache with mod_wsgi")
MODULES = pathlib.Path("/usr/lib/apache2/modules")
APACHE = shutil.which("apache2", path=os.environ["PATH"] + ":/usr/sbin")
IS_THERE = APACHE and (MODULES / "mod_wsgi.so").exists() and sys.base_prefix == "/usr"

# What Debian's apache2 brings along, as far as the site needs it.
AROUND = """
ServerRoot {folder}
ServerName localhost
Listen 127.0.0.1:8000
PidFile {folder}/apache.pid
ErrorLog {folder}/log
LoadModule mpm_event_module {modules}/mod_mpm_event.so
LoadModule authz_core_module {modules}/mod_authz_core.so
LoadModule alias_module {modules}/mod_alias.so
LoadModule wsgi_module {modules}/mod_wsgi.so
WSGISocketPrefix {folder}/tmp/wsgi
ServerLimit 1
StartServers 1
ThreadsPerChild 5
MaxRequestWorkers 5
{user}
"""

# A second application of the site, whose function is its own.
OTHER = """
import time, threading
import flameprof

def only_{name}():
    time.sleep(0.3)

def application(environ, start_response):
    thread = threading.Thread(target=only_{name})
    thread.start()
    only_{name}()
    thread.join()
    start_response("200 OK", [("Server-Timing", environ["mod_wsgi.application_group"])])
    return [b"done\\n"]

application = flameprof.Middleware(application)
"""


@unittest.skipIf(not IS_THERE, "SKIPPED: there is no Apache with mod_wsgi for this Python")
class Apache(Serving):
    def setUp(self):
        super().setUp()
        # Read by Apache's user, who may not see where this tree is.
        shutil.copytree(PACKAGE, self.folder / "package")
        scripts = SECTION.blocks("python")
        self.assertEqual(len(scripts), 1)
        self.write("app.wsgi", scripts[0])

    def site(self):
        """The page's, with its folders at other places."""
        text = SECTION.blocks("apache")[0].replace("/srv/shop", str(self.folder))
        return text.replace("/opt/flameprof/build/python", str(self.folder / "package"))

    def embedded(self):
        site = re.sub("^WSGIDaemonProcess.*$", "", self.site(), flags=re.M)
        path = f"WSGIPythonPath {self.folder}:{self.folder}/package\n"
        return path + site.replace(" process-group=shop", "")

    def start(self, site):
        user = ""
        if os.geteuid() == 0:
            pwd.getpwnam("www-data")
            user = "User www-data\nGroup www-data"
        around = AROUND.format(folder=self.folder, modules=MODULES, user=user)
        self.write("apache.conf", around + site)
        return self.serve(f"{APACHE} -f {self.folder}/apache.conf -DFOREGROUND")

    def touch(self):
        (self.folder / "app.wsgi").touch()

    def test_daemon(self):
        served = self.start(self.site())
        self.check(served, reload=self.touch)
        self.assertRegex(served.log(), r"\[flameprof\] /\?flamegraph=1.* samples")

    def test_daemon_with_interpreters(self):
        served = self.start(self.site().replace(" application-group=%{GLOBAL}", ""))
        self.check(served, reload=self.touch)

    def test_embedded(self):
        """A changed script is loaded again; what it imports is not, here as elsewhere."""
        for site in (self.embedded(), self.embedded().replace("application-group=%{GLOBAL}", "")):
            with self.subTest(site=site):
                served = self.start(site)
                self.check(served)
                script = (self.folder / "app.wsgi").read_text()
                self.write("app.wsgi", script + (
                    "inner = application\n"
                    "def application(environ, start_response):\n"
                    "    return [part.replace(b'done', b'again') for part in\n"
                    "            inner(environ, start_response)]\n"))
                os.utime(self.folder / "app.wsgi", (1, 1))  # whatever the clock's steps are
                served.until(lambda: served.get("/").body == b"again\n")
                self.check_profile(served)
                self.check_nothing_is_held(served, "/")
                served.stop()
                self.write("app.wsgi", script)

    def test_a_graceful_restart(self):
        served = self.start(self.site())
        self.check_profile(served)
        served.signal(signal.SIGUSR1)
        served.until(lambda: "graceful restart" in served.log())
        # mod_wsgi has a 503 for who comes while its processes are exchanged.
        served.until(lambda: all(served.get("/").body == b"done\n" for _ in range(4)))
        self.check_profile(served)
        self.assertNotIn("exit signal", served.log())

    def test_behind_a_proxy(self):
        """mod_remoteip says the client's address; by default such a one may not ask."""
        remoteip = (f"LoadModule remoteip_module {MODULES}/mod_remoteip.so\n"
                    "RemoteIPHeader X-Forwarded-For\nRemoteIPInternalProxy 127.0.0.1\n")
        for keywords, may in (("", False), (', allow=["192.0.2.0/24"]', True)):
            script = SECTION.blocks("python")[0]
            self.write("app.wsgi", script.replace("(application)", f"(application{keywords})"))
            served = self.start(remoteip + self.site())
            answer = served.get("/?flamegraph=1", **{"X-Forwarded-For": "192.0.2.1"})
            self.assertEqual(answer.body != b"done\n", may)
            served.stop()

    def test_interpreters_side_by_side(self):
        """Two applications in one process, each with an interpreter: no frame is the other's."""
        site = self.site().replace(" application-group=%{GLOBAL}", "").replace(
            "processes=2", "processes=1")
        aliases = ""
        for name in ("one", "two"):
            self.write(f"{name}.wsgi", OTHER.format(name=name))
            aliases += f"WSGIScriptAlias /{name} {self.folder}/{name}.wsgi process-group=shop\n"
        served = self.start(aliases + site)
        with concurrent.futures.ThreadPoolExecutor(2) as pool:
            for _ in range(3):
                asked = {name: pool.submit(served.profile, f"/{name}", "&flamegraph_threads=1")
                         for name in ("one", "two")}
                profiles = {name: future.result() for name, future in asked.items()}
                for name, other in (("one", "two"), ("two", "one")):
                    self.assertIn(f"only_{name}", profiles[name].names)
                    self.assertNotIn(f"only_{other}", profiles[name].names)
                    self.assertEqual(profiles[name].quality["children"], 1)
                    self.assertTrue(profiles[name].headers["Server-Timing"].endswith("/" + name))


if __name__ == "__main__":
    unittest.main()
