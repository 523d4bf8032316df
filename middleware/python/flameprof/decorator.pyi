from typing import Any, Callable, TypeVar, overload

_F = TypeVar("_F", bound=Callable[..., Any])

@overload
def flamegraph(function: _F) -> _F: ...
@overload
def flamegraph(
    function: None = None,
    *,
    open_svg: bool = False,
    open_command: str = ...,
    interval: float = 0.001,
    **options: Any,
) -> Callable[[_F], _F]: ...
