import time

from django.conf import settings
from django.http import HttpResponse, JsonResponse, StreamingHttpResponse
from django.shortcuts import render
from django.urls import include, path


def compute(seconds):
    end = time.process_time() + seconds
    while time.process_time() < end:
        pass


def wait(seconds):
    time.sleep(seconds)


def page(request):
    compute(0.1)
    wait(0.1)
    return render(request, "page.html")


def data(request):
    compute(0.05)
    return JsonResponse({"answer": 42})


def cookie(request):
    compute(0.03)
    response = HttpResponse("gone", status=404, reason="Not here")
    response.set_cookie("a", "1")
    response["X-Own"] = "kept"
    return response


def stream(request):
    def parts():
        yield b"a"
        compute(0.03)
        yield b"b"

    return StreamingHttpResponse(parts(), content_type="text/plain")


closed = []


class Parts:
    """A body that is to be closed once."""

    def __iter__(self):
        compute(0.03)
        yield b"part"

    def close(self):
        closed.append(self)


def closing(request):
    return StreamingHttpResponse(Parts(), content_type="text/plain")


def broken(request):
    compute(0.03)
    raise ValueError("no")


urlpatterns = [
    path("", page),
    path("data/", data),
    path("cookie/", cookie),
    path("stream/", stream),
    path("closing/", closing),
    path("broken/", broken),
]
if "debug_toolbar" in settings.INSTALLED_APPS:
    urlpatterns.append(path("__debug__/", include("debug_toolbar.urls")))
