from typing import Any, Callable, Iterable, Mapping, Optional

from . import Middleware

def filter_factory(
    global_conf: Optional[Mapping[str, str]], **options: str
) -> Callable[[Callable[..., Iterable[bytes]]], Middleware]: ...
