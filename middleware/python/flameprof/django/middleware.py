"""?flamegraph=1 on any URL of a Django site, for those without a WSGI server to wrap.

It is flameprof.Middleware, whose application is what stands behind it in MIDDLEWARE: who
may, limits, what is kept, pushed or watched is decided there.
"""

import copy

import _flameprof
from django.http import HttpResponse

from .config import Config

VISIT = "flameprof.visit"  # in the environ
# With these the door is made at the start: it is about requests that do not ask, or has
# to remember since when. Else a site that nobody profiles has no file of ours.
FROM_THE_START = ("DIR", "ON_ERROR", "SECRET_FILE", "SLOWER_THAN")


class Whole:
    """A response that is there as a WSGI body: of one part, which is handed on as it is.
    It has no close(): what the response holds open is closed by the answer, after
    Django's own signals, once.
    """

    def __init__(self, response):
        self.parts = response

    def __iter__(self):
        return iter(self.parts)

    def __len__(self):
        return 1


class Streamed:
    """The same of one whose parts are still to be made, and may be looked at."""

    def __init__(self, response):
        self.parts = response.streaming_content

    def __iter__(self):
        return iter(self.parts)


def body_of(response):
    """A file is the server's to send; what is asynchronous is made elsewhere."""
    as_it_is = (
        not response.streaming
        or getattr(response, "is_async", False)
        or getattr(response, "file_to_stream", None) is not None
    )
    return Whole(response) if as_it_is else Streamed(response)


class Visit:
    """A request on its way through the door, and back."""

    def __init__(self, request):
        self.request = request
        asked = _flameprof.asked(request.META.get("QUERY_STRING", ""))
        self._pristine = copy.copy(request) if asked else None
        self._responses = []
        self._status = None
        self._headers = ()

    def respond(self, get_response, start_response):
        """What the application does. Repeated, each run has the request as it came."""
        again = bool(self._responses)
        response = get_response(copy.copy(self._pristine) if again else self.request)
        self._responses.append(response)
        start_response(f"{response.status_code} {response.reason_phrase}", list(response.items()))
        return body_of(response)

    def start_response(self, status, headers, exc_info=None):
        self._status, self._headers = status, headers

    def answer(self, body):
        """What the door answers by itself is a list; else it is the application's."""
        return self._picture(body) if isinstance(body, list) else self._own(body)

    def _own(self, body):
        response = self._responses.pop()  # which shall not be held by what looks at it
        if not isinstance(body, (Whole, Streamed)):
            response.streaming_content = body  # around the parts, which it looks at
        for name, value in self._headers:
            if not response.has_header(name):
                response[name] = value
        return response

    def _picture(self, body):
        answer = HttpResponse(b"".join(body), status=int(self._status[:3]))
        for name, value in self._headers:
            answer[name] = value
        for response in self._responses:
            answer.cookies.update(response.cookies)
            answer._resource_closers.extend(response._resource_closers)
        return answer


class FlameprofMiddleware:
    """Profiles what stands behind it in MIDDLEWARE, and the view.

    The first in the list sees most; behind AuthenticationMiddleware it knows who asks.
    FLAMEPROF_CONFIG["AUTHORIZE"] says who may; by default whoever asks straight from this
    machine. Under ASGI views run on another thread than middleware: they are not seen.
    """

    sync_capable = True
    async_capable = False

    def __init__(self, get_response):
        self.get_response = get_response
        config = Config()
        self._options = config.server()
        authorize = config.authorize()
        if authorize is not None:
            self._options["authorize"] = lambda environ: authorize(environ[VISIT].request)
        self._door = self._make_door() if any(config[key] for key in FROM_THE_START) else None

    def _make_door(self):
        return _flameprof.Middleware(self._application, **self._options)

    def _concerns(self, environ):
        if self._door is None and _flameprof.asked(environ.get("QUERY_STRING", "")):
            self._door = self._make_door()
        return self._door is not None and self._door.concerns(environ)

    def __call__(self, request):
        if not self._concerns(request.META):
            return self.get_response(request)
        visit = Visit(request)
        return visit.answer(self._door({**request.META, VISIT: visit}, visit.start_response))

    def _application(self, environ, start_response):
        return environ[VISIT].respond(self.get_response, start_response)
