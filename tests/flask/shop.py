"""An application for the tests: a shop with slow pages, by a factory. PORT serves it."""

import os
import sys
import threading
import time

import flask
import flask_login

from flameprof.flask import flameprof

# Of a request straight from this machine, as a server would say it.
LOCAL = {"base_url": "http://localhost:5000", "environ_overrides": {"REMOTE_ADDR": "127.0.0.1"}}


def grind(seconds):
    end = time.perf_counter() + seconds
    while time.perf_counter() < end:
        pass


def slow(seconds):
    grind(seconds)
    return "slow"


def in_the_background():
    while True:
        grind(0.05)
        time.sleep(0.02)


class User(flask_login.UserMixin):
    def __init__(self, key):
        self.id, self.name, self.email = key, key.title(), key + "@shop.example"


def create(*blueprints, **config):
    app = flask.Flask(__name__)
    app.config.update(config)
    for blueprint in blueprints or (flameprof,):
        app.register_blueprint(blueprint)
    app.add_url_rule("/quick", "quick", lambda: "quick")
    app.add_url_rule("/pid", "pid", lambda: str(os.getpid()))

    app.add_url_rule("/slow/<float:seconds>", "slow", slow)
    return app


def with_login(*blueprints, **config):
    app = create(*blueprints, SECRET_KEY="not secret", **config)
    manager = flask_login.LoginManager(app)
    app.extensions["loaded"] = []

    @manager.user_loader
    def load(key):
        app.extensions["loaded"].append(key)
        return User(key)

    @app.route("/login/<key>")
    def login(key):
        flask_login.login_user(User(key))
        return "welcome"

    @app.route("/me")
    @flask_login.login_required
    def me():
        return flask_login.current_user.name

    return app


def served():
    """For servers: something is running beside the requests, in each worker."""
    app = create()
    started = set()

    @app.before_request
    def start():
        if os.getpid() not in started:
            started.add(os.getpid())
            threading.Thread(target=in_the_background, daemon=True).start()

    return app


if __name__ == "__main__":
    served().run("127.0.0.1", int(sys.argv[1]), threaded=True)
