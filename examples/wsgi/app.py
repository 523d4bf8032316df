"""Plain WSGI, with flameprof as a middleware where no uWSGI is at hand.

Run it under the standard library's server, after `make`:
    PYTHONPATH=build/python python3 examples/wsgi/app.py
and open http://127.0.0.1:8000/?flamegraph=1
"""

import json
import time
import wsgiref.simple_server
import zlib


def primes(limit):
    found = []
    for number in range(2, limit):
        if all(number % prime for prime in found if prime * prime <= number):
            found.append(number)
    return found


def wait_for_a_friend():
    time.sleep(0.1)


def packed(numbers):
    return zlib.compress(json.dumps(numbers, indent=1).encode() * 20, 9)


def application(environ, start_response):
    numbers = primes(20000)
    wait_for_a_friend()
    size = len(packed(numbers))
    start_response("200 OK", [("Content-Type", "text/plain; charset=utf-8")])
    # A generator's time is part of the profile, too.
    return (f"{number} of {size}\n".encode() for number in numbers)


if __name__ == "__main__":
    import flameprof

    app = flameprof.Middleware(application)
    with wsgiref.simple_server.make_server("127.0.0.1", 8000, app) as server:
        server.serve_forever()
