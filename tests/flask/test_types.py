"""The stubs: mypy takes what is right and refuses what is wrong."""

import os
import pathlib
import shutil
import subprocess
import tempfile
import unittest

PACKAGE = os.path.abspath(os.environ["PYTHONPATH"].split(os.pathsep)[0])
RIGHT = """
from flask import Blueprint, Flask
from flameprof.flask import OX_PROF_BP, blueprint, flameprof

app = Flask(__name__)
app.register_blueprint(flameprof, url_prefix="/x")
app.register_blueprint(OX_PROF_BP)
mine: Blueprint = blueprint("mine", "/mine")
"""
WRONG = """
from flameprof.flask import blueprint, flameprof

number: int = flameprof
blueprint(1, 2)
"""


class Types(unittest.TestCase):
    def test_use(self):
        self.assertTrue(shutil.which("mypy"), "mypy is in packages.txt")
        with tempfile.TemporaryDirectory() as folder:
            pathlib.Path(folder, "right.py").write_text(RIGHT)
            pathlib.Path(folder, "wrong.py").write_text(WRONG)
            said = subprocess.run(
                ["mypy", "--strict", "right.py", "wrong.py"],  # whatever Python is tested
                env={**os.environ, "MYPYPATH": PACKAGE},
                cwd=folder,
                capture_output=True,
                text=True,
                timeout=300,
            ).stdout
        self.assertNotIn("right.py", said)
        self.assertEqual(said.count("wrong.py"), 3, said)


if __name__ == "__main__":
    unittest.main()
