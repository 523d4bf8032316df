"""Under what a figure was measured: printed below each table of times."""

import os
import platform
import resource
import time


def _busy():
    """Seconds of CPU the whole machine has spent, and those of them a hypervisor took."""
    with open("/proc/stat") as stat:
        user, nice, system, _, _, irq, softirq, steal = map(int, stat.readline().split()[1:9])
    tick = os.sysconf("SC_CLK_TCK")
    return (user + nice + system + irq + softirq) / tick, steal / tick


def _ours():
    return sum(
        usage.ru_utime + usage.ru_stime
        for usage in map(resource.getrusage, (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    )


class Conditions:
    """`with Conditions(): ...` prints what else went on. Times are only worth
    something if others used next to nothing."""

    def __enter__(self):
        self.begun, self.busy, self.ours = time.monotonic(), _busy(), _ours()

    def __exit__(self, *_):
        elapsed = time.monotonic() - self.begun
        busy, stolen = (now - then for now, then in zip(_busy(), self.busy))
        others = max(busy - (_ours() - self.ours), 0) / elapsed
        print(
            f"\n{time.strftime('%Y-%m-%d')}, {os.cpu_count()} cores, Linux {platform.release()}, "
            f"Python {platform.python_version()}. While this ran ({elapsed:.0f} s), everything "
            f"else used {others:.2f} of a core, and {stolen / elapsed:.3f} was stolen.",
            flush=True,
        )
