"""Fills the database, the same way each time."""

import fcntl
import pathlib
import random

from django.conf import settings
from django.db import connection, transaction

from shop.models import Author, Book, Review

FIRST = "Ada Barbara Donald Edsger Frances Grace Kathleen Margaret Radia Tim".split()
LAST = "Lovelace Liskov Knuth Dijkstra Allen Hopper Booth Hamilton Perlman Berners".split()
WORDS = """ash bell cliff dune ember fern glass harbour iron juniper kelp lantern moss
north orchard pebble quarry river salt thorn umber vale willow yarrow""".split()

BOOKS = 200
REVIEWS_PER_BOOK = 4


def fill_once():
    """Creates and fills the tables unless that has been done."""
    path = pathlib.Path(settings.DATABASES["default"]["NAME"])
    path.parent.mkdir(parents=True, exist_ok=True)
    # Several workers may come here at once (--lazy-apps).
    with open(path.with_suffix(".lock"), "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not connection.introspection.table_names():
            _create()
    connection.close()  # the connection must not go through a fork


def _create():
    dice = random.Random(1)
    with connection.schema_editor() as editor:
        for model in (Author, Book, Review):
            editor.create_model(model)
    with transaction.atomic():
        for first, last in zip(FIRST, LAST):
            Author.objects.create(name=f"{first} {last}")
        authors = list(Author.objects.order_by("id"))
        for _ in range(BOOKS):
            book = Book.objects.create(
                title=" ".join(dice.sample(WORDS, 3)).capitalize(),
                author=dice.choice(authors),
                cents=dice.randrange(500, 4000),
                blurb=" ".join(dice.choice(WORDS) for _ in range(60)),
            )
            Review.objects.bulk_create(
                Review(
                    book=book,
                    stars=dice.randint(1, 5),
                    text=" ".join(dice.choice(WORDS) for _ in range(12)),
                )
                for _ in range(REVIEWS_PER_BOOK)
            )
