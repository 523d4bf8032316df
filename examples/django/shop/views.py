from django.http import HttpResponse
from django.shortcuts import render

from shop import pricing
from shop.models import Book


def front(request):
    """The shop's front page: slow in several ways, so that there is something to see."""
    request.session["visits"] = request.session.get("visits", 0) + 1
    books = list(Book.objects.order_by("title"))
    text = pricing.feed(books)
    similar = pricing.similar_titles(books)
    context = {
        "rates": pricing.exchange_rates(),
        "shelves": [describe(book, similar) for book in books],
        "etag": pricing.fingerprint(text),
        "lucky": pricing.fibonacci(24),
    }
    return render(request, "shop/front.html", context)


def describe(book, similar):
    """One book with its author and reviews: two queries each, the classic N+1."""
    stars = [review.stars for review in book.reviews.all()]
    return {
        "book": book,
        "author": book.author.name,
        "stars": sum(stars) / len(stars),
        "similar": similar.get(book.id, ()),
        "words": book.blurb.split(),
    }


def catalogue(request):
    books = list(Book.objects.order_by("title"))
    return HttpResponse(pricing.feed(books), content_type="application/json")


def broken(request):
    pricing.exchange_rates()
    raise RuntimeError("this page always fails")
