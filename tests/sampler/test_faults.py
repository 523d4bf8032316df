"""SIGSEGV and SIGBUS in each step of the guarded reads, by faults.c."""

import pathlib
import subprocess
import sys
import unittest

import _flameprof

sys.path.insert(1, str(pathlib.Path(__file__).resolve().parents[1]))

from measuring import NotSeen, Seeing  # noqa: E402

LIBRARY = pathlib.Path(_flameprof.__file__).parents[1] / "tests" / "sampler" / "faults.so"
# Its own sampler must be the process's only one.
CODE = """
import ctypes, sys

library = ctypes.PyDLL(sys.argv[1])

class Deep:
    def er(self, levels):
        if levels == 0:
            return library.flame_test_faults()
        return other(self, levels)

def other(deep, levels):
    return deep.er(levels - 1)

sys.exit(Deep().er(3))
"""


UNMEASURED = 254  # its -2


class Faults(Seeing):
    def test_each_step_recovers(self):
        result = subprocess.run(
            [sys.executable, "-B", "-c", CODE, str(LIBRARY)],
            capture_output=True,
            text=True,
            timeout=120,
        )
        if result.returncode == UNMEASURED:
            raise NotSeen(result.stdout[-400:].replace("\n", "; "))
        self.assertEqual(result.returncode, 0, result.stdout + result.stderr)
        print(result.stdout.splitlines()[-1], file=sys.stderr)


if __name__ == "__main__":
    unittest.main()
