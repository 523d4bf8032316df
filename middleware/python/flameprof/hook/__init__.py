"""What Python finds first in a process of ``flameprof run``: see sitecustomize.py."""
