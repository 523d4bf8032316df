"""Profiles the process it is in from here to its end, for ``flameprof run``.

It imports nothing that Python has not imported anyway, but atexit and _flameprof: the script
finds sys.modules as ever.
"""

import _thread
import atexit
import marshal
import os
import sys

FOLDER = os.path.dirname(os.path.abspath(__file__))
# Frames of ours: what returns from here to Python while it samples already. And what a
# thread does that runs no Python function, as one of ours for a moment.
OURS = [
    "* (flameprof/hook/)",
    "[thread without a name]",
    # What Python imports by itself: the rest of site, and runpy for -m.
    "^_find_and_load (<frozen importlib._bootstrap>)",
]


def tidy():
    """What run.py wants, or None; the environment is as it was before."""
    while FOLDER in sys.path:
        sys.path.remove(FOLDER)
    sys.path_importer_cache.pop(FOLDER, None)
    plan = os.environ.pop("FLAMEPROF_RUN", None)
    if plan is None:
        return None
    plan = marshal.loads(bytes.fromhex(plan))
    del os.environ["PYTHONPATH"]
    if plan["python_path"] is not None:
        os.environ["PYTHONPATH"] = plan["python_path"]
    return plan


def load(folder):
    """_flameprof, from there."""
    known = folder in sys.path_importer_cache
    sys.path.insert(0, folder)
    try:
        import _flameprof
    finally:
        sys.path.remove(folder)
        if not known:
            sys.path_importer_cache.pop(folder, None)
    return _flameprof


def start(plan):
    """Sample from here on. Where that cannot be, the script does not run."""
    ending = None
    try:
        module = load(plan["modules"])
        session = module.Session(interval=plan["interval"], everybody=True, lines=plan["lines"])
        ending = Ending(module, session, plan)
        # In reverse: what the script registers comes before all of them, and the end of the
        # profile before any frame of ours.
        for step in ending.steps:
            atexit.register(*step)
        os.register_at_fork(after_in_child=ending.forget)
        session.start()
        module.attend(session, ending, plan["progress"])
    except Exception as error:
        os.write(2, f"flameprof: {error}\n".encode())
        os._exit(1)


class Ending:
    """Called once when the process ends, by whichever thread ends it: writes the picture."""

    def __init__(self, module, session, plan):
        self.module, self.session, self.plan = module, session, plan
        self.steps = [(module.dismiss,), (module.unseen, self), (module.conclude,)]
        self.lock = _thread.allocate_lock()
        self.done = False
        self.errors = status_of(2)

    def forget(self):
        """In a forked child, which is not profiled."""
        for call, *_ in self.steps:
            atexit.unregister(call)

    def __call__(self):
        with self.lock:
            if self.done:
                return
            self.done = True
            try:
                self.module.hush()
                what = self.write()
            except BaseException as error:  # KeyboardInterrupt: the picture is not waited for
                why = getattr(error, "strerror", None) or str(error) or type(error).__name__
                what = f"it could not be written: {why}"
            self.say(f"{self.plan['shown']}: {what}")

    def write(self):
        """What the picture is of."""
        quality = self.session.quality()
        missed = f", {quality['missed']:,} missed" if quality["missed"] else ""
        path, idle = self.plan["path"], OURS + self.plan["idle"]
        render = self.session.render
        save(path, render(self.module.format_of(path), idle=idle, **self.plan["drawn"]))
        return f"{quality['duration_ns'] / 1e9:.2f} s, {quality['samples']:,} samples{missed}"

    def say(self, sentence):
        """On what was standard error at the start; the script may have closed it."""
        if self.errors is not None and status_of(2) == self.errors:
            try:
                os.write(2, f"flameprof: {sentence}\n".encode(errors="backslashreplace"))
            except OSError:
                pass


def status_of(descriptor):
    """Which file it is; None: it is closed."""
    try:
        status = os.fstat(descriptor)
    except OSError:
        return None
    return status.st_dev, status.st_ino


def save(path, data):
    """The file is there when all of it is, or it stays what it was. Any thread."""
    temporary = f"{path}.{_thread.get_native_id()}.part"  # no other thread writes it
    file = create(temporary)
    try:
        with file:
            file.write(data)
        os.replace(temporary, path)
    except BaseException:
        if os.path.exists(temporary):
            os.unlink(temporary)
        raise


def create(path):
    """A new file: where others may write, a link to another one may lie there."""
    try:
        return open(path, "xb")
    except FileExistsError:
        os.unlink(path)
        return open(path, "xb")
