"""The terms of one log's entries, by index: what the checks need to know of a log."""


class LogTerms:
    """`terms[i]` is the term of entry i. Below `snapshot` they may be unknown: 0, or what was."""

    __slots__ = ("changes", "snapshot", "terms")

    def __init__(self) -> None:
        self.terms = [0]
        self.snapshot = 0
        self.changes: list[int] = []
        """The indexes of changes of the configuration."""

    @property
    def last(self) -> int:
        """The index of the last entry."""
        return len(self.terms) - 1

    def holds(self, index: int, term: int) -> bool:
        """Whether entry `index` is there with this term, or covered by the snapshot."""
        return index <= self.snapshot or (index < len(self.terms) and self.terms[index] == term)

    def cut(self, index: int) -> None:
        """Drops the entries from `index` on."""
        del self.terms[index:]
        while self.changes and self.changes[-1] >= index:
            self.changes.pop()

    def add(self, index: int, term: int, *, change: bool = False) -> None:
        """Appends entry `index`, which is the next."""
        self.terms.append(term)
        if change:
            self.changes.append(index)

    def restart_at(self, index: int, term: int) -> None:
        """A snapshot up to (index, term) counts; entries behind it stay if it fits them."""
        if not self.holds(index, term):
            self.cut(index)
            self.terms += [0] * (index - len(self.terms)) + [term]
        self.snapshot = max(self.snapshot, index)
