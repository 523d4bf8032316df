from typing import Any, Callable, TypeVar, overload

F = TypeVar("F", bound=Callable[..., Any])

@overload
def flamegraph(function: F) -> F: ...
@overload
def flamegraph(
    *,
    open_svg: bool = False,
    open_command: str = ...,
    interval: float = 0.001,
    **options: Any,
) -> Callable[[F], F]: ...
