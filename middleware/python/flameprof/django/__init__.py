"""flameprof for Django: a middleware, and a panel for Django Debug Toolbar.

    INSTALLED_APPS += ["flameprof.django"]
    MIDDLEWARE += ["flameprof.django.FlameprofMiddleware"]           # ?flamegraph=1
    DEBUG_TOOLBAR_PANELS += ["flameprof.django.panel.FlamegraphPanel"]
    FLAMEPROF_CONFIG = {"INTERVAL": 0.0005}
"""

from .middleware import FlameprofMiddleware

__all__ = ["FlameprofMiddleware"]
