"""The WSGI application, with its database filled."""

import os

from django.core.wsgi import get_wsgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "shop.settings")
application = get_wsgi_application()

from shop import stock  # noqa: E402 (models can be imported only now)

stock.fill_once()
