"""A state machine that keeps every word it was told."""

from collections.abc import Callable

from api.errors import Code, SwarmError
from api.v1 import raft_pb2


class Words:
    """Words must hold no space. `bad` is refused; the answer to any other is its entry's index."""

    def __init__(self) -> None:
        self.told: list[bytes] = []
        self.locals: list[object] = []
        self.installed = 0

    def apply(self, entry: raft_pb2.Entry, local: object | None) -> object:
        if entry.data == b"bad":
            return SwarmError(Code.REFUSED, "a bad word")
        if entry.data:
            self.told.append(entry.data)
            self.locals.append(local)
        return entry.index

    def capture(self) -> Callable[[], bytes]:
        told = list(self.told)
        return lambda: b" ".join(told)

    def prepare(self, data: bytes) -> Callable[[], None]:
        told = data.split()

        def install() -> None:
            self.told = told
            self.installed += 1

        return install
