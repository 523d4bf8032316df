"""Browsers, driven through plain WebDriver: Debian's chromium with its chromedriver, and
for the benchmarks Firefox with a geckodriver."""
import base64
import contextlib
import json
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
import urllib.error
import urllib.request

ELEMENT = "element-6066-11e4-a52e-4f735466cecf"
ARGUMENTS = (
    "--headless=new --no-sandbox --disable-gpu --disable-quic --no-first-run "
    "--disable-background-networking --disable-component-update --disable-sync "
    "--disable-dev-shm-usage --hide-scrollbars --force-device-scale-factor=1"
).split()


def free_port():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


class Browser:
    programs = ("chromium", "chromedriver")

    def __init__(self, width=1280, height=720, arguments=()):
        for needed in self.programs:
            if shutil.which(needed) is None:
                raise RuntimeError("%s is needed: apt install chromium-driver" % needed)
        # Below it is a socket of its own, whose path may not be long.
        self.profile = tempfile.mkdtemp(prefix="flameprof-browser-", dir="/tmp")
        port = free_port()
        self.base = "http://127.0.0.1:%d" % port
        self.driver = subprocess.Popen(
            (self.programs[1], "--port=%d" % port),
            env={**os.environ, "TMPDIR": self.profile},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        self.session = None
        self.hangs = False  # its page answers no more
        try:
            self._open(width, height, arguments)
        except BaseException:
            self.close()
            raise

    def _wanted(self, width, height, arguments):
        """Its capabilities."""
        options = {
            "binary": shutil.which("chromium"),
            "args": ARGUMENTS
            + ["--window-size=%d,%d" % (width, height), "--user-data-dir=" + self.profile]
            + list(arguments),
        }
        return {
            "browserName": "chrome",
            "goog:chromeOptions": options,
            "goog:loggingPrefs": {"browser": "ALL"},
        }

    def _open(self, width, height, arguments):
        wanted = self._wanted(width, height, arguments)
        for attempt in range(100):
            try:
                answer = self._send(
                    "POST", "/session", {"capabilities": {"alwaysMatch": wanted}}
                )
                break
            except (ConnectionError, urllib.error.URLError) as error:
                if isinstance(error, urllib.error.HTTPError) or attempt == 99:
                    raise
                time.sleep(0.1)
        self.session = "/session/" + answer["sessionId"]

    def _send(self, method, path, body=None):
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(self.base + path, data, method=method)
        request.add_header("Content-Type", "application/json")
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        try:
            with opener.open(request, timeout=60) as answer:
                return json.load(answer)["value"]
        except urllib.error.HTTPError as error:
            raise RuntimeError(error.read().decode()[:500]) from error
        except TimeoutError:
            self.hangs = True
            raise

    def close(self):
        try:
            if self.session and not self.hangs:
                self._send("DELETE", self.session)
        finally:
            self.driver.terminate()
            self.driver.wait(10)
            if self.hangs:
                self._kill()
            shutil.rmtree(self.profile, ignore_errors=True)

    def _kill(self):
        """The browser of this profile, whose driver is gone."""
        for entry in filter(str.isdigit, os.listdir("/proc")):
            try:
                with open("/proc/%s/cmdline" % entry, "rb") as file:
                    if b"--user-data-dir=%s\0" % self.profile.encode() in file.read():
                        os.kill(int(entry), signal.SIGKILL)
            except OSError:
                pass  # it has ended

    def before_pages(self, text):
        """Runs statements in each page from here on, before any script of its own."""
        cdp = {"cmd": "Page.addScriptToEvaluateOnNewDocument", "params": {"source": text}}
        self._send("POST", self.session + "/goog/cdp/execute", cdp)

    def go(self, url):
        self._send("POST", self.session + "/url", {"url": url})

    def script(self, text, *arguments):
        """Runs `return` of an expression in the page."""
        body = {"script": "return " + text, "args": list(arguments)}
        return self._send("POST", self.session + "/execute/sync", body)

    def run(self, text):
        """Runs statements in the page."""
        body = {"script": text, "args": []}
        self._send("POST", self.session + "/execute/sync", body)

    def wait_for(self, expression, seconds=30):
        """Its value in the page, once it is true."""
        ends = time.monotonic() + seconds
        while time.monotonic() < ends:
            value = self.script(expression)
            if value:
                return value
            time.sleep(0.1)
        raise AssertionError("never true: %s: %s" % (expression, self.log()))

    def wait_for_text(self, frame, condition, seconds=60):
        """All text of a frame, once an expression is true in it."""
        self.wait_for(frame + "?.clientWidth")
        ends = time.monotonic() + seconds
        while time.monotonic() < ends:
            # Entered anew each time: a frame that is loaded becomes another one.
            with self.inside(frame):
                holds, here, text = self.script(
                    "[!!(%s), location.href, document.documentElement?.textContent]" % condition)
            if holds:
                return text
            time.sleep(0.1)
        raise AssertionError("not this in the frame: %s: %.2000s: %s" % (here, text, self.log()))

    def complaints(self):
        """What the console said since the last call, but for the icon that is not there."""
        return [line["message"] for line in self.log() if "favicon" not in line["message"]]

    @contextlib.contextmanager
    def inside(self, frame):
        """Within, the page is that of a frame: an expression for its element."""
        self._send("POST", self.session + "/frame", {"id": self.script(frame)})
        try:
            yield
        finally:
            self._send("POST", self.session + "/frame", {"id": None})

    def promise(self, text):
        """What the promise of an expression in the page comes to."""
        script = "const done = arguments[0]; (%s).then(done, (e) => done(String(e)));" % text
        return self._send(
            "POST", self.session + "/execute/async", {"script": script, "args": []}
        )

    def devtools(self, command, **parameters):
        """A command of the DevTools protocol."""
        body = {"cmd": command, "params": parameters}
        return self._send("POST", self.session + "/goog/cdp/execute", body)

    def emulate(self, media="", **features):
        """A medium, and what it prefers: prefers_color_scheme="dark"."""
        named = [{"name": k.replace("_", "-"), "value": v} for k, v in features.items()]
        self.devtools("Emulation.setEmulatedMedia", media=media, features=named)

    def screen(self, width, height, scale=1, mobile=False):
        """A screen of any size, whatever a window could have."""
        self.devtools(
            "Emulation.setDeviceMetricsOverride",
            **{"width": width, "height": height, "deviceScaleFactor": scale, "mobile": mobile},
        )

    def find(self, selector):
        body = {"using": "css selector", "value": selector}
        return self._send("POST", self.session + "/element", body)[ELEMENT]

    def type(self, selector, text):
        path = "%s/element/%s/value" % (self.session, self.find(selector))
        self._send("POST", path, {"text": text})

    def click(self, selector):
        self._send(
            "POST", "%s/element/%s/click" % (self.session, self.find(selector)), {}
        )

    def mouse(self, x, y, click=False):
        actions = [{"type": "pointerMove", "duration": 0, "x": int(x), "y": int(y)}]
        if click:
            actions += [{"type": "pointerDown", "button": 0}]
            actions += [{"type": "pointerUp", "button": 0}]
        source = {"type": "pointer", "id": "mouse", "actions": actions}
        self._send("POST", self.session + "/actions", {"actions": [source]})

    def touch(self, x, y, seconds=0.0):
        """A finger, for that long."""
        actions = [
            {"type": "pointerMove", "duration": 0, "x": int(x), "y": int(y)},
            {"type": "pointerDown", "button": 0},
            {"type": "pause", "duration": int(seconds * 1000)},
            {"type": "pointerUp", "button": 0},
        ]
        source = {"type": "pointer", "id": "finger", "actions": actions}
        source["parameters"] = {"pointerType": "touch"}
        self._send("POST", self.session + "/actions", {"actions": [source]})

    def drag(self, start, end, seconds=0.0):
        """As fast as can be, or so long before the move and during it."""
        moves = [
            {"type": "pointerMove", "duration": duration, "x": int(x), "y": int(y)}
            for (x, y), duration in ((start, 0), (end, int(seconds * 1000)))
        ]
        pause = {"type": "pause", "duration": int(seconds * 1000)}
        actions = [moves[0], {"type": "pointerDown", "button": 0}, pause, moves[1]]
        actions += [{"type": "pointerUp", "button": 0}]
        source = {"type": "pointer", "id": "mouse", "actions": actions}
        self._send("POST", self.session + "/actions", {"actions": [source]})

    def key(self, *values):
        """Presses them together: the last one while the others are held."""
        actions = [{"type": "keyDown", "value": value} for value in values]
        actions += [{"type": "keyUp", "value": value} for value in reversed(values)]
        source = {"type": "key", "id": "keys", "actions": actions}
        self._send("POST", self.session + "/actions", {"actions": [source]})

    def resize(self, width, height):
        self._send(
            "POST", self.session + "/window/rect", {"width": width, "height": height}
        )

    def log(self):
        """What the console said since the last call."""
        return self._send("POST", self.session + "/se/log", {"type": "browser"})

    def screenshot(self, path):
        os.makedirs(os.path.dirname(path) or ".", exist_ok=True)
        with open(path, "wb") as file:
            file.write(
                base64.b64decode(self._send("GET", self.session + "/screenshot"))
            )


class Firefox(Browser):
    """The same without DevTools and log; `arguments` are preferences: {name: value}."""

    programs = ("firefox-esr", "geckodriver")

    def _wanted(self, width, height, arguments):
        options = {
            "binary": shutil.which("firefox-esr"),
            "args": ["-headless", "-width", str(width), "-height", str(height)],
            "prefs": dict(arguments),
        }
        return {"browserName": "firefox", "moz:firefoxOptions": options}
