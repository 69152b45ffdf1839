"""The store as the state machine of the log, and the Proposer that writes through a log.

Decodes commands, applies them and tells watchers. Decides nothing.
"""

from collections.abc import Callable, Sequence
from typing import Protocol

from api.times import timestamp
from api.v1 import raft_pb2
from manager.state.changes import Applied, Batch, decode, encode
from manager.state.store import Store
from manager.state.watch import WatchHub


class Log(Protocol):
    """What the proposer needs of a log; manager.raft.solo.Solo is one."""

    async def append(self, data: bytes, local: object | None = None) -> object:
        """Makes `data` an entry; the state machine's answer once it is committed and applied."""


class StoreMachine:
    """Fulfils manager.raft.machine.StateMachine for the store."""

    def __init__(self, store: Store, hub: WatchHub) -> None:
        self._store = store
        self._hub = hub

    def apply(self, entry: raft_pb2.Entry, local: object | None) -> Applied | None:
        """Applies a command and publishes its events; None for a no-op."""
        if not entry.data:
            return None
        if isinstance(local, _Proposal):
            command, batches = local.command, local.batches
        else:
            command = raft_pb2.Command.FromString(entry.data)
            batches = decode(command.batches)
        applied = self._store.apply(
            entry.index,
            command.at,
            batches,
            request_id=command.request_id,
            object_id=command.object_id,
        )
        self._hub.publish(entry.index, applied.events)
        return applied

    def capture(self) -> Callable[[], bytes]:
        """The store as it is now, to be encoded in any thread."""
        captured = self._store.capture()
        return lambda: captured.encode().SerializeToString()

    def restore(self, data: bytes) -> None:
        """Replaces the store; every watcher starts anew."""
        self._store.restore(raft_pb2.StoreSnapshot.FromString(data))
        self._hub.resync()


class _Proposal:
    """A command with the very objects that it was encoded from."""

    __slots__ = ("batches", "command")

    def __init__(self, command: raft_pb2.Command, batches: Sequence[Batch]) -> None:
        self.command = command
        self.batches = batches


class LogProposer:
    """Fulfils Proposer: encodes, appends, waits."""

    def __init__(self, log: Log, clock: Callable[[], float]) -> None:
        self._log = log
        self._clock = clock

    async def propose(
        self, batches: Sequence[Batch], *, request_id: str = "", object_id: str = ""
    ) -> Applied:
        """Writes one command; see Proposer."""
        command = raft_pb2.Command(
            request_id=request_id,
            object_id=object_id,
            batches=encode(batches),
            at=timestamp(self._clock()),
        )
        applied = await self._log.append(command.SerializeToString(), _Proposal(command, batches))
        if not isinstance(applied, Applied):
            raise TypeError(f"the log answered a command with {applied!r}")
        return applied
