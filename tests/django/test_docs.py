"""docs/django.md followed to the letter, in a project that Django makes new."""

import json
import os
import pathlib
import re
import subprocess
import sys
import tempfile
import unittest

import served

PAGE = (served.ROOT / "docs" / "django.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"^```python\n(.*?)^```", PAGE, re.M | re.S)

# Behind the project's own settings: each assignment of the page as it is written there,
# its "..." being what the setting was.
FOLLOW = '''
import json as _json, os as _os
for _block in _json.loads(_os.environ["BLOCKS"]):
    _said = {}
    exec(_block, _said)
    for _name in [name for name in _said if name.isupper()]:
        _value, _was = _said[_name], globals().get(_name)
        if isinstance(_value, list) and ... in _value:
            if _was is None:
                from debug_toolbar.settings import PANELS_DEFAULTS as _was
            _value = [each for part in _value for each in
                      ([one for one in _was if one not in _value] if part is ... else [part])]
        globals()[_name] = _value
ALLOWED_HOSTS = ["127.0.0.1"]
'''

ASK = '''
from django.test import Client
answer = Client().get("/?flamegraph=1", HTTP_HOST="127.0.0.1", SERVER_PROTOCOL="HTTP/1.1")
print(answer["Content-Type"], answer.get("X-Flameprof-Status"))
'''


class Page(unittest.TestCase):
    def project(self):
        folder = tempfile.TemporaryDirectory(prefix="flameprof-project-")
        self.addCleanup(folder.cleanup)
        self.run_python(folder.name, ["-m", "django", "startproject", "mysite", "."])
        with open(pathlib.Path(folder.name, "mysite", "settings.py"), "a") as settings:
            settings.write(FOLLOW)
        return folder.name

    def run_python(self, folder, arguments, blocks=()):
        environment = dict(os.environ, DJANGO_SETTINGS_MODULE="mysite.settings",
                           PYTHONPATH=str(served.PACKAGE), BLOCKS=json.dumps(blocks))
        done = subprocess.run([sys.executable, "-B", *arguments], cwd=folder, env=environment,
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=60)
        self.assertEqual(done.returncode, 0, done.stdout.decode())
        return done.stdout.decode()

    def test_blocks(self):
        self.assertEqual(len(BLOCKS), 3)
        panel, middleware, staff = BLOCKS
        folder = self.project()
        with self.subTest("the panel"):
            said = self.run_python(folder, ["manage.py", "check"], [panel])
            self.assertNotIn("flameprof", said)
        with self.subTest("the middleware"):
            said = self.run_python(folder, ["manage.py", "shell", "-c", ASK], [middleware])
            self.assertIn("image/svg+xml 200 OK", said)
        with self.subTest("staff only"):
            self.run_python(folder, ["manage.py", "check"], [staff])
            said = self.run_python(folder, ["manage.py", "shell", "-c", ASK], [staff])
            self.assertRegex(said, "text/html.* None")


if __name__ == "__main__":
    unittest.main()
