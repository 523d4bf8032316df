"""What it costs to watch every request for slow ones: CPU time of the whole worker.

Two uWSGI servers of one worker each, with the plugin: one watches every request
(slower-than, on-error), one does not. They take turns at the same requests, and the CPU
time of all threads of each worker is read around each turn; who goes first alternates.
Loaded: requests of three clients, without a pause; light: one a second; idle: none.
"""

import argparse
import concurrent.futures
import pathlib
import socket
import statistics
import sys
import time

import serving
from conditions import Conditions

TARGET = 1.01
CLIENTS = 3
WATCHED = ("--flameprof-slower-than", "10", "--flameprof-on-error")
EXAMPLE = serving.ROOT / "examples" / "django"
# For each: its arguments, requests in a turn, and turns. Many short ones: on a machine
# that others use, two that lie close together can be compared best.
SITES = {
    "hello-world": (("--pythonpath", str(serving.HERE), "--module", "hello"), 300, 500),
    "the Django example": (("--pythonpath", str(EXAMPLE), "--module", "shop.wsgi"), 3, 20),
}


class Worker(serving.Server):
    def __init__(self, site, *options):
        port = serving.free_port()
        command = [
            *[serving.UWSGI, "--plugin", str(serving.PLUGIN), *site, *options],
            *["--http-socket", f"127.0.0.1:{port}", "--need-app", "--disable-logging"],
            *["--die-on-term", "--listen", "64"],
        ]
        super().__init__(command, port)

    def cpu(self):
        """Seconds that all its threads have had so far."""
        tasks = pathlib.Path(f"/proc/{self.process.pid}/task").iterdir()
        return sum(int((task / "schedstat").read_text().split()[0]) for task in tasks) / 1e9

    def turn(self, clients, requests, pause):
        """CPU seconds of so many requests, with a pause after each; or of a pause. Without
        a pause the clients share them, so that the worker is never without one."""
        before = self.cpu()
        if requests == 0:
            time.sleep(pause)
        elif pause:
            ask(self.port, requests, pause)
        else:
            share = [requests // CLIENTS] * CLIENTS
            list(clients.map(ask, [self.port] * CLIENTS, share, [0] * CLIENTS))
        return self.cpu() - before


def ask(port, requests, pause):
    for _ in range(requests):
        with socket.create_connection(("127.0.0.1", port), timeout=60) as sock:
            sock.sendall(b"GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
            while sock.recv(1 << 20):
                pass
        time.sleep(pause)


def compare(clients, with_it, without, requests, pause, rounds):
    """[(CPU seconds with it, without)]"""
    pairs = []
    for number in range(rounds):
        order = (with_it, without) if number % 2 else (without, with_it)
        took = {server: server.turn(clients, requests, pause) for server in order}
        pairs.append((took[with_it], took[without]))
    return pairs


def row(name, load, pairs, requests, judged):
    """Prints it; True unless it misses the target."""
    watched, plain = (statistics.median(column) for column in zip(*pairs))
    unit = max(requests, 1)
    cells = f"| {name} | {load} | {plain / unit * 1e6:.1f} | {watched / unit * 1e6:.1f} |"
    if requests == 0:
        print(f"{cells} | |", flush=True)
        return watched - plain < 1e-3
    low, middle, high = statistics.quantiles([one / other for one, other in pairs], n=4)
    print(f"{cells} {middle:.4f} | {low:.4f}–{high:.4f} |", flush=True)
    return not judged or middle <= TARGET


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, help="turns, loaded (500, and 20)")
    parser.add_argument("--seconds", type=int, default=20, help="of each, light and idle (20)")
    parser.add_argument("--only", choices=["hello", "django"], help="one of the two sites")
    options = parser.parse_args()
    met = True
    with Conditions(), concurrent.futures.ProcessPoolExecutor(CLIENTS) as clients:
        print("| worker | load | CPU without, µs | with | ratio (median) | quartiles |")
        print("|---|---|---|---|---|---|")
        for name, (site, requests, rounds) in SITES.items():
            if options.only and options.only not in name.lower():
                continue
            with Worker(site, *WATCHED) as watched, Worker(site) as plain:
                for server in (watched, plain):
                    server.turn(clients, requests, 0)
                pairs = compare(clients, watched, plain, requests, 0, options.rounds or rounds)
                met = row(name, "loaded, a request", pairs, requests, True) and met
                pairs = compare(clients, watched, plain, 5, 1, max(options.seconds // 5, 2))
                row(name, "one a second, a request", pairs, 5, False)
                pairs = compare(clients, watched, plain, 0, options.seconds, 2)
                met = row(name, f"idle, {options.seconds} s", pairs, 0, True) and met
    print(f"\nTarget: {TARGET} loaded, nothing more idle: {'met' if met else 'MISSED'}.\n")
    sys.exit(0 if met else 1)


if __name__ == "__main__":
    main()
