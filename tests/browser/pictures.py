"""What tests of the picture in a browser share: the pictures, who serves them, and a
browser that looks at them. They are served as the doors do it, under their own
Content-Security-Policy. FLAME_SHOTS=folder keeps screenshots."""
import http.server
import json
import os
import pathlib
import re
import subprocess
import tempfile
import threading
import unittest

from webdriver import Browser

FLAMEPROF = os.environ["FLAMEPROF"]
SHOTS = os.environ.get("FLAME_SHOTS")
TAB, ENTER, SHIFT, ESCAPE, SPACE = "\ue004", "\ue007", "\ue008", "\ue00c", " "
ARROW_LEFT, ARROW_UP, ARROW_RIGHT, ARROW_DOWN = "\ue012", "\ue013", "\ue014", "\ue015"
GOLDEN = pathlib.Path(__file__).parents[1] / "renderer/golden/example.svg"


def example():
    """1 s: half of it in `fast`, the rest in 4,000 leaves that are too narrow to
    draw, one in ten of which is called needle. Deep, hostile and odd names too."""
    lines = ["main (/srv/app.py:1);fast (/srv/app.py:5) 500000"]
    for i in range(4000):
        name = "needle" if i % 10 == 0 else "straw"
        lines.append("main (/srv/app.py:1);slow (/srv/app.py:9);%s%d 100" % (name, i))
    lines.append(
        "main (/srv/app.py:1);needle (/srv/app.py:20);"
        "<img src=x onerror=alert(1)>;needle_inner;__proto__;</script> 100000"
    )
    return "\n".join(lines) + "\n"


def policy():
    """The constant, from the program itself."""
    with open(FLAMEPROF, "rb") as file:
        found = re.search(rb"default-src 'none'; [ -~]*sandbox [a-z -]+", file.read())
    return found.group().decode()


class Server(http.server.ThreadingHTTPServer):
    def __init__(self, pages):
        self.pages = pages
        self.with_policy = True
        super().__init__(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.serve_forever, daemon=True).start()
        self.url = "http://127.0.0.1:%d" % self.server_address[1]


class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        page = self.server.pages.get(self.path)
        self.send_response(200 if page else 404)
        kind = "text/html" if self.path.endswith(".html") else "image/svg+xml"
        self.send_header("Content-Type", kind)
        if self.server.with_policy:
            self.send_header("Content-Security-Policy", policy())
        self.send_header("X-Content-Type-Options", "nosniff")
        self.end_headers()
        self.wfile.write(page or b"")

    def log_message(self, *arguments):
        pass


def render(folded, *arguments):
    return subprocess.run(
        (FLAMEPROF, "render", "-t", "GET /<b>shop</b>/?page=2") + arguments,
        input=folded.encode(),
        stdout=subprocess.PIPE,
        check=True,
    ).stdout


def profile():
    """The golden picture of a profile, which is kept without its style and script."""
    style, script = re.findall(rb"<!\[CDATA\[.*?\]\]>", render(example()), re.DOTALL)
    empty = rb"<![CDATA[]]>"
    return GOLDEN.read_bytes().replace(empty, style, 1).replace(empty, script, 1)


def change():
    with tempfile.TemporaryDirectory() as folder:
        paths = [os.path.join(folder, name) for name in ("before", "after")]
        for path, text in zip(paths, ("a;more 20\na;gone 80\n", "a;more 80\na;new 20\n")):
            with open(path, "w") as file:
                file.write(text)
        return subprocess.run(
            (FLAMEPROF, "diff", *paths), stdout=subprocess.PIPE, check=True
        ).stdout


class PictureCase(unittest.TestCase):
    @staticmethod
    def pictures():
        """{path: what is served}"""
        return {"/a.svg": render(example()), "/change.svg": change(), "/profile.svg": profile()}

    @classmethod
    def setUpClass(cls):
        cls.server = Server(cls.pictures())
        cls.addClassCleanup(cls.server.server_close)
        cls.addClassCleanup(cls.server.shutdown)
        cls.browser = Browser()
        cls.addClassCleanup(cls.browser.close)

    def setUp(self):
        self.browser.resize(1280, 720)
        self.open("/a.svg")

    def tearDown(self):
        errors = [e for e in self.browser.log() if "favicon" not in e["message"]]
        self.assertEqual(errors, [])

    def open(self, path):
        self.browser.go("about:blank")
        self.browser.go(self.server.url + path)

    def shoot(self, name):
        if SHOTS:
            self.browser.screenshot(os.path.join(SHOTS, name + ".png"))

    def frames(self):
        """{label: [x, y, width] on the screen} of what is drawn."""
        return self.browser.script(
            """Object.fromEntries([...document.querySelectorAll('#flame-graph g')]
            .filter(g => g.style.display !== 'none' && g.querySelector('text'))
            .map(g => { const r = g.querySelector('rect').getBoundingClientRect();
              return [g.querySelector('text').textContent,
                      [r.left, r.top, r.width]]; }))"""
        )

    def point(self, label, click=False):
        x, y, width = self.frames()[label]
        self.browser.mouse(x + width / 2, y + 8, click)

    def text(self, selector):
        return self.browser.script("document.querySelector('%s').textContent" % selector)

    def notes(self):
        return self.text(".notes")

    def choose(self, label):
        """Presses the button of that name."""
        self.browser.script(
            "[...document.querySelectorAll('.app button')].find(b => b.textContent === %s"
            " && b.offsetParent).click()" % json.dumps(label)
        )

    def share(self):
        return self.browser.script(
            "document.querySelector('#flame-share').textContent"
        )
