"""Clients that go or take their time, large bodies, and workers that are ended."""

import concurrent.futures
import os
import pathlib
import signal
import socket
import sys
import time
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))

from doors import (  # noqa: E402
    ASK,
    FOLDED,
    Row,
    ThroughGunicorn,
    ThroughUwsgi,
    until,
)
from server import Answer  # noqa: E402

MIB = 1 << 20
GIB_OF_MIB = 1024


def head(method, target, length=None):
    lines = [f"{method} {target} HTTP/1.1", "Host: localhost"]
    lines += [f"Content-Length: {length}"] if length is not None else []
    return "\r\n".join([*lines, "", ""]).encode()


class Clients(Row):
    def connect(self, served):
        """With little room, so that the server's does not grow either."""
        sock = socket.socket()
        self.addCleanup(sock.close)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 16)
        sock.settimeout(60)
        sock.connect(("127.0.0.1", served.port))
        return sock

    def test_gone_in_the_middle(self):
        """Before the profile ends, while the picture is sent, in the middle of an upload:
        the worker goes on, and the same one."""
        served = self.serve()
        ordinary, pid = self.plain(served), self.worker(served)
        for target, wait in ((f"/long?{ASK}", 0.3), (f"/told_at_length?{FOLDED}", None)):
            for _ in range(3):
                sock = self.connect(served)
                sock.sendall(head("GET", target))
                if wait is None:
                    sock.recv(100)  # it is being sent, and has not all been
                else:
                    time.sleep(wait)
                sock.close()
        sock = self.connect(served)
        sock.sendall(head("GET", f"/receives?{ASK}", MIB) + b"x" * 1000)
        sock.close()
        # gunicorn's worker says that it was left alone with the upload, with or without us.
        self.assertEqual(self.plain(served), ordinary)
        self.assertEqual(self.worker(served), pid)
        self.assert_profiled(served.get(f"/works?{FOLDED}"), "works", "work")
        self.assert_sound(served, but="Traceback")

    def test_slow(self):
        """One that takes its time to send, or to receive, has everything."""
        served = self.serve()
        ordinary = self.plain(served)
        sock = self.connect(served)
        sock.sendall(head("GET", f"/receives?{ASK}", 20000))
        for _ in range(20):
            sock.sendall(b"x" * 1000)
            time.sleep(0.03)
        answer = self.read(sock)
        self.assert_picture(answer)
        self.assertEqual(answer.header("X-Read"), "20000")
        sock = self.connect(served)
        sock.sendall(head("GET", f"/told_at_length?{FOLDED}"))
        time.sleep(1.5)
        answer = self.read(sock, MIB // 16, 0.01)
        self.assertGreater(int(answer.header("Content-Length")), MIB)
        self.assertEqual(len(answer.body), int(answer.header("Content-Length")))
        self.assert_alive(served, ordinary)

    def read(self, sock, at_once=MIB, pause=0.0):
        parts = []
        while part := sock.recv(at_once):
            parts.append(part)
            time.sleep(pause)
        return Answer(b"".join(parts))

    def memory(self, served):
        return int(served.get("/memory").body)

    def test_a_gibibyte_sent(self):
        """It is thrown away as it comes: no more memory than for a small one."""
        served = self.serve()
        ordinary = self.plain(served)
        self.assert_picture(served.get(f"/sends?mib=8&{ASK}"))
        before = self.memory(served)
        answer = served.get(f"/sends?mib={GIB_OF_MIB}&{FOLDED}")
        self.assert_profiled(answer, "work")
        self.assertLess(self.memory(served) - before, 16 * 1024)
        self.assert_alive(served, ordinary)

    def test_a_gibibyte_received(self):
        served = self.serve()
        ordinary = self.plain(served)
        sock = self.connect(served)
        sock.sendall(head("GET", f"/receives?{ASK}", GIB_OF_MIB * MIB))
        piece = bytes(MIB)
        for _ in range(GIB_OF_MIB):
            sock.sendall(piece)
        answer = self.read(sock)
        self.assert_picture(answer)
        self.assertEqual(answer.header("X-Read"), str(GIB_OF_MIB * MIB))
        self.assert_alive(served, ordinary)


class Workers(Row):
    def in_the_middle(self, served, what, target=f"/long?{ASK}"):
        """The answer of a profiled request while `what` happens."""
        with concurrent.futures.ThreadPoolExecutor(1) as pool:
            asked = pool.submit(served.get, target)
            time.sleep(0.5)
            what()
            return asked.result()

    def assert_another(self, served, pid, ordinary):
        def another():
            return served.get("/pid").body not in (b"", str(pid).encode())

        self.assertTrue(until(another), served.log()[-2000:])
        self.assertEqual(self.plain(served), ordinary)
        self.assert_profiled(served.get(f"/works?{FOLDED}"), "works", "work")

    def test_killed(self):
        """kill -9: its client has nothing, the next worker profiles as well."""
        served = self.serve()
        ordinary, pid = self.plain(served), self.worker(served)
        answer = self.in_the_middle(served, lambda: os.kill(pid, signal.SIGKILL))
        self.assertEqual(answer.raw, b"")
        self.assert_another(served, pid, ordinary)

    def test_reloaded(self):
        """The request that runs is finished, its picture too; the next worker is new."""
        served = self.serve()
        ordinary, pid = self.plain(served), self.worker(served)
        self.assert_picture(self.in_the_middle(served, lambda: self.reload(served)))
        self.assert_another(served, pid, ordinary)
        self.assert_sound(served)

    def test_taking_too_long(self):
        """harakiri, and gunicorn's timeout: the worker goes, as without us."""
        served = self.serve(timeout=2)
        ordinary, pid = self.plain(served), self.worker(served)
        begun = time.monotonic()
        self.assertNotIn(b" 200 ", served.get(f"/endless?{ASK}").raw[:20])
        self.assertLess(time.monotonic() - begun, 30)
        self.assert_another(served, pid, ordinary)


class ClientsThroughUwsgi(ThroughUwsgi, Clients):
    pass


class ClientsThroughGunicorn(ThroughGunicorn, Clients):
    pass


class WorkersThroughUwsgi(ThroughUwsgi, Workers):
    pass


class WorkersThroughGunicorn(ThroughGunicorn, Workers):
    pass


del Clients, Workers  # they have no door

if __name__ == "__main__":
    unittest.main()
