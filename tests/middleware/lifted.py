"""A Middleware without the limits that hold a small machine safe: tests ask for many."""

import functools

import flameprof

LIMITS = {
    "at_once": 256,
    "worker_at_once": 64,
    "per_minute": 1000000,
    "min_interval": 0.00005,
}
Middleware = functools.partial(flameprof.Middleware, **LIMITS)
