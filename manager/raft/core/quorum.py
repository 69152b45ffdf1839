"""Arithmetic of majorities, single and joint. Knows ids and numbers, no members and no logs.

Invariants: any two majorities of one configuration share a member, at even sizes too; a joint
configuration decides only what both of its majorities decide (Ongaro and Ousterhout, section 6).
Results do not depend on the order in which ids or votes came.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import Final

MAX_INDEX: Final = (1 << 64) - 1
"""What an empty majority has committed: it holds nothing back."""


class VoteResult(Enum):
    """What an election came to so far."""

    PENDING = "pending"
    LOST = "lost"
    WON = "won"


@dataclass(frozen=True, slots=True, init=False)
class Majority:
    """More than half of `ids`. `ordered` are the same ids, sorted."""

    ids: frozenset[int]
    ordered: tuple[int, ...] = field(compare=False, repr=False)

    def __init__(self, ids: Iterable[int] = ()) -> None:
        object.__setattr__(self, "ids", frozenset(ids))
        object.__setattr__(self, "ordered", tuple(sorted(self.ids)))

    def committed_index(self, acked: Callable[[int], int | None]) -> int:
        """The highest index that a majority has acknowledged; None of `acked` counts as 0."""
        ids = self.ordered
        if not ids:
            return MAX_INDEX
        indexes = [acked(each) or 0 for each in ids]
        indexes.sort()
        return indexes[(len(ids) - 1) // 2]

    def vote_result(self, votes: Mapping[int, bool]) -> VoteResult:
        """What the votes of the ids in here came to; others do not count. Empty: WON."""
        quorum = len(self.ids) // 2 + 1
        given = [votes[each] for each in self.ordered if each in votes]
        granted = sum(given)
        if granted >= quorum or not self.ids:
            return VoteResult.WON
        if granted + len(self.ids) - len(given) >= quorum:
            return VoteResult.PENDING
        return VoteResult.LOST


@dataclass(frozen=True, slots=True)
class Joint:
    """Both of two majorities. An empty `outgoing` makes it an ordinary one."""

    incoming: Majority = Majority()
    outgoing: Majority = Majority()

    def committed_index(self, acked: Callable[[int], int | None]) -> int:
        """The highest index that both have committed."""
        index = self.incoming.committed_index(acked)
        if self.outgoing.ids:
            return min(index, self.outgoing.committed_index(acked))
        return index

    def vote_result(self, votes: Mapping[int, bool]) -> VoteResult:
        """WON if both are, LOST as soon as one is."""
        results = (self.incoming.vote_result(votes), self.outgoing.vote_result(votes))
        if VoteResult.LOST in results:
            return VoteResult.LOST
        return VoteResult.PENDING if VoteResult.PENDING in results else VoteResult.WON

    def ids(self) -> frozenset[int]:
        """The voters of either."""
        return self.incoming.ids | self.outgoing.ids
