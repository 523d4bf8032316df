"""A middleware that sets the Content-Security-Policy of the settings."""

from django.conf import settings


class PolicyMiddleware:
    def __init__(self, get_response):
        self.get_response = get_response

    def __call__(self, request):
        response = self.get_response(request)
        if settings.POLICY and "Content-Security-Policy" not in response:
            response["Content-Security-Policy"] = settings.POLICY
        return response
