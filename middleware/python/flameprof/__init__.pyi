import os
from typing import Any, Callable, Dict, Iterable, List, Literal, Optional, Sequence, Tuple, Union, final

from .decorator import flamegraph as flamegraph
from .profiler import Profiler as Profiler, Row as Row, profile as profile

_Clock = Literal["wall", "cpu", "offcpu", "gil"]
_Format = Literal["svg", "folded", "png", "pdf", "html", "json", "speedscope", "pprof", "gecko"]

_Idle = Union[None, bool, Sequence[str]]

__version__: str
IDLE: Tuple[str, ...]
__all__ = [
    "IDLE",
    "Middleware",
    "Profiler",
    "Row",
    "Session",
    "__version__",
    "admit",
    "flamegraph",
    "profile",
    "stats",
]

def admit() -> None: ...
def load_ipython_extension(shell: Any) -> None: ...
def unload_ipython_extension(shell: Any) -> None: ...
def stats() -> Dict[str, int]: ...

@final
class Middleware:
    app: Callable[..., Iterable[bytes]]
    def __init__(
        self,
        app: Callable[..., Iterable[bytes]],
        *,
        interval: float = 0.001,
        allow: Iterable[str] = (),
        max_seconds: float = 60,
        authorize: Optional[Callable[[Dict[str, Any]], object]] = None,
        panel: bool = False,
        panel_folder: str = "",
        dir: Optional[str] = None,
        dir_profiles: int = 1000,
        dir_bytes: int = 268435456,
        url: str = "/_flameprof/",
        unsafe_methods: bool = False,
        at_once: int = 4,
        worker_at_once: int = 2,
        per_minute: int = 60,
        min_interval: float = 0.0001,
        max_profile_bytes: int = 100663296,
        max_picture_bytes: int = 33554432,
        trusted_proxies: Iterable[str] = (),
        secret_file: Iterable[Union[str, os.PathLike[str]]] = (),
        off_file: Optional[str] = None,
        full_paths: bool = False,
        redact: Iterable[str] = (),
        push: Optional[str] = None,
        push_service: str = "flameprof",
        push_credentials: Union[None, str, os.PathLike[str]] = None,
        slower_than: Optional[float] = None,
        on_error: bool = False,
        slow_interval: float = 0.02,
        slow_per_minute: int = 30,
    ) -> None: ...
    def __call__(
        self, environ: Dict[str, Any], start_response: Callable[..., Any]
    ) -> Iterable[bytes]: ...
    def concerns(self, environ: Dict[str, Any], /) -> bool: ...

@final
class Session:
    def __init__(
        self,
        *,
        interval: float = 0.001,
        max_seconds: float = 0,
        lines: bool = False,
        threads: bool = False,
        children: bool = False,
        everybody: bool = False,
        full_paths: bool = True,
        redact: Sequence[str] = (),
        sources: Dict[str, str] = ...,
        request: bool = False,
    ) -> None: ...
    def start(self) -> None: ...
    def stop(self) -> None: ...
    def pause(self) -> None: ...
    def resume(self) -> None: ...
    def merge(self, other: Session, /) -> None: ...
    def snapshot(self) -> Session: ...
    def functions(
        self,
        *,
        clock: _Clock = "wall",
        idle: _Idle = None,
        name: Optional[Callable[[str, str, int], str]] = None,
    ) -> List[Tuple[str, str, int, int, int, int, int]]: ...
    def tally(self, *, clock: _Clock = "wall", idle: _Idle = None) -> Dict[str, int]: ...
    def folded(self, *, clock: _Clock = "wall", **options: Any) -> str: ...
    def svg(
        self,
        *,
        clock: _Clock = "wall",
        title: str = ...,
        subtitle: str = ...,
        inverted: bool = False,
        callers: bool = False,
        colours: Literal["origin", "file", "warm"] = "origin",
        width: int = 1200,
        smallest: float = 0.5,
        idle: _Idle = None,
    ) -> str: ...
    def render(
        self,
        format: _Format,
        *,
        clock: _Clock = "wall",
        title: str = ...,
        subtitle: str = ...,
        inverted: bool = False,
        callers: bool = False,
        colours: Literal["origin", "file", "warm"] = "origin",
        width: int = 1200,
        smallest: float = 0.5,
        scale: float = 2,
        idle: _Idle = None,
    ) -> bytes: ...
    def quality(self) -> Dict[str, int]: ...
