"""Who may see the pages, and whether a form is theirs."""

import hmac
import secrets
import time
from urllib.parse import urlsplit

import _flameprof
from flask import Response, current_app, request

from . import config

TOKEN = "flameprof_token"  # the cookie and the field of each form


def plain(status, sentence):
    return Response(
        sentence + "\n",
        status,
        {"Cache-Control": "no-store", "X-Content-Type-Options": "nosniff"},
        mimetype="text/plain",
    )


def refusal():
    """None, or the answer for somebody who may not: it does not say why, the log does."""
    try:
        options = config.read(current_app.config)
        status, reason = status_of(options)
    except ValueError as error:
        current_app.logger.error("[flameprof] %s", error)
        return plain(500, "flameprof's configuration makes no sense; the log says why.")
    if status == 200:
        return None
    complain(reason)
    return plain(status, "Unauthorized" if status == 401 else "Forbidden")


def status_of(options):
    """200, 401 or 403, and why."""
    if options.users is None:
        if _flameprof.allowed(environ_as_it_came(), allow=options.allow):
            return 200, ""
        return 403, (
            "it does not come straight from this machine; FLAMEPROF_USERS says who may "
            "by login, FLAMEPROF_ALLOW from which networks"
        )
    if getattr(current_app, "login_manager", None) is None:
        raise ValueError("FLAMEPROF_USERS needs Flask-Login, and this app has no LoginManager")
    from flask_login import current_user

    if not current_user.is_authenticated:
        return 401, "nobody is logged in"
    name = getattr(current_user, options.field, None)
    if isinstance(name, (str, int)) and not isinstance(name, bool) and name in options.users:
        return 200, ""
    if name is None:
        return 403, f"the user has no {options.field!r}: see FLAMEPROF_USERNAME_FIELD"
    return 403, f"the user's {options.field} is not in FLAMEPROF_USERS"


def environ_as_it_came():
    """As the server made it: ProxyFix writes there what a client has sent."""
    came = request.environ.get("werkzeug.proxy_fix.orig", {})
    return {**request.environ, **{key: value for key, value in came.items() if value}}


def complain(reason):
    """Once a minute at most: anybody can ask."""
    state = current_app.extensions["flameprof"]
    now = time.monotonic()
    if now >= state.quiet_until:
        state.quiet_until = now + 60
        current_app.logger.warning("[flameprof] refused %s: %s", request.remote_addr, reason)


# Another site's page can make a browser send a form here, with its cookies, or from
# this very machine, where none is needed. It cannot:
#
# - lie about Sec-Fetch-Site, which browsers send to https and to localhost,
# - lie about Origin, which they send with every POST; what sends neither is no
#   browser of today,
# - read or set our cookie, so it cannot repeat it in a field.
#
# None of that needs a session, and so no SECRET_KEY. Where Sec-Fetch-Site is sent it
# decides alone: behind a proxy that rewrites Host an honest Origin would not match.
# Flask-WTF's own token, where it protects the whole application, is in the forms, too.


def is_forged():
    site = request.headers.get("Sec-Fetch-Site")
    origin = request.headers.get("Origin")
    if site is not None and site != "same-origin":
        return True
    if site is None and origin is not None and urlsplit(origin).netloc != request.host:
        return True
    cookie = request.cookies.get(TOKEN, "").encode()
    field = request.form.get(TOKEN, "").encode()
    return not cookie or not hmac.compare_digest(cookie, field)


def token():
    """What the forms repeat: the browser's, or a new one."""
    return request.cookies.get(TOKEN) or secrets.token_urlsafe(16)
