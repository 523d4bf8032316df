from typing import Any, Callable, Dict, Iterable, Literal

Clock = Literal["wall", "cpu", "offcpu", "gil"]

__version__: str
__all__ = ["Middleware", "Session", "__version__"]

class Middleware:
    app: Callable[..., Iterable[bytes]]
    def __init__(
        self,
        app: Callable[..., Iterable[bytes]],
        *,
        interval: float = 0.001,
        allow: Iterable[str] = (),
        max_seconds: float = 60,
    ) -> None: ...
    def __call__(
        self, environ: Dict[str, Any], start_response: Callable[..., Any]
    ) -> Iterable[bytes]: ...

class Session:
    def __init__(
        self,
        *,
        interval: float = 0.001,
        max_seconds: float = 0,
        lines: bool = False,
        threads: bool = False,
        children: bool = False,
    ) -> None: ...
    def start(self) -> None: ...
    def stop(self) -> None: ...
    def folded(self, *, clock: Clock = "wall", **options: Any) -> str: ...
    def svg(
        self,
        *,
        clock: Clock = "wall",
        title: str = ...,
        subtitle: str = ...,
        inverted: bool = False,
        callers: bool = False,
        colours: Literal["origin", "file", "warm"] = "origin",
        width: int = 1200,
        smallest: float = 0.5,
    ) -> str: ...
    def render(
        self,
        format: Literal[
            "svg", "folded", "png", "pdf", "html", "json", "speedscope", "pprof", "gecko"
        ],
        *,
        clock: Clock = "wall",
        title: str = ...,
        subtitle: str = ...,
        inverted: bool = False,
        callers: bool = False,
        colours: Literal["origin", "file", "warm"] = "origin",
        width: int = 1200,
        smallest: float = 0.5,
        scale: float = 2,
    ) -> bytes: ...
    def quality(self) -> Dict[str, int]: ...
