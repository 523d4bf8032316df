"""docs/signed-links.md, as somebody would follow it who has nothing else."""

import os
import re
import subprocess
import tempfile
import threading
import unittest
import wsgiref.simple_server

from test_documents import Quiet, blocks, page

PROGRAM = os.environ["FLAMEPROF"]


def site(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [b"a page"]


class SignedLinks(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory(prefix="flameprof-signed-links-")
        self.addCleanup(folder.cleanup)
        self.addCleanup(os.chdir, os.getcwd())
        os.chdir(folder.name)
        os.environ["TMPDIR"] = folder.name
        self.addCleanup(os.environ.pop, "TMPDIR")
        os.symlink(PROGRAM, "flameprof")
        self.blocks = [block.strip() for block in blocks(page("signed-links.md"))]

    def shell(self, command, **more):
        return subprocess.run(
            ["sh", "-c", command], check=True, stdout=subprocess.PIPE, timeout=30,
            env={**os.environ, "PATH": f"{os.getcwd()}:{os.environ['PATH']}", **more}).stdout

    def block(self, beginning):
        found = [block for block in self.blocks if block.startswith(beginning)]
        self.assertEqual(len(found), 1, beginning)
        return found[0]

    def serve(self, application):
        server = wsgiref.simple_server.make_server("127.0.0.1", 0, application,
                                                   handler_class=Quiet)
        self.addCleanup(server.server_close)
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        self.addCleanup(thread.join, 10)
        self.addCleanup(server.shutdown)
        return f"http://127.0.0.1:{server.server_port}"

    def test_the_page(self):
        self.shell(self.block("(umask"))
        names = {"application": site}
        exec("import flameprof\n" + self.block("application ="), names)
        shop = self.serve(names["application"])
        query = self.shell(self.block("flameprof sign")).decode().strip()
        self.assertRegex(query, "^" + re.sub(r"token=.*", r"token=[\\w-]{64}$",
                                             self.block("flamegraph=1&")))

        # Of another name than this machine's, so that the default says no.
        curl = "curl -s -H 'Host: shop.example' "
        self.assertEqual(self.shell(f"{curl} '{shop}/shop/?flamegraph=1'"), b"a page")
        self.assertIn(b"<svg", self.shell(f"{curl} '{shop}/shop/?{query}'"))
        self.assertEqual(self.shell(f"{curl} '{shop}/other/?{query}'"), b"a page")
        commands = self.block("curl").splitlines()
        self.assertEqual(len(commands), 2)
        for command in commands:
            command = command.replace("curl ", curl).replace("https://shop.example", shop)
            token = query.rpartition("=")[2]
            self.assertIn(b"<svg", self.shell(command, TOKEN=token))
            self.assertEqual(self.shell(command, TOKEN=token[::-1]), b"a page")


if __name__ == "__main__":
    unittest.main()
