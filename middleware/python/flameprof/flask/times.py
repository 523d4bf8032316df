"""How long the requests of an application took, by route: bounded."""

import collections
import csv
import datetime
import io
import re
import threading
from typing import NamedTuple

RECORDS = 10_000
ROUTES = 1_000
OTHERS = "(others)"
FORMULA = re.compile(r"[\s\x01-\x20\u200b\ufeff]*[=+\-@＝＋－＠]")


class Route(NamedTuple):
    endpoint: str
    hits: int
    total: float  # seconds

    @property
    def mean(self):
        return self.total / self.hits


ORDERS = {
    "mean": lambda route: (-route.mean, route.endpoint),
    "hits": lambda route: (-route.hits, route.endpoint),
    "total": lambda route: (-route.total, route.endpoint),
    "route": lambda route: route.endpoint,
}


class Times:
    """The last RECORDS requests one by one, and all of them by endpoint. Any thread."""

    def __init__(self):
        self._records = collections.deque(maxlen=RECORDS)
        self._routes = {}  # endpoint: [hits, seconds]
        self._lock = threading.Lock()

    def add(self, user, endpoint, start, seconds):
        """user: "" is nobody, or the application did not ask who; endpoint: "" is no route;
        start: since 1970; seconds: by a clock that nobody sets."""
        with self._lock:
            self._records.append((user, endpoint, start, start + seconds))
            sums = self._routes.get(endpoint)
            if sums is None:
                name = endpoint if len(self._routes) < ROUTES else OTHERS
                sums = self._routes.setdefault(name, [0, 0.0])
            sums[0] += 1
            sums[1] += seconds

    def routes(self, order="mean"):
        with self._lock:
            routes = [Route(name, hits, total) for name, (hits, total) in self._routes.items()]
        return sorted(routes, key=ORDERS[order])

    def csv(self):
        """The last requests as text, in ox_profile's columns. Times are UTC."""
        with self._lock:
            records = list(self._records)
        text = io.StringIO(newline="")
        # All in quotes: a spreadsheet may part columns elsewhere than we do.
        writer = csv.writer(text, quoting=csv.QUOTE_ALL)
        writer.writerow(["user", "endpoint", "start_time", "end_time"])
        for user, endpoint, start, end in records:
            writer.writerow([harmless(user), harmless(endpoint), moment(start), moment(end)])
        return text.getvalue()


def moment(seconds):
    when = datetime.datetime.fromtimestamp(seconds, datetime.timezone.utc)
    return when.replace(tzinfo=None).isoformat(sep=" ", timespec="microseconds")


def harmless(text):
    """A text that no spreadsheet takes for a formula: people choose their names. And
    without what Python's csv did not read before 3.11."""
    text = text.replace("\0", "\ufffd")
    return "'" + text if FORMULA.match(text) else text
