"""Which numbers of a range are free, as runs between those that are taken. Pure.

The lowest free one is found at once, however large the range is, and whatever came and went before:
so what is handed out depends on what is taken alone, and every leader hands out the same.
"""

from bisect import bisect_right


class FreeRuns:
    """Numbers from `first` to `last`, all of them free in the beginning."""

    def __init__(self, first: int, last: int) -> None:
        self._first = first
        self._last = last
        self._starts = [first] if first <= last else []
        self._ends = [last] if first <= last else []
        self.size = max(0, last - first + 1)
        self.free = self.size

    def lowest(self) -> int | None:
        """The lowest free number."""
        return self._starts[0] if self._starts else None

    def has(self, number: int) -> bool:
        """Whether a number is free."""
        at = bisect_right(self._starts, number) - 1
        return at >= 0 and number <= self._ends[at]

    def take(self, number: int) -> None:
        """Makes a number taken; nothing happens if it is, or is none of the range."""
        if not self.has(number):
            return
        at = bisect_right(self._starts, number) - 1
        start, end = self._starts[at], self._ends[at]
        self.free -= 1
        if start == end:
            del self._starts[at], self._ends[at]
        elif number == start:
            self._starts[at] = number + 1
        elif number == end:
            self._ends[at] = number - 1
        else:
            self._ends[at] = number - 1
            self._starts.insert(at + 1, number + 1)
            self._ends.insert(at + 1, end)

    def give(self, number: int) -> None:
        """Makes a number free again; nothing happens if it is, or is none of the range."""
        at = bisect_right(self._starts, number) - 1
        is_free = at >= 0 and number <= self._ends[at]
        if is_free or not self._first <= number <= self._last:
            return
        self.free += 1
        joins_left = at >= 0 and self._ends[at] == number - 1
        joins_right = at + 1 < len(self._starts) and self._starts[at + 1] == number + 1
        if joins_left and joins_right:
            self._ends[at] = self._ends[at + 1]
            del self._starts[at + 1], self._ends[at + 1]
        elif joins_left:
            self._ends[at] = number
        elif joins_right:
            self._starts[at + 1] = number
        else:
            self._starts.insert(at + 1, number)
            self._ends.insert(at + 1, number)
