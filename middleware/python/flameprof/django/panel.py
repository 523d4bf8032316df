"""The panel of Django Debug Toolbar: a flame graph of each request.

Off until its box is ticked. The graph is kept where every worker reaches it, and shown
in a frame of its own: the page's scripts, styles and Content-Security-Policy do not meet
the graph's.
"""

import _flameprof
from debug_toolbar.panels import Panel
from django.apps import apps
from django.core import checks
from django.template.loader import render_to_string
from django.urls import path, reverse

from . import views
from .config import Config

FORMATS = ("html", "png", "pdf", "folded", "json", "speedscope", "pprof", "gecko")


class FlamegraphPanel(Panel):
    title = "Flame graph"
    nav_title = "Flame graph"
    template = "flameprof/panel.html"

    def __init__(self, *arguments, **options):
        super().__init__(*arguments, **options)
        self._session = None
        self._problem = None

    @property
    def enabled(self):
        if getattr(self, "from_store", False):
            return super().enabled
        # The toolbar asks many times for each page.
        cookies = self.toolbar.request.COOKIES
        return cookies.get("djdt" + self.panel_id) == "on" and super().enabled

    @property
    def nav_subtitle(self):
        stats = self.get_stats()
        if not stats:
            return ""
        return stats.get("problem") or f"{stats['milliseconds']} ms, {stats['samples']} samples"

    @property
    def content(self):
        stats = dict(self.get_stats())
        if "profile" in stats:
            stats["url"] = address(stats["profile"], "svg")
            stats["formats"] = [(name, address(stats["profile"], name)) for name in FORMATS]
        return render_to_string(self.template, stats)

    @classmethod
    def run_checks(cls):
        if apps.is_installed("flameprof.django"):
            return []
        return [checks.Error(
            "The panel's template cannot be found.",
            hint='Add "flameprof.django" to INSTALLED_APPS.',
            id="flameprof.E002",
        )]

    @classmethod
    def get_urls(cls):
        return [path("flameprof/<str:profile>/<str:format>/", views.show, name="flameprof")]

    def process_request(self, request):
        session = _flameprof.Session(request=True, **Config().session())
        try:
            session.start()
        except RuntimeError as error:
            self._problem = str(error)
            return super().process_request(request)
        try:
            return super().process_request(request)
        finally:
            session.stop()
            self._session = session

    def generate_stats(self, request, response):
        self._embed(request)
        if self._session is None:
            self.record_stats({"problem": self._problem or "The request was not seen."})
            return
        quality = self._session.quality()
        try:
            profile = views.shelf().keep(self._session.render(
                "json",
                title=f"{request.method} {_flameprof.shown_path(request.get_full_path())}"[:1000],
                subtitle=f"{response.status_code} {response.reason_phrase}",
            ))
        except (OSError, RuntimeError) as error:
            self.record_stats({"problem": str(error)})
            return
        self.record_stats({
            "profile": profile,
            "milliseconds": round(quality["duration_ns"] / 1e6),
            "samples": quality["samples"],
            "missed": quality["missed"],
            "nonce": str(getattr(self.toolbar, "csp_nonce", None) or ""),
        })

    def _embed(self, request):
        """Where several processes answer, and each keeps the toolbar's panels for itself,
        the one that is asked for ours is likely another: then the panels go into the page,
        unless the site says RENDER_PANELS itself.
        """
        config = self.toolbar.config
        store = config.get("TOOLBAR_STORE_CLASS", "MemoryStore")
        if (
            config.get("RENDER_PANELS") is None
            and store.endswith("MemoryStore")
            and request.META.get("wsgi.multiprocess", True)
        ):
            config["RENDER_PANELS"] = True


def address(profile, format):
    return reverse("djdt:flameprof", args=[profile, format])
