"""The distribution uwsgi-flameprof: what make builds in build/python, packed.

pyproject.toml has all that is known without building. The uWSGI plugin is not in it: that
belongs to one uWSGI, not to a Python environment (docs/install.md).
"""

import os
import shlex
import shutil
import subprocess
import sys

from setuptools import Extension, setup
from setuptools.command.build_ext import build_ext
from setuptools.command.build_py import build_py

# Where setuptools writes by itself, and make, too: nothing lies about in the sources.
SCRATCH = "build"


class Make(build_ext):
    """The extension and the package, by the rules everything else is built by."""

    def run(self):
        if self.editable_mode:
            raise SystemExit(
                "flameprof: an editable install is not possible, since what is imported is built; "
                "to work on it: make && PYTHONPATH=build/python"
            )
        made = os.path.join(self.build_temp, "python")
        # Nothing but what was made now: of an earlier build a module may be there that is gone.
        for folder in (made, self.build_lib):
            shutil.rmtree(folder, ignore_errors=True)
        self._make(made)
        shutil.copytree(made, self.build_lib)

    def _make(self, target):
        # What a make that runs this one has told its own children is not for us.
        environment = {
            name: value
            for name, value in os.environ.items()
            if name not in ("MAKEFLAGS", "MAKELEVEL", "MFLAGS")
        }
        jobs = len(os.sched_getaffinity(0))
        # A virtual environment's path may have blanks.
        python = shlex.quote(sys.executable).replace("$", "$$")
        command = ["make", f"-j{jobs}", f"BUILD={self.build_temp}", f"PYTHON={python}"]
        # NEEDS: whoever runs pip has not asked for packages of Debian's.
        try:
            subprocess.run([*command, "NEEDS=", target], check=True, env=environment)
        except FileNotFoundError:
            raise SystemExit("flameprof: make is missing, which builds it") from None
        except subprocess.CalledProcessError:
            raise SystemExit("flameprof: it could not be built; make says why, above") from None


class Nothing(build_py):
    """Make copies the package's files, too."""

    def run(self):
        pass


os.makedirs(SCRATCH, exist_ok=True)
setup(
    license="MIT",
    # Names only, for the metadata: the files are Make's.
    packages=["flameprof"],
    package_dir={"": "middleware/python"},
    ext_modules=[Extension("_flameprof", sources=[])],
    cmdclass={"build_ext": Make, "build_py": Nothing},
    options={"egg_info": {"egg_base": SCRATCH}},
)
