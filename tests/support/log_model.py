"""A log as plain as can be, to compare the real one with; and chance-made work for both."""

from dataclasses import dataclass, field, replace

from api.v1.raft_pb2 import Entry, HardState, SnapshotMetadata
from manager.raft.durable.wal import Recovered, Wal
from tests.support.sim_disk import Chance

State = tuple[tuple[int, int, int], tuple[int, int] | None, list[tuple[int, int, bytes]]]


@dataclass(frozen=True, slots=True)
class Model:
    """What the log holds: term, vote, commit; snapshot (index, term); entries by index."""

    term: int = 0
    vote: int = 0
    commit: int = 0
    snapshot: tuple[int, int] | None = None
    entries: dict[int, tuple[int, bytes]] = field(default_factory=dict)

    @property
    def last(self) -> int:
        start = self.snapshot[0] if self.snapshot else 0
        return max(self.entries, default=start)

    def saved(self, hard_state: HardState | None, entries: list[Entry]) -> "Model":
        held = dict(self.entries)
        if entries:
            held = {index: each for index, each in held.items() if index < entries[0].index}
            held |= {entry.index: (entry.term, entry.data) for entry in entries}
        model = replace(self, entries=held)
        if hard_state is None:
            return model
        term, vote, commit = hard_state.term, hard_state.vote, hard_state.commit
        return replace(model, term=term, vote=vote, commit=commit)

    def marked(self, index: int, term: int) -> "Model":
        fits = self.entries.get(index, (0, b""))[0] == term
        kept = {at: each for at, each in self.entries.items() if at > index} if fits else {}
        model = replace(self, snapshot=(index, term), entries=kept, commit=max(self.commit, index))
        return model if term <= self.term else replace(model, term=term, vote=0)

    def state(self) -> State:
        rows = [(index, *each) for index, each in sorted(self.entries.items())]
        return (self.term, self.vote, self.commit), self.snapshot, rows


def state_of(recovered: Recovered) -> State:
    """What was recovered, in the model's form."""
    hard, mark = recovered.hard_state, recovered.snapshot
    return (
        (hard.term, hard.vote, hard.commit),
        (mark.index, mark.term) if mark is not None else None,
        [(entry.index, entry.term, entry.data) for entry in recovered.entries],
    )


def model_of(recovered: Recovered) -> Model:
    """A model that goes on from what was recovered."""
    (term, vote, commit), snapshot, rows = state_of(recovered)
    return Model(term, vote, commit, snapshot, {index: (at, data) for index, at, data in rows})


class Work:
    """Does to a log what a Raft node may do to it, and keeps the states that a crash may leave.

    `possible[0]` is the last state known to be durable; the others came after it, in order.
    """

    def __init__(self, wal: Wal, model: Model, chance: Chance) -> None:
        self.possible = [model]
        self._wal = wal
        self._chance = chance

    def one(self) -> None:
        """One call of the log. If it raises, `possible` includes that it happened."""
        kind = self._chance.randrange(12)
        if kind < 8:
            self._save(sync=kind < 6)
        elif kind == 8:
            self._mark_own()
        elif kind == 9:
            self._mark_received()
        elif kind == 10 and (snapshot := self.possible[-1].snapshot):
            self._wal.compact(snapshot[0] - self._chance.randrange(3))
        else:
            self._wal.roll()  # syncs what came before
            del self.possible[:-1]

    def _save(self, *, sync: bool) -> None:
        now = self.possible[-1]
        newer = self._chance.randrange(4) == 0
        term = max(now.term, 1) + newer
        vote = 0 if newer else now.vote or self._chance.randrange(3)
        first = now.commit + 1 + self._chance.randrange(now.last - now.commit + 1)
        entries = []
        if self._terms_before(first) <= term:
            for offset in range(self._chance.randrange(4)):
                data = self._chance.randbytes(self._chance.randrange(60))
                entries.append(Entry(term=term, index=first + offset, data=data))
        last = entries[-1].index if entries else now.last
        commit = now.commit + self._chance.randrange(last - now.commit + 1)
        hard_state = None
        if self._chance.randrange(3) or newer:
            hard_state = HardState(term=term, vote=vote, commit=commit)
        self.possible.append(now.saved(hard_state, entries))
        self._wal.save(hard_state, entries, sync=sync)
        if sync:
            del self.possible[:-1]

    def _terms_before(self, index: int) -> int:
        now = self.possible[-1]
        if now.snapshot is not None and index == now.snapshot[0] + 1:
            return now.snapshot[1]
        return now.entries.get(index - 1, (0, b""))[0]

    def _mark_own(self) -> None:
        now = self.possible[-1]
        held = [index for index in now.entries if index <= now.commit]
        if held:
            index = held[self._chance.randrange(len(held))]
            self._mark(index, now.entries[index][0])

    def _mark_received(self) -> None:
        """A snapshot from a leader, of a term not older than ours, beyond what is committed."""
        now = self.possible[-1]
        if self._chance.randrange(3) == 0:
            index = now.commit + 1 + self._chance.randrange(now.last - now.commit + 3)
            self._mark(index, max(now.term, 1) + self._chance.randrange(2))

    def _mark(self, index: int, term: int) -> None:
        self.possible.append(self.possible[-1].marked(index, term))
        self._wal.mark_snapshot(SnapshotMetadata(index=index, term=term))
        del self.possible[:-1]
