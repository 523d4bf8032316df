"""The application: it brings the panel's template, and checks the configuration."""

from django.apps import AppConfig
from django.core import checks

from . import config


class FlameprofConfig(AppConfig):
    name = "flameprof.django"
    label = "flameprof"
    verbose_name = "flameprof"

    def ready(self):
        checks.register(config.check)
