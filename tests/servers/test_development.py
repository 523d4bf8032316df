"""docs/servers.md: the development servers of Werkzeug, Flask and Django, to the letter."""

import subprocess
import sys
import unittest

import page
from served import Serving, need

WERKZEUG = page.Section("Werkzeug and Flask")
DJANGO = page.Section("Django's runserver")

# What a project of one's own would have: a view that does what app.py does.
FLASK = """
import flameprof
from flask import Flask, Response, request
import app as page
{block}
@app.route("/")
def view():
    said = []
    body = page.application(request.environ, lambda status, headers: said.extend(headers))
    return Response(body, headers=said)
"""
URLS = """
from django.http import HttpResponse
from django.urls import path
import app

def view(request):
    said = []
    body = app.application(request.environ, lambda status, headers: said.extend(headers))
    return HttpResponse(b"".join(body), headers=dict(said))

urlpatterns = [path("", view)]
"""


class Development(Serving):
    def edit(self):
        """check() has just written app.py, which is all that these are to be told."""

    def check_two_processes(self, served):
        """At least: Python may start some of its own."""
        self.assertGreaterEqual(len(served.processes()), 2)

    @need("werkzeug")
    def test_werkzeug(self):
        self.write("serve.py", WERKZEUG.blocks("python")[0])
        self.assertEqual(len(WERKZEUG.commands()), 1)
        served = self.serve(WERKZEUG.commands()[0])
        self.check_two_processes(served)
        self.check(served, reload=self.edit)

    @need("flask")
    def test_flask(self):
        self.write("shop.py", FLASK.format(block=WERKZEUG.blocks("python")[1]))
        served = self.serve(f"python3 -m flask --app shop --debug run --port {self.port}")
        self.check_two_processes(served)
        self.check(served, reload=self.edit)

    @need("django")
    def test_django(self):
        subprocess.run([sys.executable, "-m", "django", "startproject", "mysite", "."],
                       cwd=self.folder, check=True, timeout=60)
        wsgi = (self.folder / "mysite" / "wsgi.py").read_text()
        self.write("mysite/wsgi.py", wsgi + DJANGO.blocks("python")[0])
        self.write("mysite/urls.py", URLS)
        self.assertEqual(len(DJANGO.commands()), 1)
        served = self.serve(DJANGO.commands()[0])
        self.check_two_processes(served)
        self.check(served, reload=self.edit)


if __name__ == "__main__":
    unittest.main()
