"""Runs the tests of this folder; what is skipped is said aloud."""

import pathlib
import sys
import unittest

if __name__ == "__main__":
    here = str(pathlib.Path(__file__).resolve().parent)
    suite = unittest.defaultTestLoader.discover(here, top_level_dir=here)
    result = unittest.TextTestRunner(verbosity=1).run(suite)
    for test, reason in result.skipped:
        print(f"SKIPPED: {test}: {reason}")
    sys.exit(not result.wasSuccessful() or result.testsRun == 0)
