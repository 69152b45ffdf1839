"""One member of a Raft group by itself: the test speaks for all the others."""

from collections.abc import Iterable
from typing import Any, TypeAlias

from api.v1.raft_pb2 import ConfState, HardState, RaftMessage, Snapshot, SnapshotMetadata
from manager.raft.core.ready import Ready, Role
from manager.raft.core.storage import MemoryStorage
from tests.support.raft_entries import entries
from tests.support.raft_group import Host, message

Kind: TypeAlias = RaftMessage.Type.ValueType
THREE = ConfState(voters=[1, 2, 3])


class Dice:
    """Always the same distance from the start."""

    def __init__(self, offset: int = 0) -> None:
        self.offset = offset
        self.asked: list[tuple[int, int]] = []

    def randrange(self, start: int, stop: int, /) -> int:
        self.asked.append((start, stop))
        return start + self.offset


class Lone(Host):
    """A member whose log begins behind a snapshot at (1, 1), unless it has no configuration yet.

    `terms`: of the entries from 2 on. What it traces is kept.
    """

    def __init__(
        self,
        *terms: int,
        id: int = 1,
        conf: ConfState = THREE,
        term: int | None = None,
        vote: int = 0,
        commit: int = 1,
        storage: MemoryStorage | None = None,
        **settings: Any,
    ) -> None:
        storage = MemoryStorage() if storage is None else storage
        if conf != ConfState():
            metadata = SnapshotMetadata(index=1, term=1, conf=conf)
            storage.apply_snapshot(Snapshot(metadata=metadata))
            storage.append(entries(2, *terms))
        term = max((1, *terms)) if term is None else term
        commit = min(commit, storage.last_index())
        storage.set_hard_state(HardState(term=term, vote=vote, commit=commit))
        self.traced: list[str] = []
        super().__init__(id, storage, **{"chance": Dice(), "trace": self.traced.append, **settings})

    @property
    def terms(self) -> list[int]:
        """Of what it has stored from index 2 on."""
        return [term for _, term in self.log]

    def message(
        self, kind: Kind, source: int, *, term: int | None = None, **fields: Any
    ) -> RaftMessage:
        """To this member; of its own term unless one is named."""
        return message(kind, source, self.id, self.raw.term if term is None else term, **fields)

    def hear(
        self, kind: Kind, source: int, *, term: int | None = None, **fields: Any
    ) -> list[RaftMessage]:
        """Lets such a message take effect; what it says then."""
        self.raw.step(self.message(kind, source, term=term, **fields))
        return self.work()

    def accept(self, source: int, index: int | None = None) -> list[RaftMessage]:
        """A member says that it has persisted the log up to `index`, or all of it."""
        index = self.raw.status().last_index if index is None else index
        return self.hear(RaftMessage.TYPE_APPEND_RESPONSE, source, index=index)

    def obey(self, ready: Ready) -> None:
        """All the duties of a Ready, but for sending."""
        self.persist(ready)
        self.finish(ready)

    def tick(self, count: int = 1) -> list[RaftMessage]:
        """So many ticks; what it said."""
        said: list[RaftMessage] = []
        for _ in range(count):
            self.raw.tick()
            said += self.work()
        return said

    def lead(self, *, heard: Iterable[int] = ()) -> list[RaftMessage]:
        """Campaigns and gets all votes; its first appends. `heard` acknowledge them."""
        self.raw.campaign()
        said = self.work()
        others = sorted(self.raw.status().config.voters.ids() - {self.id})
        if self.role is Role.PRE_CANDIDATE:
            said = self._votes(RaftMessage.TYPE_PRE_VOTE_RESPONSE, others, self.raw.term + 1)
        if self.role is Role.CANDIDATE:
            said = self._votes(RaftMessage.TYPE_VOTE_RESPONSE, others, self.raw.term)
        assert self.role is Role.LEADER
        for each in heard:
            self.accept(each)
        return said

    def _votes(self, kind: Kind, sources: Iterable[int], term: int) -> list[RaftMessage]:
        for each in sources:
            self.raw.step(self.message(kind, each, term=term))
        return self.work()


def told(said: Iterable[RaftMessage]) -> list[tuple[int, ...]]:
    """(to, index) of messages, with the indexes of their entries behind."""
    return [(each.to, each.index, *(entry.index for entry in each.entries)) for each in said]


def kinds(said: Iterable[RaftMessage]) -> list[tuple[str, int]]:
    """(type, to) of messages."""
    return [(RaftMessage.Type.Name(each.type).removeprefix("TYPE_"), each.to) for each in said]
