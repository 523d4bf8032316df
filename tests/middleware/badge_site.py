"""A site with a badge: pages, what their scripts ask for, and policies."""

import time

import lifted

PAGE = b"""<!doctype html><html><head><title>A page</title><style nonce="n">
button, dialog, div, iframe { display: none !important; color: red !important; }
body > :last-child { color: rgb(0, 128, 0); }</style></head>
<body><h1>A page</h1><p>The last of it.</p></body></html>"""
POLICIES = {
    "/": None,
    "/strict": "default-src 'self'; style-src 'nonce-n'; base-uri 'none'; "
               "require-trusted-types-for 'script'",
    "/nonce": "default-src 'none'; script-src 'nonce-n' 'strict-dynamic'; style-src 'nonce-n'; "
              "frame-src 'self'",
    "/noframe": "default-src 'self'; frame-src 'none'; style-src 'nonce-n'",
}


def compute(seconds=0.03):
    end = time.process_time() + seconds
    while time.process_time() < end:
        pass


def fetched():
    compute()


def site(environ, start_response):
    if environ["PATH_INFO"] not in POLICIES:
        fetched()
        start_response("200 OK", [("Content-Type", "application/json")])
        return [b"{}"]
    compute()
    policy = POLICIES[environ["PATH_INFO"]]
    headers = [("Content-Type", "text/html; charset=utf-8")]
    start_response("200 OK", headers + ([("Content-Security-Policy", policy)] if policy else []))
    return [PAGE]


application = lifted.Middleware(site, panel=True)
