"""Runs the tests of a folder; what is skipped is said aloud.

    run.py FOLDER
"""

import sys
import unittest

if __name__ == "__main__":
    suite = unittest.defaultTestLoader.discover(sys.argv[1], top_level_dir=sys.argv[1])
    result = unittest.TextTestRunner(verbosity=1).run(suite)
    for test, reason in result.skipped:
        print(f"SKIPPED: {test}: {reason}")
    sys.exit(not result.wasSuccessful() or result.testsRun == 0)
