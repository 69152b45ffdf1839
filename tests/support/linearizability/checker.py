"""Whether a history can be explained by registers that do one thing at a time.

The search of Wing and Gong (1993) with the memory of Lowe (2017): take any operation that nothing
else precedes, carry it out on the model, go on; turn back where no answer fits, and never enter
the same pair of what is done and what the register is twice. Registers are independent of one
another, so each is searched for itself (Herlihy and Wing 1990). Knows no clock and no chance.
"""

import bisect
import dataclasses
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence

from tests.support.linearizability.history import Kind, Operation, by_key
from tests.support.linearizability.register import ABSENT, NOBODYS, Register, step

_UNSEEN = "(a value that nobody saw)"


def bad_keys(history: Iterable[Operation]) -> dict[str, list[Operation]]:
    """The operations on every register that no order explains; none if all is well."""
    return {key: part for key, part in by_key(history).items() if not is_linearizable(part)}


def is_linearizable(operations: Sequence[Operation], start: Register = ABSENT) -> bool:
    """Whether an order explains all answers of one register, which is `start` at first.

    What was answered before another was called comes before it. What has no answer may stand
    anywhere after its call, or nowhere.
    """
    return _Search(prepared(operations)).run(start)


def _with_versions(operations: Sequence[Operation]) -> list[Operation]:
    """The same, each write with the version under which any answer showed its value."""
    shown: dict[str, set[int]] = defaultdict(set)
    for each in operations:
        if each.value and each.version is not None:
            shown[each.value].add(each.version)
    # Of two versions of one value one is a fault: for the search to find.
    known = {value: min(versions) for value, versions in shown.items() if len(versions) == 1}
    return [
        dataclasses.replace(each, version=known.get(each.value))
        if each.may_write and each.version is None
        else each
        for each in operations
    ]


def prepared(operations: Sequence[Operation]) -> list[Operation]:
    """In order of calls, and with all that is known of what was not answered."""
    known = _with_versions(operations)
    told = {each.version for each in known}
    nobodys = NOBODYS if all(each.expected in told for each in known if each.expected) else None
    seen = {each.value for each in known if each.kind is Kind.READ and each.is_done}
    return sorted(
        (_unseen(each, seen, nobodys) for each in known), key=lambda operation: operation.called
    )


def _unseen(operation: Operation, seen: set[str], nobodys: int | None) -> Operation:
    """Unanswered writes of values that nobody saw all write the same."""
    writes = operation.is_unknown and operation.kind is not Kind.DELETE
    if not writes or operation.version is not None or operation.value in seen:
        return operation
    return dataclasses.replace(operation, value=_UNSEEN, version=nobodys)


def _twins(operations: Sequence[Operation]) -> list[int]:
    """For each unanswered operation a bit: the one before it that is its equal, called earlier.

    It does not matter which of two equals takes effect: the search tries the first alone.
    """
    before: dict[tuple[object, ...], int] = {}
    twins = []
    for number, each in enumerate(operations):
        equal = (each.kind, each.value, each.expected, each.version)
        twins.append(before.get(equal, 0) if each.is_unknown else 0)
        if each.is_unknown:
            before[equal] = 1 << number
    return twins


def _over(operations: Sequence[Operation]) -> list[tuple[int, int]]:
    """For each version all unanswered writes, as bits, that need a register no later than that."""
    needed = sorted(
        (each.expected or each.version or 0, 1 << number)
        for number, each in enumerate(operations)
        if each.is_unknown and (each.expected or each.version)
    )
    found = [(-1, 0)]
    for version, bit in needed:
        found.append((version, found[-1][1] | bit))
    return found


class _Search:
    """One search. Calls and answers stand in a list, linked by their places; 0 is its head.

    What has no answer stands in none: it may be taken wherever its call was made before. What is
    done is a number with a bit for each operation.
    """

    def __init__(self, operations: Sequence[Operation]) -> None:
        self._operations = operations
        self._twins = _twins(operations)
        numbered = list(enumerate(operations))
        self._unanswered = [number for number, each in numbered if each.is_unknown]
        self._optional = sum(1 << number for number in self._unanswered)
        self._over = _over(operations)
        self._over_from = [version for version, _ in self._over]
        answered = [(number, each) for number, each in numbered if not each.is_unknown]
        self._left = len(answered)
        # At one and the same time an answer comes first: such operations do not overlap.
        events = [(each.called, 1, number) for number, each in answered]
        events += [(each.returned, 0, number) for number, each in answered]
        events.sort()
        self._events = [(0.0, 0, -1), *events]
        self._places = {(is_call, number): n for n, (_, is_call, number) in enumerate(self._events)}
        count = len(self._events)
        self._next = [*range(1, count), 0]
        self._previous = [count - 1, *range(count - 1)]
        self._entered: dict[tuple[int, Register], list[int]] = defaultdict(list)

    def run(self, state: Register) -> bool:
        """The search itself, from a state of the register."""
        done = 0
        taken: list[tuple[int, Register, int, Iterator[int]]] = []
        candidates = self._candidates(done)
        while self._left:
            number = next(candidates, None)
            if number is None:
                if not taken:
                    return False
                number, state, done, candidates = taken.pop()
                self._put_back(number)
                continue
            after = step(state, self._operations[number])
            if after is None or not self._is_new(done | 1 << number, after):
                continue
            taken.append((number, state, done, candidates))
            state, done = after, done | 1 << number
            self._take_out(number)
            candidates = self._candidates(done)
        return True

    def _candidates(self, done: int) -> Iterator[int]:
        """What may come next: all that was called before the first answer that is left."""
        place = self._next[0]
        while self._events[place][1]:
            yield self._events[place][2]
            place = self._next[place]
        for number in self._unanswered:
            if self._operations[number].called >= self._events[place][0]:
                return
            if not done >> number & 1 and done & self._twins[number] == self._twins[number]:
                yield number

    def _is_new(self, done: int, state: Register) -> bool:
        """Whether this is worth a look: who has come here with fewer unanswered writes used up, or
        the same, could do all that is left to do from here.
        """
        used = done & self._optional
        before = self._entered[done ^ used, state]
        over = self._over[bisect.bisect_left(self._over_from, state.last) - 1][1]
        used &= ~over  # these can have no effect any more, used up or not
        if any(each & used == each for each in before):
            return False
        before.append(used)
        return True

    def _take_out(self, number: int) -> None:
        if not self._operations[number].is_unknown:
            self._unlink(self._places[1, number])
            self._unlink(self._places[0, number])
            self._left -= 1

    def _put_back(self, number: int) -> None:
        """Exactly undoes the last `_take_out`, in the opposite order."""
        if not self._operations[number].is_unknown:
            self._link(self._places[0, number])
            self._link(self._places[1, number])
            self._left += 1

    def _unlink(self, place: int) -> None:
        self._next[self._previous[place]] = self._next[place]
        self._previous[self._next[place]] = self._previous[place]

    def _link(self, place: int) -> None:
        self._next[self._previous[place]] = place
        self._previous[self._next[place]] = place
