"""`make demo` and `make serve`: uWSGI with the Django example behind flameprof.

    demo.py once    profile one real request, write its picture twice, stop
    demo.py serve   keep serving until Ctrl-C

UWSGI and BUILD come from the Makefile; OUTPUT is where the pictures go.
"""

import os
import pathlib
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request

ROOT = pathlib.Path(__file__).resolve().parents[1]
BUILD = ROOT / os.environ.get("BUILD", "build")
OUTPUT = pathlib.Path(os.environ.get("OUTPUT", ROOT / "build" / "demo"))
QUERY = "/?flamegraph=1&interval=0.0005"
START_SECONDS = 30
ANSWER_SECONDS = 60
LOG_LINES = 60  # of uWSGI's log, shown when something fails


class Failed(Exception):
    """One sentence for the person who typed `make demo`."""


def free_port(preferred):
    """A port of 127.0.0.1 nobody listens on: the preferred one, or any."""
    for port in (preferred, 0):
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return probe.getsockname()[1]
    raise Failed("no port of 127.0.0.1 is free")


def start(port, log):
    # The folder goes on the command line, so that BUILD= is obeyed.
    command = [
        os.environ.get("UWSGI", "uwsgi"),
        "--plugins-dir", str(BUILD),
        "--http-socket", f"127.0.0.1:{port}",
        "--ini", str(ROOT / "examples" / "uwsgi.ini"),
    ]  # fmt: skip
    return subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log)


def get(url):
    """Status, headers and body; an error page is an answer like any other."""
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(url, timeout=ANSWER_SECONDS) as answer:
            return answer.status, answer.headers, answer.read()
    except urllib.error.HTTPError as error:
        return error.code, error.headers, error.read()


def wait_until_up(server, url):
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline:
        if server.poll() is not None:
            raise Failed(f"uWSGI ended with exit code {server.returncode} instead of serving")
        try:
            status, _, _ = get(url)
        except OSError:
            time.sleep(0.1)
            continue
        if status != 200:
            raise Failed(f"the example's front page answered {status}")
        return
    raise Failed(f"uWSGI was not there after {START_SECONDS} s")


def picture(url, content_type, magic, path):
    status, headers, body = get(url)
    got = headers.get("Content-Type", "nothing")
    if status != 200 or got.split(";")[0] != content_type or magic not in body[:400]:
        text = body[:300].decode("utf-8", "backslashreplace")
        raise Failed(f"{url} answered {status} with {got}, not a flame graph: {text!r}")
    path.write_bytes(body)
    return f"  {os.path.relpath(path)}  ({len(body) / 1024:.0f} kB)"


def once(base):
    OUTPUT.mkdir(parents=True, exist_ok=True)
    get(f"{base}/")  # imports and caches are not what the picture is about
    files = [
        picture(base + QUERY, "image/svg+xml", b"<svg", OUTPUT / "flamegraph.svg"),
        picture(
            f"{base}{QUERY}&flamegraph_format=png",
            "image/png",
            b"\x89PNG\r\n",
            OUTPUT / "flamegraph.png",
        ),
    ]
    print("One request of the Django example, profiled under uWSGI:")
    print("\n".join(files))
    print("Open the SVG in a browser: click a frame to zoom in, search for a name.")
    print(f"The address was {base}{QUERY}")
    print("The server has been stopped; `make serve` keeps it running.")


def serve(server, base):
    print(f"Serving the Django example. Try\n  {base}/\n  {base}{QUERY}\nCtrl-C ends it.", flush=True)
    code = server.wait()
    raise Failed(f"uWSGI ended with exit code {code}")


def stop(server):
    """Ends the server we started, and waits until it is gone."""
    if server.poll() is None:
        server.send_signal(signal.SIGTERM)
        try:
            server.wait(15)
        except subprocess.TimeoutExpired:
            server.kill()
            server.wait()


def run(mode):
    log_path = BUILD / "demo" / "uwsgi.log"
    log_path.parent.mkdir(parents=True, exist_ok=True)
    port = free_port(8000 if mode == "serve" else 0)
    base = f"http://127.0.0.1:{port}"
    with open(log_path, "w+b") as log:
        server = start(port, log if mode == "once" else None)
        try:
            wait_until_up(server, f"{base}/")
            if mode == "once":
                once(base)
            else:
                serve(server, base)
        except Failed as problem:
            if mode == "once":
                log.seek(0)
                lines = log.read().decode("utf-8", "backslashreplace").splitlines()
                print(*lines[-LOG_LINES:], sep="\n", file=sys.stderr)
            sys.exit(f"flameprof: the {'demo' if mode == 'once' else 'server'} failed: {problem}")
        except KeyboardInterrupt:
            print("stopped")
        finally:
            stop(server)


if __name__ == "__main__":
    if sys.argv[1:] not in (["once"], ["serve"]):
        sys.exit(__doc__)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    run(sys.argv[1])
