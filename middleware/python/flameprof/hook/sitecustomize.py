"""Imported by Python's ``site`` before the script, where ``flameprof run`` put this folder
in front of PYTHONPATH. Nothing of that is left when the script begins; a sitecustomize of
the system's or the user's own is imported as ever."""

import sys

import flameprof_hook

plan = flameprof_hook.tidy()
try:
    del sys.modules["sitecustomize"], sys.modules["flameprof_hook"]
    import sitecustomize  # noqa: F401  the next one, or the ImportError that site expects
finally:
    if plan is not None:
        flameprof_hook.start(plan)
