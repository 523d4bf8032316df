"""The pages."""

import math
import os

import _flameprof
import flask
from flask import Blueprint, Response, current_app, redirect, request, url_for

from . import access, pattern
from .process import PROCESS
from .state import install
from .times import ORDERS

# Of the pages; a picture has its own. No script, nothing from elsewhere, in no frame:
# else a click on another site's page could press a button here.
HEADERS = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": "default-src 'none'; style-src 'self'; form-action 'self'; "
    "base-uri 'none'; frame-ancestors 'none'",
    "Referrer-Policy": "same-origin",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
}
RECORDS_MAX = 10_000


def blueprint(name, url_prefix):
    """A Blueprint of all pages."""
    made = Blueprint(
        name,
        __name__,
        url_prefix=url_prefix,
        template_folder="templates",
        static_folder="static",
    )
    made.record(install)
    made.before_request(access.refusal)
    made.add_url_rule("/", "index", index)
    made.add_url_rule("/index", "index", index)
    made.add_url_rule("/status", "status", status)
    made.add_url_rule("/show_req_times", "show_req_times", show_req_times)
    made.add_url_rule("/graph", "graph", graph)
    for endpoint, change in CHANGES.items():
        made.add_url_rule(f"/{endpoint}", endpoint, change, methods=["GET", "POST"])
    return made


def page(template, status=200, **values):
    token = access.token()
    response = Response(
        flask.render_template(
            f"flameprof/{template}.html",
            process=PROCESS,
            token=token,
            token_field=access.TOKEN,
            wtf_field=current_app.config.get("WTF_CSRF_FIELD_NAME", "csrf_token"),
            **values,
        ),
        status,
        HEADERS,
        mimetype="text/html",
    )
    if request.cookies.get(access.TOKEN) != token:
        response.set_cookie(
            access.TOKEN,
            token,
            path=url_for(".index"),
            secure=request.is_secure,
            httponly=True,
            samesite="Lax",
        )
    return response


def index():
    return page("index")


# ---- what was sampled --------------------------------------------------------------


def status():
    asked = request.args.get("re_filter", ".*")
    try:
        most = number("max_records", "50", 1, RECORDS_MAX)
        seen, stacks = PROCESS.query()
        records = pattern.matching(seen, asked)
    except ValueError as error:
        return access.plain(400, str(error))
    return page(
        "status",
        quality=PROCESS.quality(),
        records=records[:most],
        matching=len(records),
        functions=len(seen),
        stacks=stacks,
        most=most,
        re_filter=asked,
    )


def number(name, default, least, most):
    text = request.args.get(name, default)
    if not (text.isascii() and text.isdigit() and least <= int(text[:20]) <= most):
        raise ValueError(f"{name} takes a number from {least} to {most}")
    return int(text)


def graph():
    """In any format, by any clock."""
    name = request.args.get("format", "svg")
    try:
        headers = _flameprof.headers_of(name)
        snapshot = PROCESS.snapshot()
        if snapshot is None:
            return page("nothing", 404)
        picture = snapshot.render(
            name,
            clock=request.args.get("clock", "wall"),
            title=f"{current_app.name}: all threads of process {os.getpid()}",
            subtitle=PROCESS.family() and f"one worker of server {PROCESS.family()}",
        )
    except ValueError as error:
        return access.plain(400, str(error))
    return Response(picture, 200, headers)


# ---- requests ----------------------------------------------------------------------


def show_req_times():
    times = current_app.extensions["flameprof"].times
    order = request.args.get("sort", "mean")
    try:
        as_csv = number("as_csv", "0", 0, 1)
        if order not in ORDERS:
            raise ValueError(f"sort takes one of {', '.join(ORDERS)}")
    except ValueError as error:
        return access.plain(400, str(error))
    if as_csv:
        headers = {**HEADERS, "Content-Disposition": "attachment; filename=reqs.csv"}
        return Response(times.csv(), 200, headers, mimetype="text/csv")
    rules = {}
    for rule in current_app.url_map.iter_rules():
        rules.setdefault(rule.endpoint, []).append(rule.rule)
    return page("show_req_times", routes=times.routes(order), rules=rules, order=order)


# ---- what changes something: by POST only --------------------------------------------


def change(name, **changes):
    """Do it, if a form of ours asks; a GET has the form."""
    if request.method != "POST":
        return page("change", name=name)
    if access.is_forged():
        return access.plain(403, "This did not come from a form here: reload the page, try again.")
    try:
        PROCESS.turn(**(changes or {"interval": asked_interval()}))
    except ValueError as error:
        return access.plain(400, str(error))
    except RuntimeError as error:
        return access.plain(503, str(error))
    return redirect(url_for(".status"), 303)


def asked_interval():
    try:
        interval = float(request.form.get("interval", ""))
    except ValueError:
        interval = math.nan
    if not (math.isfinite(interval) and interval > 0):
        raise ValueError("interval takes seconds such as 0.01")
    return interval


def unpause():
    return change("unpause", running=True)


def pause():
    return change("pause", running=False)


def set_interval():
    return change("set_interval")


CHANGES = {"start": unpause, "unpause": unpause, "pause": pause, "set_interval": set_interval}
