"""Slow uploads and downloads of a uWSGI server with the plugin: is one of them cut?

Every client takes its time: a piece, a pause, a piece. Profiled and ordinary ones
are mixed, so that each ordinary one has profiled neighbours in its process. First
comes the same without any profile.
"""

import asyncio
import collections
import hashlib
import os
import socket
import statistics
import time

import serving
import slow_site

PROFILED = "?flamegraph=1&interval=0.001"
BODY = os.urandom(1 << 18)
PIECES = 16
PAUSE = 0.05
PROCESSES = 2
# Small, so that a client that does not read makes the server wait.
SOCKET_BUFFER = 8192


class Cut(Exception):
    """What came is not what was to come."""


def head(method, target, length=None):
    lines = [f"{method} {target} HTTP/1.1", "Host: localhost", "Connection: close"]
    if length is not None:
        lines.append(f"Content-Length: {length}")
    return "\r\n".join([*lines, "", ""]).encode()


def take_apart(answer):
    """(headers in lower case, body) of an answer that is whole."""
    start, _, body = answer.partition(b"\r\n\r\n")
    status, *lines = start.decode("latin-1").split("\r\n")
    if status.split(" ")[1:2] != ["200"]:
        raise Cut(f"answered {status!r}")
    headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in lines)}
    if int(headers.get("content-length", len(body))) != len(body):
        raise Cut(f"{len(body)} bytes came of {headers['content-length']}")
    return headers, body


def check_upload(headers, body):
    if headers.get("x-received") != f"{len(BODY)} {hashlib.sha256(BODY).hexdigest()}":
        raise Cut(f"the application received {headers.get('x-received')}")


def check_download(headers, body):
    if body != slow_site.PIECE * PIECES:
        raise Cut(f"{len(body)} bytes, and not those that were sent")


def check_picture(headers, body):
    if headers.get("x-flameprof-status", "")[:3] != "200" or not body.rstrip().endswith(b"</svg>"):
        raise Cut(f"not a whole picture: {body[:80]!r}")


# Name: (method, target, body to send, checks)
UPLOADS = {
    "upload, profiled": ("GET", "/upload" + PROFILED, BODY, [check_upload, check_picture]),
    "upload beside": ("POST", "/upload", BODY, [check_upload]),
}
DOWNLOADS = {
    "download, profiled": ("GET", "/download" + PROFILED, None, [check_picture]),
    "download beside": ("GET", "/download", None, [check_download]),
}
KINDS = {**UPLOADS, **DOWNLOADS}
UNPROFILED = ["upload beside", "download beside"]


async def receive_slowly(loop, sock):
    parts = []
    while part := await loop.sock_recv(sock, SOCKET_BUFFER):
        parts.append(part)
        await asyncio.sleep(PAUSE / 4)
    return b"".join(parts)


async def client(port, kind):
    """Raises Cut or OSError."""
    method, target, body, checks = KINDS[kind]
    loop = asyncio.get_running_loop()
    with socket.socket() as sock:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, SOCKET_BUFFER)
        sock.setblocking(False)
        await loop.sock_connect(sock, ("127.0.0.1", port))
        await loop.sock_sendall(sock, head(method, target, body and len(body)))
        step = len(body or b"") // PIECES
        for i in range(PIECES if body else 0):
            await loop.sock_sendall(sock, body[i * step : (i + 1) * step])
            await asyncio.sleep(PAUSE)
        answer = take_apart(await receive_slowly(loop, sock))
    for check in checks:
        check(*answer)


async def crowd(port, kinds, at_once):
    """{kind: seconds of the whole ones}, {kind: what was wrong with the others}"""
    whole, cut = collections.defaultdict(list), collections.defaultdict(list)
    waiting = iter(kinds)

    async def one_after_the_other():
        for kind in waiting:
            begun = time.monotonic()
            try:
                await asyncio.wait_for(client(port, kind), 60)
            except (Cut, OSError, asyncio.TimeoutError) as error:
                cut[kind].append(repr(error))
            else:
                whole[kind].append(time.monotonic() - begun)

    await asyncio.gather(*(one_after_the_other() for _ in range(at_once)))
    return whole, cut


def server(port, at_once):
    return serving.Server(
        [
            *[serving.UWSGI, "--plugin", str(serving.PLUGIN), *serving.LIFTED, "--module", "slow_site"],
            *["--pythonpath", str(serving.HERE), "--need-app", "--master", "--die-on-term"],
            *["--http-socket", f"127.0.0.1:{port}", "--socket-sndbuf", str(SOCKET_BUFFER)],
            *["--processes", str(PROCESSES), "--threads", str(-(-at_once // PROCESSES))],
            "--disable-logging",
        ],
        port,
    )


def rows(found, suffix=""):
    whole, cut = found
    for kind in KINDS:
        if whole[kind] or cut[kind]:
            seconds = f"{statistics.median(whole[kind]):.2f}" if whole[kind] else "–"
            print(
                f"| {kind}{suffix} | {len(whole[kind]) + len(cut[kind])} | {len(whole[kind])} "
                f"| {len(cut[kind])} | {seconds} |"
            )
            for what in sorted(set(cut[kind]))[:5]:
                print(f"  {what}")


def measure(requests, at_once):
    """Prints the table; True if none was cut."""
    port = serving.free_port()
    with server(port, at_once) as running:
        few = (UNPROFILED * requests)[: max(2, requests // 10)]
        alone = asyncio.run(crowd(port, few, at_once))
        among = asyncio.run(crowd(port, (list(KINDS) * requests)[:requests], at_once))
        profiles = running.log().count("samples")
    print(f"\n| {at_once} clients at once | requests | whole | cut | seconds, median |")
    print("|---|---|---|---|---|")
    rows(alone, ", nobody profiled")
    rows(among)
    asked = sum(len(part[kind]) for part in among for kind in KINDS if "profiled" in kind)
    print(f"{profiles} profiles in the server's log, {asked} asked for.")
    return not any(alone[1].values()) and not any(among[1].values()) and profiles == asked
