"""The log as seen from outside: what every manager comes to by each entry, and the state that is
right, which is kept here by itself.

A manager's store is compared after every entry, by a sum over all that is in it. The state that is
right is made from the entries' bytes alone, so that what a proposer handed in beside them counts as
little as it should. So are the events that each manager tells of an entry.
"""

from collections.abc import Callable
from zlib import crc32

from api.times import seconds_of
from api.v1 import raft_pb2
from manager.events.history import LAST, MAX_EVENTS, History, Kept, Position
from manager.state.changes import KINDS, Applied, Event, StoredObject, decode
from manager.state.machine import StoreMachine
from manager.state.store import Store
from manager.state.watch import WatchHub
from tests.sim.invariants import Watchdog
from tests.sim.raft.violation import Violation, must

LAG = 60.0
"""Seconds by which the stamps of a new leader may lie before the last one's: it has yet to apply
what that wrote at the end.
"""


class Watch:
    """The right state (`store`) after `index` entries, and what must hold after each."""

    def __init__(self) -> None:
        self.store = Store()
        self.index = 1
        self.commands = 0
        self.at = 0.0
        """The time of the last command."""
        self.sums: dict[int, int] = {}
        self.observers: list[Callable[[Event], None]] = []
        self._entries: dict[int, tuple[int, bytes]] = {}
        self._history = History()
        self._told: dict[int, list[Kept]] = {}
        self._sum = StateSum()
        self._watchdog = Watchdog(self.store)

    def was_drained(self, task_id: str) -> bool:
        """Whether the task's node was drained under it."""
        return task_id in self._watchdog.drained

    def applies(self, who: str, entry: raft_pb2.Entry, total: int) -> None:
        """A manager has applied an entry, and its state has this sum now."""
        index = entry.index
        if index > self.index:
            for between in range(self.index + 1, index):
                self.sums[between] = self._sum.value  # changes of who is in the group
            self._take(entry)
        known = self._entries.get(index)
        must(known == (entry.term, entry.data), "one log", "%s has another %d", who, index)
        self._compare(who, index, total)

    def tells(self, who: str, history: History, index: int) -> None:
        """A manager tells this of the entry that it applied last."""
        right = self._told.get(index)
        if right is not None:
            must(_told(history, index) == right, "one history", "%s tells another %d", who, index)

    def restored(self, who: str, index: int, total: int) -> None:
        """A manager's state was replaced by a snapshot of it."""
        if index:
            self._compare(who, index, total)

    def _compare(self, who: str, index: int, total: int) -> None:
        right = self.sums.get(index)
        must(
            right is None or right == total,
            "equal stores at equal index",
            "%s has another state than it should after entry %d",
            who,
            index,
        )

    def _take(self, entry: raft_pb2.Entry) -> None:
        self.index = entry.index
        self._entries[entry.index] = entry.term, entry.data
        if entry.data:
            self.commands += 1
            command = raft_pb2.Command.FromString(entry.data)
            applied = self.store.apply(
                entry.index,
                command.at,
                decode(command.batches),
                request_id=command.request_id,
                object_id=command.object_id,
            )
            self._sum.add(self.store, applied, command.request_id)
            self._history.applied(entry.index, command.at, applied.events)
            self._told[entry.index] = _told(self._history, entry.index)
            at = seconds_of(command.at)
            must(at > self.at - LAG, "time does not go back", "from %.3f to %.3f", self.at, at)
            self.at = at
            for event in applied.events:
                self._check(event)
        self.sums[entry.index] = self._sum.value

    def _check(self, event: Event) -> None:
        try:
            self._watchdog.check(event, self.at)
        except AssertionError as error:
            if isinstance(error, Violation):
                raise
            raise Violation("orchestration", f"entry {self.index}: {error}") from error
        for observer in self.observers:
            observer(event)


class StateSum:
    """A sum over everything in a store, whatever its order; kept by what each command changes."""

    def __init__(self) -> None:
        self.value = 0

    def add(self, store: Store, applied: Applied, request_id: str) -> None:
        """A command was applied."""
        for event in applied.events:
            for obj in (event.old, event.new):
                if obj is not None:
                    self.value ^= _sum_of(obj)
        known = store.applied_request(request_id) if request_id else None
        if known is not None and not applied.repeated:
            self.value ^= _sum_of_request(known)

    def restart(self, data: bytes) -> None:
        """The store was replaced by a snapshot."""
        self.value = 0
        snapshot = raft_pb2.StoreSnapshot.FromString(data)
        for wrapped in snapshot.objects:
            self.value ^= _sum_of(getattr(wrapped, wrapped.WhichOneof("kind") or ""))
        for request in snapshot.requests:
            self.value ^= _sum_of_request(request)


class WatchedMachine(StoreMachine):
    """A manager's store, compared after every entry."""

    def __init__(self, watch: Watch, hub: WatchHub, name: str) -> None:
        self.store, self.history = Store(), History()
        super().__init__(self.store, hub, self.history)
        self._watch = watch
        self._name = name
        self._sum = StateSum()

    def apply(self, entry: raft_pb2.Entry, local: object | None) -> Applied | None:
        """As StoreMachine."""
        applied = super().apply(entry, local)
        if applied is not None:
            self._sum.add(self.store, applied, raft_pb2.Command.FromString(entry.data).request_id)
        self._watch.applies(self._name, entry, self._sum.value)
        self._watch.tells(self._name, self.history, entry.index)
        return applied

    def prepare(self, data: bytes) -> Callable[[], None]:
        """As StoreMachine."""
        install = super().prepare(data)

        def both() -> None:
            install()
            self._sum.restart(data)
            self._watch.restored(self._name, self.store.version, self._sum.value)

        return both


def _told(history: History, index: int) -> list[Kept]:
    """The events of the entry at `index`, which is the last."""
    history.settle()
    return history.after(Position(index - 1, LAST), MAX_EVENTS)


def _sum_of(obj: StoredObject) -> int:
    kind = KINDS[type(obj)]
    return _spread(kind.encode() + obj.SerializeToString(deterministic=True))


def _sum_of_request(request: raft_pb2.AppliedRequest) -> int:
    return _spread(b"request" + request.SerializeToString(deterministic=True))


def _spread(data: bytes) -> int:
    return crc32(data) << 32 | crc32(data, 0xFFFF)
