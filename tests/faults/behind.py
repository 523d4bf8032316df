"""What gunicorn serves."""

import json
import os
import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "middleware"))

import lifted  # noqa: E402 (its folder is known only now)

from afflicted import application  # noqa: E402

behind = lifted.Middleware(application, **json.loads(os.environ["OPTIONS"]))
behind_panel = lifted.Middleware(application, panel=True)
