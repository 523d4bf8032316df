"""Flask, with flameprof as a middleware under any WSGI server.

    PYTHONPATH=build/python:examples/flask gunicorn --bind 127.0.0.1:8000 app:app
and open http://127.0.0.1:8000/?flamegraph=1, or http://127.0.0.1:8000/flameprof/ to sample
all requests from start to pause.

Under uWSGI with `--plugin flameprof` the middleware is not needed.
"""

import random
import re
import sqlite3
import time

import flask

app = flask.Flask(__name__)

PAGE = """
<h1>Word counts</h1>
<ul>{% for word, count in counts %}<li>{{ word|title }}: {{ count }}</li>{% endfor %}</ul>
<p>{{ rows|length }} rows, {{ slowest|round(3) }} s for the slow one.</p>
"""


def text():
    dice = random.Random(7)
    return " ".join(dice.choice("spam ham eggs cheese toast beans".split()) for _ in range(60_000))


def count(words):
    counts = {}
    for word in re.findall(r"\w+", words):
        counts[word] = counts.get(word, 0) + 1
    return sorted(counts.items(), key=lambda item: -item[1])


def query():
    """A join that SQLite has to think about."""
    with sqlite3.connect(":memory:") as database:
        database.execute("create table n (a integer, b integer)")
        database.executemany("insert into n values (?, ?)", ((i, i * i % 97) for i in range(900)))
        return database.execute("select l.a from n l, n r where l.b = r.b and l.a < r.a").fetchall()


def slow_service():
    start = time.monotonic()
    time.sleep(0.15)
    return time.monotonic() - start


@app.route("/")
def front():
    return flask.render_template_string(
        PAGE, counts=count(text()), rows=query(), slowest=slow_service()
    )


@app.route("/api")
def api():
    return flask.jsonify(dict(count(text())))


try:
    import flameprof
    import flameprof.flask
except ImportError:
    pass  # under uWSGI the plugin does it
else:
    app.wsgi_app = flameprof.Middleware(app.wsgi_app)
    app.register_blueprint(flameprof.flask.flameprof)
