"""How long the picture takes: from the application's last byte to the picture's last.

A Django page that takes about a second, profiled at 1 kHz, in uWSGI with the
plugin and in gunicorn (sync) with the middleware. The application writes down
when it handed out the last piece of its page; the client looks at the same
clock when the last byte of the picture is here. Beside it the same for the
ordinary page: what the server takes by itself. (The picture has to wait for
the application's close(), the page does not.)
"""

import argparse
import os
import pathlib
import re
import statistics
import sys
import tempfile
import time

import serving
from conditions import Conditions

TARGET_MS = 10
QUERY = "/?flamegraph=1&interval=0.001"
PATHS = [str(serving.HERE), str(serving.ROOT / "examples" / "django")]
LOG_LINE = re.compile(
    r"\[flameprof\] \S+: ([\d.]+) s, (\d+) samples, \d+ missed, ([\d.]+) ms sampling, "
    r"([\d.]+) ms drawing"
)


def uwsgi(port):
    return [
        *[serving.UWSGI, "--plugin", str(serving.PLUGIN), *serving.LIFTED, "--module", "slow_shop"],
        *["--pythonpath", PATHS[0], "--pythonpath", PATHS[1], "--need-app"],
        *["--http-socket", f"127.0.0.1:{port}", "--master", "--die-on-term"],
        "--disable-logging",
    ]


def gunicorn(port):
    return [
        *[sys.executable, "-B", "-m", "gunicorn", "-k", "sync", "-w", "1"],
        *["-b", f"127.0.0.1:{port}", "--chdir", PATHS[0], "slow_shop:behind_flameprof"],
    ]


DOORS = {"uWSGI, plugin": uwsgi, "gunicorn sync, middleware": gunicorn}


def environment(door, times, pages):
    found = os.environ.get("PYTHONPATH", "").split(":") if door is gunicorn else []
    return {
        "PYTHONPATH": ":".join([*PATHS, *filter(None, found)]),
        "TIMES": str(times),
        "PAGES": str(pages),
    }


def waited_ms(server, target, times):
    """The answer's body, and the ms between the application's last byte and its own."""
    times.unlink(missing_ok=True)
    answer, last = server.get(target)
    # An ordinary page is here before its close() has been called.
    deadline = time.monotonic() + 5
    while not (times.exists() and times.stat().st_size) and time.monotonic() < deadline:
        time.sleep(0.01)
    return answer.partition(b"\r\n\r\n")[2], (last - int(times.read_text())) / 1e6


def measure(name, rounds, pages):
    """Prints a row; returns the median of the picture's time in ms."""
    pictures, ordinary, size = [], [], 0
    door, port = DOORS[name], serving.free_port()
    with tempfile.TemporaryDirectory() as folder:
        times = pathlib.Path(folder) / "times"
        with serving.Server(door(port), port, environment(door, times, pages)) as server:
            waited_ms(server, QUERY, times)
            for _ in range(rounds):
                body, ms = waited_ms(server, QUERY, times)
                if b"<svg" not in body[:500] or not body.rstrip().endswith(b"</svg>"):
                    raise SystemExit(f"{name}: not a picture: {body[:300]!r}")
                pictures.append(ms)
                size = len(body)
                ordinary.append(waited_ms(server, "/", times)[1])
            log = LOG_LINE.findall(server.log())[-rounds:]
    if len(log) != rounds:
        raise SystemExit(f"{name}: {len(log)} log lines for {rounds} pictures")
    seconds, samples, _, drawing = (
        statistics.median(float(line[column]) for line in log) for column in range(4)
    )
    low, middle, high = statistics.quantiles(pictures, n=4)
    print(
        f"| {name} | {seconds:.2f} s, {samples:.0f} samples | **{middle:.1f}** ({low:.1f}–{high:.1f}) "
        f"| {drawing:.1f} | {size / 1024:.0f} kB | {statistics.median(ordinary):.1f} |",
        flush=True,
    )
    return middle


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=15, help="pictures per server (15)")
    parser.add_argument("--pages", type=int, default=2, help="pages Django makes per request (2)")
    parser.add_argument("--only", choices=DOORS, help="one of the two")
    options = parser.parse_args()
    names = [name for name in DOORS if options.only in (None, name)]
    with Conditions():
        print(
            "| server | request | the picture's last byte after, ms (quartiles) "
            "| of it drawing, ms | size | the ordinary page's, ms |"
        )
        print("|---|---|---|---|---|---|")
        middles = [measure(name, options.rounds, options.pages) for name in names]
    met = all(middle <= TARGET_MS for middle in middles)
    print(f"Target: a median of {TARGET_MS} ms at most: {'met' if met else 'MISSED'}.\n")
    sys.exit(0 if met else 1)


if __name__ == "__main__":
    main()
