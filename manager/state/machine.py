"""The store as the state machine of the log, and the Proposer that writes through a log.

Decodes commands, applies them and tells watchers. Decides nothing.
"""

from collections.abc import Callable, Sequence
from typing import Protocol

from google.protobuf.timestamp_pb2 import Timestamp

from api.errors import Code, SwarmError
from api.times import timestamp
from api.v1 import raft_pb2
from manager.state.changes import Applied, Batch, Event, decode, encode
from manager.state.pieces import pieces
from manager.state.store import Store
from manager.state.watch import WatchHub

PIECE_BYTES = 64 << 10
"""Bytes of a snapshot that are decoded in one step, which no other thread can interrupt."""
COMMAND_VERSION = 1
"""The newest commands that this version can apply. A leader proposes newer ones only once every
manager has greeted with their version, so that managers can be upgraded one by one, and back.
"""


class Log(Protocol):
    """What the proposer needs of a log; manager.raft.node.node.RaftNode is one."""

    async def append(self, data: bytes, local: object | None = None) -> object:
        """Makes `data` an entry; the state machine's answer once it is committed and applied."""


class Chronicle(Protocol):
    """Who remembers what happened: manager.events.history.History. Every write waits for it."""

    def applied(self, index: int, at: Timestamp, changes: Sequence[Event]) -> None:
        """The command at `index`, proposed at `at`, has done this; perhaps nothing."""

    def replaced(self, index: int) -> None:
        """The whole state was replaced by the one as of `index`."""


class StoreMachine:
    """Fulfils manager.raft.node.machine.StateMachine for the store.

    SwarmError UNSUPPORTED, which ends the manager, from what a later version wrote.
    """

    def __init__(self, store: Store, hub: WatchHub, chronicle: Chronicle | None = None) -> None:
        self._store = store
        self._hub = hub
        self._chronicle = chronicle

    def apply(self, entry: raft_pb2.Entry, local: object | None) -> Applied | None:
        """Applies a command and publishes its events; None for a no-op."""
        if not entry.data:
            return None
        if isinstance(local, _Proposal):
            command, batches = local.command, local.batches
        else:
            command = raft_pb2.Command.FromString(entry.data)
            _check_version(command.version, f"entry {entry.index} of the log")
            batches = decode(command.batches)
        applied = self._store.apply(
            entry.index,
            command.at,
            batches,
            request_id=command.request_id,
            object_id=command.object_id,
        )
        if self._chronicle is not None:
            self._chronicle.applied(entry.index, command.at, applied.events)
        self._hub.publish(entry.index, applied.events)
        return applied

    def capture(self) -> Callable[[], bytes]:
        """The store as it is now, to be encoded in any thread."""
        return self._store.capture().to_bytes

    def prepare(self, data: bytes) -> Callable[[], None]:
        """Decodes a captured store, in any thread; the callable puts it in the store's place.

        Every watcher starts anew then. SwarmError UNSUPPORTED as Store.restore.
        """
        snapshot = raft_pb2.StoreSnapshot()
        for piece in pieces(data, PIECE_BYTES):
            snapshot.MergeFromString(piece)
        _check_version(snapshot.version, "the snapshot of the state")
        prepared = Store()
        prepared.restore(snapshot)

        def install() -> None:
            self._store.adopt(prepared)
            if self._chronicle is not None:
                self._chronicle.replaced(self._store.version)
            self._hub.resync()

        return install


def _check_version(version: int, what: str) -> None:
    """Refuses what only a later version knows: applied half, the managers would differ."""
    if version > COMMAND_VERSION:
        raise SwarmError(
            Code.UNSUPPORTED,
            f"{what} cannot be applied",
            why=f"it is of version {version}, this swarmd knows versions up to {COMMAND_VERSION}",
            remedy="install the version of swarmd that the other managers run",
        )


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
