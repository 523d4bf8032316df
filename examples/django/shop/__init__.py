"""A small bookshop in Django: the application of `make demo`."""
