"""A server that takes profiles as Grafana Pyroscope's POST /ingest does, and strictly: what
is not as its sources read it is answered with 400, and remembered as a complaint."""

import gzip
import http.server
import re
import ssl
import threading
import time
import urllib.parse

SERVICE = re.compile(r"[-./_a-zA-Z0-9]+")
KEY = re.compile(r"[_.a-zA-Z0-9]+")
PARAMETERS = {"name", "from", "until", "format", "spyName"}


def labels_of(name):
    """{"": service, key: value} of `service{key=value,key=value}`."""
    service, brace, rest = name.partition("{")
    if not SERVICE.fullmatch(service) or not brace or not rest.endswith("}"):
        raise ValueError(f"no name with labels: {name!r}")
    labels = {"": service}
    for pair in rest[:-1].split(","):
        key, equals, value = pair.partition("=")
        if not equals or not KEY.fullmatch(key) or key in labels or "}" in value or not value:
            raise ValueError(f"no label: {pair!r}")
        labels[key] = value
    return labels


def varint(data, at):
    value = shift = 0
    while True:
        byte = data[at]
        at += 1
        value |= (byte & 0x7F) << shift
        shift += 7
        if byte < 0x80:
            return value, at
        if shift > 63:
            raise ValueError("a number is too long")


def fields(data):
    """(number, value) of a protobuf message; bytes, or an int."""
    at = 0
    while at < len(data):
        key, at = varint(data, at)
        if key & 7 == 0:
            value, at = varint(data, at)
        elif key & 7 == 2:
            length, at = varint(data, at)
            value, at = data[at:at + length], at + length
            if len(value) != length:
                raise ValueError("a field is cut off")
        else:
            raise ValueError(f"wire type {key & 7}")
        yield key >> 3, value


def numbers(message, number):
    """A repeated number, packed or not."""
    found = []
    for key, value in fields(message):
        if key == number and isinstance(value, int):
            found.append(value)
        elif key == number:
            at = 0
            while at < len(value):
                one, at = varint(value, at)
                found.append(one)
    return found


class Pprof:
    """A profile with everything that its parts refer to, or ValueError."""

    def __init__(self, data):
        if data[:2] != b"\x1f\x8b":
            raise ValueError("not gzipped")
        profile = list(fields(gzip.decompress(data)))
        self.strings = [value.decode() for key, value in profile if key == 6]
        if not self.strings or self.strings[0]:
            raise ValueError("the first string is not empty")
        self.types = [self.text(value, 1) for key, value in profile if key == 1]
        mappings = {self.number(value, 1) for key, value in profile if key == 3}
        self.functions = {self.number(value, 1): (self.text(value, 2), self.text(value, 4))
                          for key, value in profile if key == 5}
        locations = {}
        for value in (value for key, value in profile if key == 4):
            lines = [self.number(line, 1) for key, line in fields(value) if key == 4]
            if not set(lines) <= set(self.functions):
                raise ValueError("a location has a function that is not there")
            if self.number(value, 2) not in mappings | {0}:
                raise ValueError("a location has a mapping that is not there")
            locations[self.number(value, 1)] = lines
        self.samples = 0
        for value in (value for key, value in profile if key == 2):
            if not set(numbers(value, 1)) <= set(locations):
                raise ValueError("a sample has a location that is not there")
            if len(numbers(value, 2)) != len(self.types):
                raise ValueError("a sample has too few or too many values")
            self.samples += 1
        if not self.samples or 0 in self.functions or 0 in locations:
            raise ValueError("no samples, or a number 0")

    @staticmethod
    def number(message, number):
        return next((value for key, value in fields(message) if key == number), 0)

    def text(self, message, number):
        return self.strings[self.number(message, number)]


class Server:
    """`answers`: statuses, or functions of the handler, for the first requests; then 200.
    delay: seconds before each answer. A context manager."""

    def __init__(self, answers=(), certificate=None, delay=0):
        self.answers = list(answers)
        self.delay = delay
        self.got = []  # (labels, Pprof, headers, parameters)
        self.complaints = []
        self.times = []
        outer = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_POST(self):
                outer.take(self)

            def log_message(self, *arguments):
                pass

        self.http = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.http.daemon_threads = True
        self.scheme = "http"
        if certificate:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(certificate)
            self.http.socket = context.wrap_socket(self.http.socket, server_side=True)
            self.scheme = "https"
        self.port = self.http.server_port
        self.url = f"{self.scheme}://127.0.0.1:{self.port}"
        threading.Thread(target=self.http.serve_forever, daemon=True).start()

    def __enter__(self):
        return self

    def __exit__(self, *exception):
        self.http.shutdown()
        self.http.server_close()

    def take(self, handler):
        self.times.append(time.monotonic())
        body = handler.rfile.read(int(handler.headers["Content-Length"]))
        answer = self.answers.pop(0) if self.answers else 200
        time.sleep(self.delay)
        if callable(answer):
            answer(handler)
            return
        if answer == 200:
            try:
                self.got.append(self.read(handler, body))
            except (ValueError, IndexError, KeyError, OSError) as error:
                self.complaints.append(f"{error}: {handler.path}")
                answer = 400
        handler.send_response(answer)
        handler.send_header("Content-Length", "0")
        handler.end_headers()

    @staticmethod
    def read(handler, body):
        address = urllib.parse.urlsplit(handler.path)
        if address.path != "/ingest":
            raise ValueError("not /ingest")
        query = urllib.parse.parse_qs(address.query, strict_parsing=True)
        if set(query) != PARAMETERS or any(len(values) != 1 for values in query.values()):
            raise ValueError("parameters")
        query = {key: values[0] for key, values in query.items()}
        if query["format"] != "pprof" or "multipart" in handler.headers["Content-Type"]:
            raise ValueError("format")
        begun, ended = int(query["from"]), int(query["until"])
        if not (len(query["from"]) == 10 and time.time() - 3600 < begun < ended < time.time() + 60):
            raise ValueError("from, until")
        return labels_of(query["name"]), Pprof(body), handler.headers, query

    def wait(self, count, seconds=15):
        end = time.monotonic() + seconds
        while len(self.got) < count and not self.complaints and time.monotonic() < end:
            time.sleep(0.02)
        if self.complaints or len(self.got) < count:
            raise AssertionError(f"{len(self.got)} of {count} arrived; {self.complaints}")
        return self.got
