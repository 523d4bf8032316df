"""An application for slow clients; see slow_clients.py.

/upload    reads the body as it comes and says in a header what came
/download  a body of DOWNLOAD_BYTES, after a walk through many functions, so that a
           picture of it is large, too
"""

import hashlib
import time

PIECE = bytes(range(256)) * 64
DOWNLOAD_BYTES = 16 * len(PIECE)
ROOMS = 150

# Many functions of one line: a picture's size is the number of its boxes.
for number in range(ROOMS):
    exec(f"def room_with_a_rather_long_name_{number}(): time.sleep(0.002)")
rooms = [globals()[f"room_with_a_rather_long_name_{number}"] for number in range(ROOMS)]


def upload(environ, start_response):
    left = int(environ["CONTENT_LENGTH"])
    digest, length = hashlib.sha256(), 0
    while left > 0:
        piece = environ["wsgi.input"].read(min(left, 8192))
        if not piece:
            break
        digest.update(piece)
        length += len(piece)
        left -= len(piece)
    received = f"{length} {digest.hexdigest()}"
    start_response("200 OK", [("Content-Type", "text/plain"), ("X-Received", received)])
    return [received.encode()]


def download(environ, start_response):
    for room in rooms:
        room()
    start_response(
        "200 OK",
        [("Content-Type", "application/octet-stream"), ("Content-Length", str(DOWNLOAD_BYTES))],
    )
    return (PIECE for _ in range(DOWNLOAD_BYTES // len(PIECE)))


def application(environ, start_response):
    page = {"/upload": upload, "/download": download}.get(environ["PATH_INFO"])
    if page is not None:
        return page(environ, start_response)
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [b"hello"]
