from .middleware import FlameprofMiddleware as FlameprofMiddleware

__all__ = ["FlameprofMiddleware"]
