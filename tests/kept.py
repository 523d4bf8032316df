"""What a server has kept in the folder of --flameprof-dir or dir=."""

import gzip
import json
import os
import pathlib
import struct
import subprocess
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent
COMMAND = ROOT / os.environ.get("BUILD", "build") / "flameprof"


class Kept:
    """One profile: .facts, and .functions, {name: microseconds under it}."""

    def __init__(self, path):
        self.path = path
        data = path.read_bytes()
        gzip.decompress(data)  # whole
        identifier, length = struct.unpack_from("<2sH", data, 12)
        assert identifier == b"fp", data[:40]
        self.facts = json.loads(data[16 : 16 + length])

    @property
    def functions(self):
        folded = subprocess.run(
            [COMMAND, "render", "--format", "folded", self.path],
            capture_output=True, text=True, check=True, timeout=60,
        ).stdout
        found = {}
        for line in folded.splitlines():
            stack, _, weight = line.rpartition(" ")
            for name in {frame.rpartition(" (")[0] for frame in stack.split(";")}:
                found[name] = found.get(name, 0) + int(weight)
        return found


def kept(folder, count, patience=20):
    """Those in the folder, in the order of time, once there are so many: they are
    written beside the requests."""
    end = time.monotonic() + patience
    time.sleep(0.3 if count == 0 else 0)  # none: nor are there some that wait
    while True:
        paths = list(pathlib.Path(folder).glob("*.pb.gz"))
        if len(paths) >= count or time.monotonic() > end:
            break
        time.sleep(0.05)
    return sorted(map(Kept, paths), key=lambda one: one.facts["time_ms"])
