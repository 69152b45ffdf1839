"""State machines for the simulated group: a hash over all that was applied, and the real store.

Each tells, for every entry that it applied, a number that depends on the entry and on all before
it; the same number on each member, or the members have diverged.
"""

import struct
from collections.abc import Callable
from typing import Protocol
from zlib import crc32

from api.v1 import raft_pb2
from api.v1.raft_pb2 import Entry
from manager.state.machine import StoreMachine
from manager.state.store import Store
from manager.state.watch import WatchHub
from tests.sim.raft.violation import must
from tests.support.builders import node

_STATE = struct.Struct(">QI")


class Machine(Protocol):
    """manager.raft.node.machine.StateMachine, and a sum of its state."""

    def apply(self, entry: Entry, local: object | None) -> object: ...
    def capture(self) -> Callable[[], bytes]: ...
    def prepare(self, data: bytes) -> Callable[[], None]: ...
    def command(self, number: int, size: int) -> bytes:
        """What a client proposes: its operation `number`, some `size` bytes long."""

    def sum(self) -> int:
        """Of the whole state."""


class ChainMachine:
    """Keeps the hash of all commands so far. Refuses to apply one twice or out of order."""

    def __init__(self) -> None:
        self.index = 0
        self.value = 0

    def apply(self, entry: Entry, local: object | None) -> int:
        index = entry.index
        must(index > self.index, "applied once", "entry %d after %d", index, self.index)
        self.index = index
        self.value = crc32(entry.data, self.value ^ (index & 0xFFFFFFFF))
        return self.value

    def capture(self) -> Callable[[], bytes]:
        data = _STATE.pack(self.index, self.value)
        return lambda: data

    def prepare(self, data: bytes) -> Callable[[], None]:
        index, value = _STATE.unpack(data)
        return lambda: self._restore(index, value)

    def _restore(self, index: int, value: int) -> None:
        self.index, self.value = index, value

    def command(self, number: int, size: int) -> bytes:
        return b"%d" % number + b"." * size

    def sum(self) -> int:
        return self.value


class StoreChain(StoreMachine):
    """The real store, with the chain beside it: what it answered to each command goes in too."""

    def __init__(self) -> None:
        self._kept = Store()
        super().__init__(self._kept, WatchHub())
        self._value = 0

    def apply(self, entry: Entry, local: object | None) -> int:  # type: ignore[override]
        applied = super().apply(entry, local)
        answer = repr(applied.results) if applied is not None else ""
        self._value = crc32(entry.data + answer.encode(), self._value ^ entry.index)
        return self._value

    def capture(self) -> Callable[[], bytes]:
        encode, value = super().capture(), self._value
        return lambda: value.to_bytes(4) + encode()

    def prepare(self, data: bytes) -> Callable[[], None]:
        install = super().prepare(data[4:])

        def both() -> None:
            install()
            self._value = int.from_bytes(data[:4])

        return both

    def command(self, number: int, size: int) -> bytes:
        made = node(f"node{number % 40}")
        made.description.hostname = "h" * size
        action = raft_pb2.Change.ACTION_CREATE
        if number % 3 == 2:
            action = raft_pb2.Change.ACTION_DELETE
        change = raft_pb2.Change(action=action)
        change.object.node.CopyFrom(made)
        command = raft_pb2.Command(
            request_id=f"r{number}", batches=[raft_pb2.Batch(changes=[change])]
        )
        return command.SerializeToString()

    def sum(self) -> int:
        return crc32(super().capture()(), self._value)


def new_machine(kind: str) -> Machine:
    """By the name that the settings use."""
    return StoreChain() if kind == "store" else ChainMachine()
