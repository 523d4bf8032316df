"""What app.config says to flameprof. What makes no sense is an error, not a default."""

import difflib
from typing import NamedTuple, Optional, Tuple

import _flameprof

KEYS = {
    "FLAMEPROF_ALLOW",
    "FLAMEPROF_FULL_PATHS",
    "FLAMEPROF_IDLE",
    "FLAMEPROF_INTERVAL",
    "FLAMEPROF_REDACT",
    "FLAMEPROF_USERNAME_FIELD",
    "FLAMEPROF_USERS",
}


class Config(NamedTuple):
    users: Optional[frozenset]  # None: whoever asks straight from this machine
    field: str  # of Flask-Login's current_user, that is compared with users
    allow: Tuple[str, ...]  # networks that may ask besides this machine
    interval: float  # seconds
    idle: Optional[Tuple[str, ...]]  # None: the sampler's own list
    full_paths: bool  # of files; else from the package or the project on
    redact: Tuple[str, ...]  # patterns of functions that are not shown


def read(config):
    """The Config in app.config. ValueError, with a sentence: it makes no sense."""
    for key in sorted(key for key in config if str(key).startswith("FLAMEPROF_")):
        if key not in KEYS:
            near = difflib.get_close_matches(key, KEYS, 1)
            hint = f"did you mean {near[0]}?" if near else f"there are {', '.join(sorted(KEYS))}"
            raise ValueError(f"{key} is no option of flameprof: {hint}")
    users = users_of(config)
    allow = texts(config, "FLAMEPROF_ALLOW", "networks") or ()
    try:
        _flameprof.allowed({}, allow=allow)
    except ValueError as error:
        raise ValueError(f"FLAMEPROF_ALLOW: {error}") from None
    if allow and users is not None:
        # Either or both? Whoever wrote that may have meant the other.
        raise ValueError("FLAMEPROF_ALLOW is for applications without FLAMEPROF_USERS: use one")
    field = field_of(config)
    idle = texts(config, "FLAMEPROF_IDLE", "places")
    full_paths = config.get("FLAMEPROF_FULL_PATHS", False)
    if not isinstance(full_paths, bool):
        raise ValueError(f"FLAMEPROF_FULL_PATHS takes True or False, not {full_paths!r}")
    redact = texts(config, "FLAMEPROF_REDACT", "functions") or ()
    try:
        _flameprof.Session(redact=redact)
    except ValueError as error:
        raise ValueError(f"FLAMEPROF_REDACT: {error}") from None
    return Config(users, field, allow, interval_of(config), idle, full_paths, redact)


def either(config, name, default):
    """An option by our name or by ox_profile's."""
    ours, theirs = f"FLAMEPROF_{name}", f"OX_PROF_{name}"
    if ours in config and theirs in config:
        raise ValueError(f"{ours} and {theirs} are the same option: use one")
    return config.get(ours, config.get(theirs, default))


def field_of(config):
    field = either(config, "USERNAME_FIELD", "name")
    if not isinstance(field, str) or not field.isidentifier():
        raise ValueError(f"FLAMEPROF_USERNAME_FIELD takes an attribute's name, not {field!r}")
    return field


def users_of(config):
    if "FLAMEPROF_USERS" not in config and "OX_PROF_USERS" not in config:
        return None
    users = either(config, "USERS", None)
    # A str would let in whoever's name is one of its letters.
    if not isinstance(users, (set, frozenset, list, tuple, dict)):
        kind = type(users).__name__
        raise ValueError(f'FLAMEPROF_USERS takes a set of names such as {{"alice"}}, not a {kind}')
    for user in users:
        if isinstance(user, bool) or not isinstance(user, (str, int)) or user == "":
            raise ValueError(f"FLAMEPROF_USERS takes names, not {user!r}")
    return frozenset(users)


def texts(config, key, what):
    """A tuple of str, or None if there is no such option."""
    if key not in config:
        return None
    value = config[key]
    if not isinstance(value, (set, frozenset, list, tuple)) or not all(
        isinstance(text, str) for text in value
    ):
        raise ValueError(f"{key} takes a list of {what}, each a str, not {value!r}")
    return tuple(value)


def interval_of(config):
    interval = config.get("FLAMEPROF_INTERVAL", 0.01)
    if isinstance(interval, bool) or not isinstance(interval, (int, float)):
        raise ValueError(f"FLAMEPROF_INTERVAL takes seconds such as 0.01, not {interval!r}")
    try:
        _flameprof.Session(interval=interval, everybody=True)
    except ValueError as error:
        raise ValueError(f"FLAMEPROF_INTERVAL: {error}") from None
    return float(interval)
