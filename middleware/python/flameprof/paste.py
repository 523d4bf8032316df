"""A WSGI filter for PasteDeploy's ini files, by which Zope, Plone and Pyramid are served.

    [filter:flameprof]
    use = egg:uwsgi-flameprof#main
    interval = 0.0005

Each option of flameprof.Middleware is a key.
"""

import difflib
import functools
import importlib

import _flameprof

SERVER = {keyword: default for keyword, default, _ in _flameprof.options()}
DEFAULTS = {**SERVER, "authorize": None, "panel": False, "panel_folder": ""}
FLAGS = {
    **dict.fromkeys(("true", "yes", "on", "1"), True),
    **dict.fromkeys(("false", "no", "off", "0"), False),
}


def filter_factory(global_conf, **options):
    """PasteDeploy's entry point: what takes an application and wraps it.

    options: a section's keys, as text; global_conf is not looked at. ValueError, with a
    sentence: an option makes no sense.
    """
    try:
        keywords = {key: value_of(key, text.strip()) for key, text in options.items()}
        _flameprof.check_options(**{key: keywords[key] for key in keywords if key in SERVER})
    except (TypeError, ValueError) as error:
        raise ValueError(f"flameprof: {error}") from None
    return functools.partial(_flameprof.Middleware, **keywords)


def value_of(key, text):
    """What flameprof.Middleware takes for a key's text. ValueError: nothing."""
    if key not in DEFAULTS:
        near = difflib.get_close_matches(key, DEFAULTS, 1)
        hint = f"did you mean {near[0]}?" if near else f"there are {', '.join(sorted(DEFAULTS))}"
        raise ValueError(f"there is no option {key!r}: {hint}")
    if isinstance(DEFAULTS[key], bool):
        return flag_of(key, text)
    if isinstance(DEFAULTS[key], tuple):  # patterns and paths may have blanks and commas
        return [line.strip() for line in text.splitlines() if line.strip()]
    if key == "authorize":
        return callable_of(text)
    return _flameprof.option_of_text(key, text) if key in SERVER else text


def flag_of(key, text):
    if text.lower() not in FLAGS:
        raise ValueError(f"{key}: {text!r} is not true or false")
    return FLAGS[text.lower()]


def callable_of(text):
    """What "module:callable" names."""
    module, _, name = text.partition(":")
    try:
        found = getattr(importlib.import_module(module), name)
    except (AttributeError, ImportError, ValueError) as error:
        raise ValueError(f'authorize: {text!r} is no "module:callable": {error}') from None
    if not callable(found):
        raise ValueError(f"authorize: {text!r} is not callable")
    return found
