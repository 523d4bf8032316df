"""What an application has of flameprof: app.extensions["flameprof"]."""

import os
import time

import _flameprof
from flask import g, request, session

from . import config
from .process import PROCESS
from .times import Times

BEGUN = "flameprof.begun"  # in the environ: when the request came


class State:
    """Of one application. Any thread; each process after a fork begins anew."""

    def __init__(self, app):
        self.app = app
        self.quiet_until = 0.0  # for the log of refusals
        self._pid = 0

    # On the path of every request: Flask's proxies are asked once for what they stand for.

    def begin(self, endpoint, values):
        """At each request, before anybody's before_request could answer it."""
        if self._pid != os.getpid():
            self._arrive()
        PROCESS.follow()
        _flameprof.admit()
        environ = request._get_current_object().environ
        environ[BEGUN] = time.time(), time.perf_counter()

    def end(self, error):
        """At the end of each request."""
        asked = request._get_current_object()
        came = asked.environ.get(BEGUN)
        if came is not None and self._pid == os.getpid():
            seconds = time.perf_counter() - came[1]
            user = self._user() if hasattr(self.app, "login_manager") else ""
            self.times.add(user, asked.endpoint or "", came[0], seconds)

    def _arrive(self):
        self.times = Times()
        try:
            options = config.read(self.app.config)
        except ValueError as problem:
            self.app.logger.error("[flameprof] %s", problem)
            options = config.read({})
        PROCESS.arrive(options)
        self._pid = os.getpid()

    def _user(self):
        """Whom the application has asked about; not asked again, that costs a query.

        Else what Flask-Login knows without one, its id.
        """
        try:
            user = getattr(g._get_current_object(), "_login_user", None)
            if user is None:
                return str(session.get("_user_id") or "")
            if not user.is_authenticated:
                return ""
            return str(getattr(user, config.field_of(self.app.config), None) or user.get_id())
        except Exception:  # an application's user can do anything, its request has ended
            return ""


def install(setup):
    """When a blueprint is registered: once for each application, however many of them."""
    config.read(setup.app.config)
    if "flameprof" not in setup.app.extensions:
        state = setup.app.extensions["flameprof"] = State(setup.app)
        # The first that Flask calls, also for requests that a before_request answers.
        setup.app.url_value_preprocessor(state.begin)
        setup.app.teardown_request(state.end)
