from typing import Any, Callable

class FlameprofMiddleware:
    sync_capable: bool
    async_capable: bool
    get_response: Callable[[Any], Any]
    def __init__(self, get_response: Callable[[Any], Any]) -> None: ...
    def __call__(self, request: Any) -> Any: ...
