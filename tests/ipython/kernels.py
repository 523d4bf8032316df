"""A real IPython kernel, and what it answers."""

import os
import pathlib
import queue
import re
import sys
import tempfile
import time
import unittest

from jupyter_client.manager import start_new_kernel

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))
from measuring import Measuring  # noqa: E402, F401

PACKAGE = os.path.abspath(os.environ["PYTHONPATH"].split(os.pathsep)[0])
COLOURS = re.compile(r"\x1b\[[\d;]*m")
WORK = """
import time
def wait(seconds):
    time.sleep(seconds)
"""


def environment(folder):
    """Nothing of the one who runs the tests."""
    for name in ("ipython", "jupyter", "runtime", "home"):
        pathlib.Path(folder, name).mkdir(exist_ok=True)
    return {
        **os.environ,
        "PYTHONPATH": PACKAGE,
        "HOME": f"{folder}/home",
        "IPYTHONDIR": f"{folder}/ipython",
        "JUPYTER_CONFIG_DIR": f"{folder}/jupyter",
        "JUPYTER_RUNTIME_DIR": f"{folder}/runtime",
        "TMPDIR": str(folder),
    }


class Answer:
    """To a cell: its value, what was displayed as dicts by MIME type, text, and the error."""

    def __init__(self, reply, messages):
        self.status = reply["content"]["status"]
        self.value, self.displayed, self.said, self.error = None, [], "", None
        for message in messages:
            content = message["content"]
            if message["msg_type"] == "execute_result":
                self.value = content["data"]["text/plain"]
            elif message["msg_type"] == "display_data":
                self.displayed.append(content["data"])
            elif message["msg_type"] == "stream":
                self.said += content["text"]
            elif message["msg_type"] == "error":
                self.error = COLOURS.sub("", "\n".join(content["traceback"]))


class Kernels(unittest.TestCase):
    """One kernel for all tests of a class, with the extension and WORK."""

    config = ""

    @classmethod
    def setUpClass(cls):
        folder = tempfile.TemporaryDirectory(prefix="flameprof-kernel-")
        cls.addClassCleanup(folder.cleanup)
        cls.folder = pathlib.Path(folder.name)
        env = environment(cls.folder)
        if cls.config:
            profile = cls.folder / "ipython/profile_default"
            profile.mkdir()
            (profile / "ipython_config.py").write_text(cls.config)
        manager, cls.client = start_new_kernel(
            kernel_name="python3", env=env, cwd=str(cls.folder), startup_timeout=60
        )
        cls.addClassCleanup(manager.shutdown_kernel, now=True)
        cls.addClassCleanup(cls.client.stop_channels)
        for cell in ("%load_ext flameprof", WORK):
            assert cls.run_cell(cell).status == "ok"

    @classmethod
    def run_cell(cls, text):
        # Or the kernel may abort what it is asked just after a cell that fails.
        sent = cls.client.execute(text, stop_on_error=False)
        messages = []
        ends = time.monotonic() + 60
        while time.monotonic() < ends:
            try:
                message = cls.client.get_iopub_msg(timeout=1)
            except queue.Empty:
                continue
            if message["parent_header"].get("msg_id") != sent:
                continue
            messages.append(message)
            if message["content"].get("execution_state") == "idle":
                return Answer(cls.reply_to(sent), messages)
        raise AssertionError(f"no end of {text!r}")

    @classmethod
    def reply_to(cls, sent):
        while True:
            reply = cls.client.get_shell_msg(timeout=10)
            if reply["parent_header"].get("msg_id") == sent:
                return reply
