"""Proposals that wait for their place in the log to be applied, by (index, term). Pure.

A place is all that a proposer knows: Raft promises that whatever is applied at this index with this
term is his entry (Log Matching). Everything else that happens to the index means that it is not, or
that this member will not learn of it. Resolves nothing itself: it says who has come to what.
"""

from typing import Generic, TypeVar

W = TypeVar("W")


class Waits(Generic[W]):
    """Proposals `W`, each at the place where it was appended."""

    def __init__(self) -> None:
        self._at: dict[int, tuple[int, W]] = {}

    def __len__(self) -> int:
        return len(self._at)

    def add(self, index: int, term: int, wait: W) -> list[W]:
        """`wait` was appended there; returns whom it has displaced, one of an older term."""
        displaced = self._at.get(index)
        self._at[index] = term, wait
        return [] if displaced is None else [displaced[1]]

    def at(self, index: int, term: int) -> W | None:
        """Who waits for this very entry."""
        at = self._at.get(index)
        return at[1] if at is not None and at[0] == term else None

    def applied(self, index: int, term: int) -> tuple[W | None, list[W]]:
        """This entry was applied: who proposed it here, and who is overwritten by it."""
        at = self._at.pop(index, None)
        if at is None:
            return None, []
        return (at[1], []) if at[0] == term else (None, [at[1]])

    def jumped(self, index: int) -> list[W]:
        """A snapshot up to `index` came in place of the entries: whose fate nobody here learns."""
        gone = [each for each in self._at if each <= index]
        return [self._at.pop(each)[1] for each in gone]

    def lost(self) -> list[W]:
        """This member leads no more: whose entries may or may not be committed by another."""
        waits = [wait for _, wait in self._at.values()]
        self._at.clear()
        return waits
