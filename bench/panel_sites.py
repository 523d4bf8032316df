"""Small sites with and without what flameprof puts into their pages, for panels.py.

As a script, a loop of calls in plain Python; getppid() is where callgrind ends one
count and begins the next:

    panel_sites.py SITE CALLS
"""

import gc
import os
import sys

gc.disable()  # a collection now and then is the heap's cost, not a request's

PAGE = "<!doctype html><html><head><title>A</title></head><body>" + "<p>A line.</p>" * 200 + "</body></html>"
BROWSER = {
    "REQUEST_METHOD": "GET", "PATH_INFO": "/", "QUERY_STRING": "page=2", "SERVER_NAME": "site",
    "SERVER_PORT": "80", "SERVER_PROTOCOL": "HTTP/1.1", "HTTP_HOST": "site.example",
    "REMOTE_ADDR": "192.0.2.1", "HTTP_ACCEPT": "text/html,application/xhtml+xml",
    "HTTP_SEC_FETCH_DEST": "document", "HTTP_SEC_FETCH_SITE": "none", "HTTP_COOKIE": "session=abc",
    "wsgi.url_scheme": "http", "wsgi.multiprocess": False, "wsgi.multithread": True,
    "wsgi.run_once": False, "wsgi.version": (1, 0), "wsgi.errors": sys.stderr,
}


def wsgi(panel):
    body = PAGE.encode()

    def application(environ, start_response):
        start_response("200 OK", [("Content-Type", "text/html")])
        return [body]

    import flameprof

    return flameprof.Middleware(
        application, panel=panel, at_once=256, worker_at_once=64, per_minute=1000000
    )


def django(panel=None, middleware=False, shown=True):
    from django.conf import settings
    from django.core.wsgi import get_wsgi_application
    from django.http import HttpResponse
    from django.urls import include, path

    settings.configure(
        DEBUG=True, SECRET_KEY="x", ALLOWED_HOSTS=["*"], ROOT_URLCONF=__name__,
        STATIC_URL="/static/", USE_TZ=True,
        INTERNAL_IPS=["192.0.2.1"] if shown else [],
        INSTALLED_APPS=["django.contrib.staticfiles", "debug_toolbar", "flameprof.django"],
        MIDDLEWARE=["debug_toolbar.middleware.DebugToolbarMiddleware",
                    "django.middleware.common.CommonMiddleware",
                    *(["flameprof.django.FlameprofMiddleware"] if middleware else [])],
        DEBUG_TOOLBAR_PANELS=["debug_toolbar.panels.timer.TimerPanel",
                              "debug_toolbar.panels.headers.HeadersPanel",
                              *([panel] if panel else [])],
        TEMPLATES=[{"BACKEND": "django.template.backends.django.DjangoTemplates",
                    "APP_DIRS": True}],
    )
    application = get_wsgi_application()
    globals()["urlpatterns"] = [
        path("", lambda request: HttpResponse(PAGE)),
        path("__debug__/", include("debug_toolbar.urls")),
    ]
    return application


def __getattr__(name):
    """Nothing: a panel as small as one can be, switched off."""
    if name != "Nothing":
        raise AttributeError(name)
    from debug_toolbar.panels import Panel

    class Nothing(Panel):
        title = "Nothing"
        template = "flameprof/panel.html"
        enabled = False

    return Nothing


def flask(pages):
    from flask import Flask

    app = Flask(__name__)
    app.add_url_rule("/", view_func=lambda: PAGE)
    if pages:
        from flameprof.flask import flameprof

        app.register_blueprint(flameprof)
    return app


OURS = "flameprof.django.panel.FlamegraphPanel"
SITES = {
    "wsgi": lambda: wsgi(False),
    "wsgi+panel": lambda: wsgi(True),
    "django": lambda: django(shown=False),
    "django+panel": lambda: django(shown=False, panel=OURS),
    "django+middleware": lambda: django(shown=False, middleware=True),
    "toolbar": lambda: django(panel=f"{__name__}.Nothing"),
    "toolbar+panel": lambda: django(panel=OURS),
    "flask": lambda: flask(False),
    "flask+pages": lambda: flask(True),
}


def call(app, count):
    for _ in range(count):
        answer = app({**BROWSER, "wsgi.input": None}, lambda status, headers, exc_info=None: None)
        for _part in answer:
            pass
        if hasattr(answer, "close"):
            answer.close()


if __name__ == "__main__":
    site = SITES[sys.argv[1]]()
    calls = int(sys.argv[2])
    call(site, 50)
    os.getppid()
    call(site, 0)
    os.getppid()
    call(site, calls)
    os.getppid()
