"""What a request costs that asks for a profile and may not have one, by the reason:
instructions of the plugin, counted by callgrind as instructions.py does.

One uWSGI server with everything configured that can refuse: an allowed network, trusted
proxies, a secret, a file that switches off. All requests are from somebody else, for the
same path, by uWSGI's own protocol. The first rows bring no token; the others bring one,
so their query is longer. Among either nobody shall be able to tell the reason.
"""

import argparse
import os
import pathlib
import shutil
import socket
import struct
import subprocess
import sys
import tempfile
import time

import instructions
import serving

PROGRAM = serving.BUILD / "flameprof"
PATH = "/shop/"
# Between the reasons of one group, of what the cheapest of them costs.
TARGET = 0.01
SOMEBODY = {"REQUEST_METHOD": "GET", "SCRIPT_NAME": "", "SERVER_PROTOCOL": "HTTP/1.1",
            "SERVER_NAME": "shop.example", "SERVER_PORT": "80", "HTTP_HOST": "shop.example",
            "HTTP_X_FORWARDED_FOR": "192.0.2.1, 10.0.0.2", "REMOTE_ADDR": "192.0.2.9"}


class Server(serving.Server):
    """Asked by uWSGI's protocol."""

    def ask(self, path=PATH, query="", **more):
        environ = {**SOMEBODY, "PATH_INFO": path, "QUERY_STRING": query, **more}
        block = b"".join(struct.pack("<H", len(word)) + word
                         for pair in environ.items() for word in map(str.encode, pair))
        with socket.create_connection(("127.0.0.1", self.port), timeout=60) as sock:
            sock.sendall(struct.pack("<BHB", 0, len(block), 0) + block)
            parts = []
            while part := sock.recv(1 << 20):
                parts.append(part)
        return b"".join(parts)

    def get(self, target):
        answer = self.ask(target)
        if not answer.startswith(b"HTTP/1.1 200"):
            raise OSError(answer[:300])


class Links:
    """Signed ones, by two secrets: the server's and another."""

    def __init__(self, folder):
        self.secrets = [folder / "secret", folder / "other"]
        for path in self.secrets:
            path.write_bytes(os.urandom(32))
            path.chmod(0o600)

    def sign(self, *arguments, secret=0, path=PATH):
        return subprocess.run(
            [PROGRAM, "sign", "--secret-file", self.secrets[secret], "--path", path, *arguments],
            check=True, stdout=subprocess.PIPE, text=True).stdout.strip()


def reasons(server, links, off, expired):
    """For each: whether it has a token, the variables, what to do before."""
    plain = {"query": "flamegraph=1"}
    spent = links.sign("--once")
    if b"X-Flameprof-Status" not in server.ask(query=spent):
        raise SystemExit("the token to be spent was not good\n" + server.log())
    return {
        "a stranger": (False, {**plain, "HTTP_X_FORWARDED_FOR": "1.2.3.4, 10.0.0.2"}, None),
        "behind a proxy, of another network": (False, {**plain, "REMOTE_ADDR": "10.0.0.1"}, None),
        "a proxy does not say whose it is": (
            False, {**plain, "REMOTE_ADDR": "10.0.0.1",
                    "HTTP_X_FORWARDED_FOR": "192.0.2.1, _hid.2.3"}, None),
        "no token": (False, {**plain}, None),
        "another secret's token": (True, {"query": links.sign(secret=1)}, None),
        "no base64": (True, {"query": "flamegraph=1&flamegraph_token=" + "*" * 64}, None),
        "another path's": (True, {"query": links.sign(path="/shos/")}, None),
        "expired": (True, {"query": expired}, None),
        "spent": (True, {"query": spent}, None),
        "switched off, no token": (False, {**plain}, off.touch),
        "switched off, a good token": (True, {"query": links.sign()}, None),
    }


def count(folder, requests, links, off, expired):
    """{reason: (has a token, instructions of the plugin)}, and those of one not asked."""
    port = serving.free_port()
    command = [
        *instructions.callgrind(folder), serving.UWSGI, "--plugin", str(serving.PLUGIN),
        *["--socket", f"127.0.0.1:{port}", "--module", "hello", "--pythonpath", str(serving.HERE)],
        *["--need-app", "--disable-logging", "--die-on-term", "--flameprof-allow", "203.0.113.0/24"],
        *["--flameprof-trusted-proxies", "10.0.0.0/8", "--flameprof-off-file", str(off)],
        *["--flameprof-secret-file", str(links.secrets[0])],
    ]
    with Server(command, port, {"PYTHONHASHSEED": "0"}) as server:
        time.sleep(1.1)  # a token is signed in a later second than the server began
        rows = {"not asked": (False, {"query": "flamegraph=0"}, None),
                **reasons(server, links, off, expired)}
        ordinary = server.ask()
        for _, variables, before in rows.values():
            if before is not None:
                before()
            server.get("/mark")
            server.get("/mark")
            for _ in range(requests):
                if server.ask(**variables) != ordinary:
                    raise SystemExit(f"{variables} was not answered as ever")
        server.get("/mark")
    parts = [instructions.Part(path) for path in
             sorted(folder.glob("count.*"), key=lambda path: int(path.suffix[1:]))]
    if len(parts) != 2 * len(rows) + 1:
        raise SystemExit(f"callgrind left {len(parts)} counts, not {2 * len(rows) + 1}")
    return {
        name: (token, (parts[2 * i + 2].added() - parts[2 * i + 1].added()) / requests)
        for i, (name, (token, _, _)) in enumerate(rows.items())
    }


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--requests", type=int, default=200, help="per reason (200)")
    options = parser.parse_args()
    if not shutil.which("valgrind"):
        raise SystemExit("valgrind is missing; it is in packages.txt")
    with tempfile.TemporaryDirectory() as scratch:
        folder = pathlib.Path(scratch)
        links = Links(folder)
        expired = links.sign("--expires", "1s")
        print("Waiting for a token to expire, which takes 32 seconds.", file=sys.stderr)
        time.sleep(32)
        counted = count(folder, options.requests, links, folder / "off", expired)
    _, unasked = counted.pop("not asked")
    print("| refused because | token | instructions | more than the group's cheapest |")
    print("|---|---|---|---|")
    met = True
    for group in (False, True):
        costs = {name: cost for name, (token, cost) in counted.items() if token == group}
        least = min(costs.values())
        for name, cost in costs.items():
            print(f"| {name} | {'yes' if group else 'no'} | {cost - unasked:.0f} "
                  f"| {cost - least:+.0f} |")
        met = met and max(costs.values()) <= least * (1 + TARGET)
    print(f"\nTarget: within a group {TARGET:.0%} at most: {'met' if met else 'MISSED'}.\n")
    sys.exit(0 if met else 1)


if __name__ == "__main__":
    main()
