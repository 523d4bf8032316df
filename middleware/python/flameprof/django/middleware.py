"""?flamegraph=1 on any URL of a Django site, for those without a WSGI server to wrap."""

import copy

import _flameprof
from django.http import HttpResponse

from .config import Config


class Body:
    """A response as a WSGI body. It has no close(): what the response holds open is
    closed by the answer, after Django's own signals, once.
    """

    def __init__(self, response):
        self.response = response

    def __iter__(self):
        return iter(self.response)


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
        self._authorize = config.authorize()
        self._options = {
            "interval": config["INTERVAL"],
            "max_seconds": config["MAX_SECONDS"],
            "allow": config["ALLOW"],
        }

    def __call__(self, request):
        if not _flameprof.asked(request.META.get("QUERY_STRING", "")):
            return self.get_response(request)
        return self._profiled(request)

    def _profiled(self, request):
        """The picture, or what there would have been if nothing had been asked."""
        pristine = copy.copy(request)
        responses = []
        answer = HttpResponse()

        def application(environ, start_response):
            # Repeated, each run has the request as it came.
            response = self.get_response(copy.copy(pristine) if responses else request)
            responses.append(response)
            start_response(f"{response.status_code} {response.reason_phrase}",
                           list(response.items()))
            return Body(response)

        def start_response(status, headers):
            answer.status_code = int(status[:3])
            for name, value in headers:
                answer[name] = value

        options = dict(self._options)
        if self._authorize is not None:
            options["authorize"] = lambda environ: self._authorize(request)
        body = _flameprof.Middleware(application, **options)(request.META, start_response)
        if isinstance(body, Body):
            return body.response
        answer.content = b"".join(body)
        for response in responses:
            answer.cookies.update(response.cookies)
            answer._resource_closers.extend(response._resource_closers)
        return answer
