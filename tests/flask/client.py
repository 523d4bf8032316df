"""What a browser does with the pages, without one."""

import re

import shop

from flameprof.flask.process import PROCESS


class Client:
    """Of an application, straight from this machine; keeps cookies."""

    def __init__(self, app, **environ):
        self.client = app.test_client()
        self.options = {
            "base_url": shop.LOCAL["base_url"],
            "environ_overrides": {"REMOTE_ADDR": "127.0.0.1", **environ},
        }

    def get(self, path, **options):
        return self.client.get(path, **{**self.options, **options})

    def token(self, page="/flameprof/status"):
        text = self.get(page).get_data(as_text=True)
        return re.search('name="flameprof_token" value="([^"]+)"', text).group(1)

    def post(self, path, data=None, **options):
        return self.client.post(path, data=data, **{**self.options, **options})

    def press(self, name, prefix="/flameprof", **fields):
        """A button of the status page."""
        token = self.token(prefix + "/status")
        return self.post(f"{prefix}/{name}", {"flameprof_token": token, **fields})


def pause():
    """The process's sampler, after a test."""
    if PROCESS.pid:
        PROCESS.turn(running=False)
