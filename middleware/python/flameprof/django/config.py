"""The setting FLAMEPROF_CONFIG: what it may say, and what is wrong with it."""

import difflib
import os

import _flameprof
from django.conf import settings
from django.core import checks
from django.core.exceptions import ImproperlyConfigured
from django.utils.module_loading import import_string

DEFAULTS = {
    "INTERVAL": 0.001,  # seconds between samples
    "MAX_SECONDS": 60,  # the longest profile
    "LINES": False,  # tell a function's lines apart
    "THREADS": False,  # with the threads that the request starts
    "CHILDREN": False,  # with the greenlets that it starts
    "ALLOW": (),  # networks that may ask for ?flamegraph=1, besides this machine
    "AUTHORIZE": None,  # instead: "is_staff", a callable that takes a request, or its path
    "FOLDER": "",  # where the panel's profiles wait; all workers must reach it
    "CLOCK": "wall",  # which time widths are at first
    "COLOURS": "origin",
    "INVERTED": False,
    "CALLERS": False,
}
SESSION = ("INTERVAL", "MAX_SECONDS", "LINES", "THREADS", "CHILDREN")
PICTURE = ("CLOCK", "COLOURS", "INVERTED", "CALLERS")
SWITCHES = ("LINES", "THREADS", "CHILDREN", "INVERTED", "CALLERS")


# They say themselves what they take.
TAKERS = {
    "INTERVAL": lambda value: _flameprof.Session(interval=value),
    "MAX_SECONDS": lambda value: _flameprof.Middleware(print, max_seconds=value),
    "ALLOW": lambda value: _flameprof.Middleware(print, allow=value),
    "FOLDER": lambda value: _flameprof.Shelf(os.fspath(value)),
    "CLOCK": lambda value: _flameprof.check_picture(clock=value),
    "COLOURS": lambda value: _flameprof.check_picture(colours=value),
}


class Config:
    """FLAMEPROF_CONFIG over its defaults. ImproperlyConfigured: it makes no sense."""

    def __init__(self):
        found = problems()
        if found:
            raise ImproperlyConfigured(" ".join(message.msg for message in found))
        self._values = {**DEFAULTS, **getattr(settings, "FLAMEPROF_CONFIG", {})}

    def __getitem__(self, key):
        return self._values[key]

    def session(self):
        """Keywords of _flameprof.Session."""
        return {key.lower(): self[key] for key in SESSION}

    def picture(self):
        """Keywords of render()."""
        return {key.lower(): self[key] for key in PICTURE}

    def authorize(self):
        """A callable that takes a request, or None: the rules for this machine decide."""
        return authorize_of(self["AUTHORIZE"])


def is_staff(request):
    """Whoever may enter Django's admin site."""
    user = getattr(request, "user", None)
    return user is not None and user.is_active and user.is_staff


def authorize_of(value):
    if value == "is_staff":
        return is_staff
    return import_string(value) if isinstance(value, str) else value


def problem(what, hint=None):
    return checks.Error(f"FLAMEPROF_CONFIG: {what}", hint=hint, id="flameprof.E001")


def unknown(key):
    near = difflib.get_close_matches(str(key).upper(), DEFAULTS, 1)
    hint = f"Did you mean {near[0]!r}? " if near else ""
    return problem(f"{key!r} is no key of it.", f"{hint}It knows {', '.join(DEFAULTS)}.")


def problems_of_authorize(values):
    if values["AUTHORIZE"] is None:
        return []
    if values["ALLOW"]:
        return [problem("ALLOW and AUTHORIZE exclude each other: either decides alone.")]
    try:
        authorize = authorize_of(values["AUTHORIZE"])
    except ImportError as error:
        return [problem(f"AUTHORIZE cannot be imported: {error}.")]
    if not callable(authorize):
        return [problem(
            f"AUTHORIZE={values['AUTHORIZE']!r} is not accepted: it takes \"is_staff\", a "
            "callable that is given the request, or the path of one."
        )]
    return []


def problems():
    """What is wrong with the setting, as messages of Django's checks."""
    given = getattr(settings, "FLAMEPROF_CONFIG", {})
    if not isinstance(given, dict):
        return [problem("it must be a dictionary.")]
    found = [unknown(key) for key in given if key not in DEFAULTS]
    values = {**DEFAULTS, **given}
    found += [
        problem(f"{key}={values[key]!r} is not accepted: it takes True or False.")
        for key in SWITCHES
        if not isinstance(values[key], bool)
    ]
    for key, take in TAKERS.items():
        try:
            take(values[key])
        except (TypeError, ValueError, OverflowError) as error:
            found.append(problem(f"{key}={values[key]!r} is not accepted: {error}."))
    return found + problems_of_authorize(values)


def check(app_configs, **options):
    """A system check."""
    return problems() + problems_of_order()


def problems_of_order():
    """AUTHORIZE="is_staff" wants to know the user."""
    middleware = list(settings.MIDDLEWARE)
    ours = "flameprof.django.FlameprofMiddleware"
    theirs = "django.contrib.auth.middleware.AuthenticationMiddleware"
    given = getattr(settings, "FLAMEPROF_CONFIG", {})
    wanted = isinstance(given, dict) and given.get("AUTHORIZE") == "is_staff"
    if not wanted or ours not in middleware:
        return []
    if theirs not in middleware[: middleware.index(ours)]:
        return [problem(
            'AUTHORIZE="is_staff" lets nobody in: the user is not known yet.',
            f"Put {theirs} before {ours} in MIDDLEWARE.",
        )]
    return []
