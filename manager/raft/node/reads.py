"""Linearizable reads that wait: for a safe index, then for that index to be applied. Pure.

A round asks the core once for all that wait. Who comes while a round is under way takes part in the
next one: the index of a round covers only what was committed before the round was asked for
(Ongaro, thesis, 6.4). A round that got no answer is asked again; nobody tells that it was lost.
"""

from dataclasses import dataclass, field
from typing import Generic, TypeVar

W = TypeVar("W")

RETRY = 0.5
"""Seconds after which a round is asked for again: some heartbeats must have been in vain."""
_COUNTER_BYTES = 8


@dataclass(frozen=True, slots=True)
class _Read(Generic[W]):
    deadline: float
    wait: W


@dataclass(slots=True)
class _Round(Generic[W]):
    context: bytes
    asked_at: float
    reads: list[_Read[W]] = field(default_factory=list)


class Reads(Generic[W]):
    """Reads `W`. Times are seconds of one monotonic clock.

    `first` is the first context's number: drawn by chance, so that an answer to a former life of
    this member is not taken for one to this.
    """

    def __init__(self, first: int = 0) -> None:
        self._number = first
        self._new: list[_Read[W]] = []
        self._round: _Round[W] | None = None
        self._known: list[tuple[int, list[_Read[W]]]] = []

    def __len__(self) -> int:
        asked = [] if self._round is None else self._round.reads
        return len(self._new) + len(asked) + sum(len(reads) for _, reads in self._known)

    def add(self, wait: W, deadline: float) -> None:
        """`wait` is served by a round that begins from now on, or is in vain at `deadline`."""
        self._new.append(_Read(deadline, wait))

    def ask(self, now: float) -> bytes | None:
        """The context to ask the core with, at once; None if there is nothing to ask for now."""
        under_way = self._round
        if under_way is not None and now - under_way.asked_at < RETRY:
            return None
        reads = ([] if under_way is None else under_way.reads) + self._new
        if not reads:
            return None
        self._number += 1
        context = self._number.to_bytes(_COUNTER_BYTES)
        self._round, self._new = _Round(context, now, reads), []
        return context

    def leader_changed(self) -> None:
        """Whoever was asked will not answer: the next `ask` asks again."""
        if self._round is not None:
            self._new = self._round.reads + self._new
            self._round = None

    def answered(self, context: bytes, index: int) -> None:
        """The core's answer; to any round but the one under way it comes too late."""
        if self._round is not None and self._round.context == context:
            if self._round.reads:
                self._known.append((index, self._round.reads))
            self._round = None

    def applied(self, index: int) -> list[W]:
        """Who may read, now that all up to `index` is applied."""
        if not self._known:
            return []
        ready = [read.wait for at, reads in self._known if at <= index for read in reads]
        self._known = [each for each in self._known if each[0] > index]
        return ready

    def expired(self, now: float) -> list[W]:
        """Who has waited in vain."""
        late: list[W] = []
        self._new = _sift(self._new, now, late)
        if self._round is not None:
            self._round.reads = _sift(self._round.reads, now, late)
        self._known = [(at, _sift(reads, now, late)) for at, reads in self._known]
        return late

    def end(self) -> list[W]:
        """Everybody who waits; nobody does afterwards."""
        return self.expired(float("inf"))


def _sift(reads: list[_Read[W]], now: float, late: list[W]) -> list[_Read[W]]:
    if all(read.deadline > now for read in reads):
        return reads
    late += [read.wait for read in reads if read.deadline <= now]
    return [read for read in reads if read.deadline > now]
