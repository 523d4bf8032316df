"""What the panel's frame and links show: a kept profile, in any format."""

import functools
import os

import _flameprof
from debug_toolbar.decorators import require_show_toolbar
from django.http import HttpResponse, HttpResponseBadRequest, HttpResponseNotFound

from .config import Config

try:
    from django.contrib.auth.decorators import login_not_required
except ImportError:  # before Django 5.1

    def login_not_required(view):
        return view


ENDINGS = {"folded": "folded", "json": "json", "speedscope": "speedscope.json",
           "pprof": "pb.gz", "gecko": "gecko.json"}


@functools.lru_cache(maxsize=None)
def shelf():
    return _flameprof.Shelf(os.fspath(Config()["FOLDER"]))


@login_not_required
@require_show_toolbar
def show(request, profile, format):
    """One of them; the query says how it is drawn, in the words of docs/options.md."""
    options = {**Config().picture(), **request.GET.dict()}
    try:
        headers = _flameprof.headers_of(format)
        data = shelf().render(profile, format, **options)
    except KeyError as error:
        return HttpResponseNotFound(error.args[0], content_type="text/plain")
    except (TypeError, ValueError) as error:
        return HttpResponseBadRequest(f"{error}.", content_type="text/plain")
    except (OSError, RuntimeError) as error:
        return HttpResponse(str(error), status=503, content_type="text/plain")
    response = HttpResponse(data)
    for name, value in headers.items():
        response[name] = value
    # Of the toolbar's own page, which X_FRAME_OPTIONS="DENY" would not let show it.
    response["X-Frame-Options"] = "SAMEORIGIN"
    if format in ENDINGS:
        response["Content-Disposition"] = f'attachment; filename="profile.{ENDINGS[format]}"'
    return response
