"""A site with the toolbar; FLAMEPROF_TEST_SETTINGS (JSON) says what else it is."""

import json
import os
import pathlib

import django

HERE = pathlib.Path(__file__).resolve().parent

DEBUG = True
SECRET_KEY = "of a test"
ALLOWED_HOSTS = ["127.0.0.1", "testserver"]
INTERNAL_IPS = ["127.0.0.1"]
ROOT_URLCONF = "urls"
STATIC_URL = "/static/"
USE_TZ = True
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
SESSION_ENGINE = "django.contrib.sessions.backends.signed_cookies"
DATABASES = {"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": ":memory:"}}
INSTALLED_APPS = [
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.staticfiles",
    "debug_toolbar",
    "flameprof.django",
]
MIDDLEWARE = [
    "debug_toolbar.middleware.DebugToolbarMiddleware",
    "policy.PolicyMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "flameprof.django.FlameprofMiddleware",
]
TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "DIRS": [str(HERE / "templates")],
        "APP_DIRS": True,
        "OPTIONS": {"context_processors": ["django.template.context_processors.request"]},
    }
]
DEBUG_TOOLBAR_PANELS = [
    "debug_toolbar.panels.history.HistoryPanel",
    "debug_toolbar.panels.timer.TimerPanel",
    "debug_toolbar.panels.sql.SQLPanel",
    "flameprof.django.panel.FlamegraphPanel",
]
DEBUG_TOOLBAR_CONFIG = {}
POLICY = ""

globals().update(json.loads(os.environ.get("FLAMEPROF_TEST_SETTINGS", "{}")))
if django.VERSION >= (6, 0) and POLICY == "nonce":
    MIDDLEWARE[1] = "django.middleware.csp.ContentSecurityPolicyMiddleware"
    SECURE_CSP = {"default-src": ["'self'"], "script-src": ["'self'", "<CSP_NONCE_SENTINEL>"],
                  "style-src": ["'self'", "<CSP_NONCE_SENTINEL>"]}
