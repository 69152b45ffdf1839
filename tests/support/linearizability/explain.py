"""A small part of a bad history that is bad by itself, for people to read.

Whatever is left out cannot have made the rest bad: answers that changed nothing may always be
forgotten, an answer to a write may be taken as lost, and a write without an answer is dropped only
where nothing that is left could hang on it. So the part shows a true fault, not one of its making.
"""

import bisect
import math
from collections.abc import Callable, Iterable, Sequence

from tests.support.linearizability.checker import bad_keys, is_linearizable, prepared
from tests.support.linearizability.history import Kind, Operation, Outcome
from tests.support.linearizability.register import ANY

_MS = 1000


def explain(history: Iterable[Operation]) -> str:
    """A paragraph for every register that no order explains; nothing if all is well."""
    return "\n".join(
        _paragraph(key, smallest_part(part)) for key, part in bad_keys(history).items()
    )


def smallest_part(operations: Sequence[Operation]) -> list[Operation]:
    """A part of the bad history of one register; ValueError if it is not bad.

    Nothing is presumed of what the register was before.
    """
    if is_linearizable(operations):
        raise ValueError("nothing is to be explained: the history is good")
    first = Operation("", "", Kind.READ, Outcome.ABSENT, -math.inf, operations[0].called - 1)
    part = _shortest_beginning([first, *prepared(operations)])
    part = _forget(_shortest_end(part))
    while (smaller := _without_idle(part)) is not None:
        part = smaller
    return sorted(part, key=lambda each: each.called)


def _is_bad(operations: Sequence[Operation]) -> bool:
    return not is_linearizable(operations, ANY)


def _shortest_beginning(operations: Sequence[Operation]) -> list[Operation]:
    """All up to the first answer that does not fit. The longer beginnings are bad as well."""
    answers = sorted(each.returned for each in operations if not each.is_unknown)
    cut = _first(len(answers) - 1, lambda n: _is_bad(_until(operations, answers[n])))
    return _until(operations, answers[cut])


def _shortest_end(operations: Sequence[Operation]) -> list[Operation]:
    """All from the last moment on from which it is bad whatever was before."""
    calls = sorted((each.called for each in operations), reverse=True)
    cut = _first(len(calls) - 1, lambda n: _is_bad(_since(operations, calls[n])))
    return _since(operations, calls[cut])


def _first(last: int, holds: Callable[[int], bool]) -> int:
    """The first number for which it holds, as it does for the last and all from the first on."""
    return bisect.bisect_left(range(last), True, key=holds)


def _since(operations: Sequence[Operation], time: float) -> list[Operation]:
    called = [each for each in operations if each.called >= time]
    under_way = (each for each in operations if each.called < time < each.returned)
    return _weakened(under_way) + called


def _until(operations: Sequence[Operation], time: float) -> list[Operation]:
    called = [each for each in operations if each.called < time]
    answered = [each for each in called if each.returned <= time]
    return answered + _weakened(each for each in called if each.returned > time)


def _weakened(operations: Iterable[Operation]) -> list[Operation]:
    """What is left of operations if their answers are not known."""
    return [each.unanswered() for each in operations if each.may_write]


def _forget(operations: list[Operation]) -> list[Operation]:
    """As few answers as are needed; large pieces are tried first."""
    size = max(1, len(operations) // 2)
    while True:
        start = 0
        while start < len(operations):
            piece = operations[start : start + size]
            less = _weakened(piece)
            rest = [*operations[:start], *less, *operations[start + size :]]
            if rest != operations and _is_bad(rest):
                operations = rest
                start += len(less)
            else:
                start += size
        if size == 1:
            return operations
        size //= 2


def _without_idle(operations: list[Operation]) -> list[Operation] | None:
    """One unanswered write less; None if each may matter."""
    for number, each in enumerate(operations):
        rest = [*operations[:number], *operations[number + 1 :]]
        if each.is_unknown and _is_idle(each, rest) and _is_bad(rest):
            return rest
    return None


def _is_idle(operation: Operation, rest: list[Operation]) -> bool:
    """Whether no answer of the rest can hang on an unanswered write having taken effect."""
    outcomes = {each.outcome for each in rest}
    read = {each.value for each in rest if each.kind is Kind.READ and each.is_done}
    if operation.kind is Kind.DELETE:
        creates = [each for each in rest if each.kind is Kind.CREATE]
        needed = any(each.is_done or each.value in read for each in creates)
        return Outcome.ABSENT not in outcomes and not needed
    built_on = operation.version is None or any(
        each.expected == operation.version for each in rest if each.kind is Kind.UPDATE
    )
    if operation.value in read or Outcome.STALE in outcomes or built_on:
        return False
    deleted = any(each.kind is Kind.DELETE and each.is_done for each in rest)
    return operation.kind is Kind.UPDATE or not (deleted or Outcome.EXISTS in outcomes)


def _paragraph(key: str, part: Sequence[Operation]) -> str:
    begun = part[0].called
    lines = [f"no order explains what {key} answered (times in ms):"]
    lines += [f"  {_span(each, begun)}  {each.client:<6} {_said(each)}" for each in part]
    return "".join(f"{line}\n" for line in lines)


def _span(operation: Operation, begun: float) -> str:
    called = f"{(operation.called - begun) * _MS:9.1f}"
    if operation.is_unknown:
        return f"{called} -         ?"
    return f"{called} - {(operation.returned - begun) * _MS:9.1f}"


def _said(operation: Operation) -> str:
    words = [operation.kind.value]
    if operation.expected is not None:
        words.append(f"from version {operation.expected}")
    if operation.value:
        words.append(f"{'found' if operation.kind is Kind.READ else 'to'} {operation.value}")
    words.append(f"-> {operation.outcome.value}")
    if operation.version is not None:
        words.append(f"at version {operation.version}")
    return " ".join(words)
