"""What the shop computes itself, each in one of the ways that take time."""

import hashlib
import json
import time
import zlib


def exchange_rates():
    """Asks a slow service: time passes, and no CPU is used."""
    time.sleep(0.12)
    return {"EUR": 1.0, "USD": 1.09, "CHF": 0.94, "GBP": 0.84}


def distance(left, right):
    """How many letters differ (Levenshtein), in plain Python: the slow helper."""
    row = list(range(len(right) + 1))
    for i, a in enumerate(left, 1):
        diagonal, row[0] = row[0], i
        for j, b in enumerate(right, 1):
            cost = min(row[j] + 1, row[j - 1] + 1, diagonal + (a != b))
            diagonal, row[j] = row[j], cost
    return row[-1]


def similar_titles(books, count=3):
    """For the first few books, those whose titles look most alike."""
    return {
        book.id: sorted(books, key=lambda other: distance(book.title, other.title))[1 : count + 1]
        for book in books[:12]
    }


def feed(books):
    """The catalogue as JSON, the indented kind: written by Python, read by C."""
    rows = [
        {
            "id": book.id,
            "title": book.title,
            "cents": book.cents,
            "words": [{"word": word, "letters": len(word)} for word in book.blurb.split()],
        }
        for book in books
    ]
    text = json.dumps(rows, indent=1, sort_keys=True)
    assert len(json.loads(text)) == len(rows)
    return text


def fingerprint(text):
    """A cache key for the feed: time spent in C, below one Python line."""
    packed = zlib.compress(text.encode() * 8, 9)
    return hashlib.sha256(packed * 40).hexdigest()


def fibonacci(n):
    """Recursion, for a tower in the picture."""
    return n if n < 2 else fibonacci(n - 1) + fibonacci(n - 2)
