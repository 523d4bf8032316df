"""The setting FLAMEPROF_CONFIG: what it may say, and what is wrong with it."""

import difflib
import os

import _flameprof
from django.conf import settings
from django.core import checks
from django.core.exceptions import ImproperlyConfigured
from django.utils.module_loading import import_string

# The server's options, as flameprof.Middleware has them: key: (default, is it hidden?).
SERVER = {
    keyword.upper(): (default, hidden) for keyword, default, hidden in _flameprof.options()
}
DEFAULTS = {
    **{key: default for key, (default, _) in SERVER.items()},
    "AUTHORIZE": None,  # instead of ALLOW: "is_staff", a callable that takes a request, or its path
    "FOLDER": "",  # where the panel's profiles wait; all workers must reach it
    "LINES": False,  # tell a function's lines apart
    "THREADS": False,  # with the threads that the request starts
    "CHILDREN": False,  # with the greenlets that it starts
    "CLOCK": "wall",  # which time widths are at first
    "COLOURS": "origin",
    "INVERTED": False,
    "CALLERS": False,
}
SESSION = (
    "INTERVAL", "MAX_SECONDS", "LINES", "THREADS", "CHILDREN", "FULL_PATHS", "REDACT",
)
PICTURE = ("CLOCK", "COLOURS", "INVERTED", "CALLERS")
SWITCHES = [key for key, default in DEFAULTS.items() if isinstance(default, bool)]
OURS = "flameprof.django.FlameprofMiddleware"


# They say themselves what they take.
TAKERS = {
    **{
        key: lambda value, key=key: _flameprof.check_options(**{key.lower(): value})
        for key in SERVER
        if key not in SWITCHES
    },
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
        self._values = values_of(getattr(settings, "FLAMEPROF_CONFIG", {}))

    def __getitem__(self, key):
        return self._values[key]

    def session(self):
        """Keywords of _flameprof.Session."""
        return {key.lower(): self[key] for key in SESSION}

    def server(self):
        """Keywords of _flameprof.Middleware."""
        return {"panel_folder": self["FOLDER"], **{key.lower(): self[key] for key in SERVER}}

    def picture(self):
        """Keywords of render()."""
        return {key.lower(): self[key] for key in PICTURE}

    def authorize(self):
        """A callable that takes a request, or None: the rules for this machine decide."""
        return authorize_of(self["AUTHORIZE"])


def values_of(given):
    """All of them; None is a server option that is not given."""
    left = {key for key, value in given.items() if value is None and key in SERVER}
    return {**DEFAULTS, **{key: value for key, value in given.items() if key not in left}}


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
    values = values_of(given)
    found += [
        problem(f"{key}={values[key]!r} is not accepted: it takes True or False.")
        for key in SWITCHES
        if not isinstance(values[key], bool)
    ]
    for key, take in TAKERS.items():
        try:
            take(values[key])
        except (TypeError, ValueError, OverflowError) as error:
            hidden = SERVER.get(key, (None, False))[1]
            shown = key if hidden else f"{key}={values[key]!r}"
            found.append(problem(f"{shown} is not accepted: {error}."))
    return found + problems_of_authorize(values)


def check(app_configs, **options):
    """A system check."""
    return problems() + problems_of_order() + without_effect()


def without_effect():
    """What is said, and does nothing here."""
    given = getattr(settings, "FLAMEPROF_CONFIG", {})
    found = []
    if OURS in settings.MIDDLEWARE:
        if getattr(settings, "ASGI_APPLICATION", None):
            found.append(checks.Warning(
                "Under ASGI FlameprofMiddleware sees no view: it runs on another thread.",
                hint="Serve the site by WSGI where it is to be profiled.",
                id="flameprof.W001",
            ))
    elif isinstance(given, dict):
        found += [
            checks.Warning(
                f"FLAMEPROF_CONFIG: {key} does nothing without FlameprofMiddleware.",
                hint=f"Put {OURS} into MIDDLEWARE.",
                id="flameprof.W002",
            )
            for key in (*SERVER, "AUTHORIZE")
            if key not in SESSION and values_of(given).get(key) != DEFAULTS[key]
        ]
    return found


def problems_of_order():
    """AUTHORIZE="is_staff" wants to know the user."""
    middleware = list(settings.MIDDLEWARE)
    theirs = "django.contrib.auth.middleware.AuthenticationMiddleware"
    given = getattr(settings, "FLAMEPROF_CONFIG", {})
    wanted = isinstance(given, dict) and given.get("AUTHORIZE") == "is_staff"
    if not wanted or OURS not in middleware:
        return []
    if theirs not in middleware[: middleware.index(OURS)]:
        return [problem(
            'AUTHORIZE="is_staff" lets nobody in: the user is not known yet.',
            f"Put {theirs} before {OURS} in MIDDLEWARE.",
        )]
    return []
