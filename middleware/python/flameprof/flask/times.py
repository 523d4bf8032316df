"""How long the requests of an application took, by route: bounded."""

import collections
import csv
import datetime
import io
import threading
from typing import NamedTuple

RECORDS = 10_000
ROUTES = 1_000
OTHERS = "(others)"
FORMULAS = tuple("=+-@＝＋－＠")


class Record(NamedTuple):
    user: str  # "": nobody, or the application did not ask who
    endpoint: str  # "": no route
    start: float  # seconds since 1970
    end: float


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
        self._routes = {}
        self._lock = threading.Lock()

    def add(self, user, endpoint, start, seconds):
        """Seconds: as measured by a clock that is not set while it is read."""
        endpoint = endpoint or ""
        with self._lock:
            self._records.append(Record(user, endpoint, start, start + seconds))
            if endpoint not in self._routes and len(self._routes) >= ROUTES:
                endpoint = OTHERS
            sums = self._routes.setdefault(endpoint, [0, 0.0])
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
        for record in records:
            writer.writerow(
                [harmless(record.user), harmless(record.endpoint)]
                + [moment(record.start), moment(record.end)]
            )
        return text.getvalue()


def moment(seconds):
    when = datetime.datetime.fromtimestamp(seconds, datetime.timezone.utc)
    return when.replace(tzinfo=None).isoformat(sep=" ", timespec="microseconds")


def harmless(text):
    """A text that no spreadsheet takes for a formula: people choose their names."""
    return "'" + text if text.strip()[:1] in FORMULAS or text != text.lstrip() else text
