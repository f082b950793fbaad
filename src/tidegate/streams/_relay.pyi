from collections.abc import Callable

from tidegate.core.steady import Template

TEXT: int
WORD: int
DIGITS: int
SPACES: int
COUNT: int

class Tail:
    file: int
    size: int
    limit: int
    base: int
    weight: int

class Relay:
    seq: int
    events: int
    def __init__(
        self,
        *,
        pattern: Template,
        event: Template,
        frame: Template,
        key: bytes,
        epoch: int,
        seq: int,
        last: int,
        count: int,
        room: int,
        tail: Tail,
        write: Callable[[bytes], object],
        now: Callable[[], float],
        began_ms: int,
        keeps: bool,
    ) -> None: ...
    def data_received(self, data: bytes) -> None: ...
    def take(self, now_ms: int, /) -> tuple[int, int, int, int, float, bytes, bytes, bytes, bytes]: ...
    def close(self) -> None: ...
