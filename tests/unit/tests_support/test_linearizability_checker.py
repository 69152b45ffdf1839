"""The checker of histories: it accepts every good one of a table, and refuses every bad one."""

import math

import pytest

from tests.support.linearizability.checker import bad_keys, is_linearizable
from tests.support.linearizability.history import Kind, Operation, Outcome

DONE, EXISTS, ABSENT, STALE = Outcome.DONE, Outcome.EXISTS, Outcome.ABSENT, Outcome.STALE
Span = tuple[float, float]
Made = tuple[Operation, ...]


def create(
    span: Span, value: str, outcome: Outcome = DONE, version: int | None = None
) -> Operation:
    return _operation(Kind.CREATE, span, outcome, value=value, version=version)


def update(
    span: Span, value: str, expected: int, outcome: Outcome = DONE, version: int | None = None
) -> Operation:
    return _operation(Kind.UPDATE, span, outcome, value=value, expected=expected, version=version)


def read(span: Span, value: str, version: int | None = None) -> Operation:
    return _operation(Kind.READ, span, DONE, value=value, version=version)


def none(span: Span) -> Operation:
    return _operation(Kind.READ, span, ABSENT)


def delete(span: Span, outcome: Outcome = DONE) -> Operation:
    return _operation(Kind.DELETE, span, outcome)


def _operation(
    kind: Kind,
    span: Span,
    outcome: Outcome,
    *,
    value: str = "",
    expected: int | None = None,
    version: int | None = None,
) -> Operation:
    called, returned = span
    outcome = Outcome.UNKNOWN if math.isinf(returned) else outcome
    return Operation("c", "k", kind, outcome, called, returned, value, expected, version)


def lost(called: float) -> Span:
    """Of an operation that is never answered."""
    return called, math.inf


A5 = create((0, 1), "a", version=5)
B7 = update((2, 3), "b", 5, version=7)

GOOD: dict[str, Made] = {
    "nothing": (),
    "nothing is there": (none((0, 1)),),
    "one after another": (A5, B7, read((4, 5), "b", 7), delete((6, 7)), none((8, 9))),
    "a read beside a write sees the old": (A5, update((2, 5), "b", 5), read((3, 4), "a", 5)),
    "a read beside a write sees the new": (A5, update((2, 5), "b", 5), read((3, 4), "b")),
    "two reads beside a write, old then new": (
        A5,
        update((2, 9), "b", 5, version=7),
        read((3, 4), "a"),
        read((5, 6), "b"),
    ),
    "writes that overlap, in either order": (
        create((0, 5), "a"),
        create((1, 6), "b", EXISTS),
        read((7, 8), "a"),
    ),
    "the later call wins": (create((0, 5), "a", EXISTS), create((1, 6), "b"), read((7, 8), "b")),
    "of two updates one is too late": (
        A5,
        update((2, 4), "b", 5, version=7),
        update((2, 4.5), "c", 5, STALE),
    ),
    "a refusal beside the write that made it so": (
        A5,
        update((2, 6), "b", 5, STALE),
        update((3, 7), "c", 5, version=8),
        read((8, 9), "c", 8),
    ),
    "deleted and made anew": (A5, delete((2, 3)), create((4, 5), "b", version=9)),
    "deleted and made anew within one entry": (
        A5,
        delete((2, 8)),
        create((2, 8), "b", version=9),
        delete((2, 8)),
        create((2, 8), "c", version=9),
        read((9, 10), "c", 9),
    ),
    "a lost write took effect": (A5, update(lost(2), "b", 5), read((4, 5), "b")),
    "a lost write never did": (A5, update(lost(2), "b", 5), read((4, 5), "a"), read((8, 9), "a")),
    "a lost write takes effect late": (
        A5,
        update(lost(2), "b", 5),
        read((4, 5), "a"),
        read((6, 7), "b"),
        update((8, 9), "c", 5, STALE),
    ),
    "a lost write came too late": (
        A5,
        update(lost(1.5), "x", 5),
        B7,
        read((4, 5), "b"),
    ),
    "a lost delete took effect": (A5, delete(lost(2)), read((3, 4), "a"), none((5, 6))),
    "a lost delete was of what came later": (
        delete(lost(0)),
        create((1, 2), "a"),
        read((3, 4), "a"),
        none((5, 6)),
    ),
    "two lost deletes, one between two lives": (
        delete(lost(0)),
        delete(lost(0.5)),
        create((1, 2), "a"),
        create((3, 4), "b"),
        none((5, 6)),
    ),
    "a lost create is deleted": (create(lost(0), "a"), delete((2, 3)), none((4, 5))),
    "a lost create refuses another": (create(lost(0), "a"), create((2, 3), "b", EXISTS)),
    "an update from a version that only a lost write can have": (
        A5,
        update(lost(2), "b", 5),
        update((4, 5), "c", 8, version=9),
    ),
    "an answer without a version fits what is found later": (
        create((0, 1), "a"),
        read((2, 3), "a", 6),
        update((4, 5), "b", 6),
    ),
    "answers at the time of the next call": (create((0, 1), "a"), read((1, 2), "a")),
}

BAD: dict[str, Made] = {
    "a value that was never written": (A5, read((2, 3), "x")),
    "a value before it was written": (read((0, 1), "a"), create((2, 3), "a")),
    "a stale read": (A5, B7, read((4, 5), "a", 5)),
    "a stale read, from before it was made": (A5, none((2, 3))),
    "a read of what was deleted": (A5, delete((2, 3)), read((4, 5), "a")),
    "new, then old, seen by others": (
        A5,
        update((2, 9), "b", 5, version=7),
        read((3, 4), "b"),
        read((5, 6), "a"),
    ),
    "two clients see two writes in two orders": (
        create((0, 9), "a"),
        delete((0, 9)),
        create((0, 9), "b"),
        read((1, 2), "a"),
        read((3, 4), "b"),
        read((5, 6), "a"),
    ),
    "a lost update: both were made from one version": (
        A5,
        update((2, 4), "b", 5, version=7),
        update((3, 5), "c", 5, version=8),
    ),
    "an update that was acknowledged and is gone": (A5, B7, update((4, 5), "c", 5, version=9)),
    "an update that was acknowledged and is refused": (A5, B7, update((4, 5), "c", 7, STALE)),
    "a retried create that had two effects": (
        create((0, 1), "a"),
        read((2, 3), "a", 5),
        delete((4, 5)),
        read((6, 7), "a", 9),
    ),
    "a create that was carried out twice": (create((0, 1), "a"), create((2, 3), "b")),
    "a lost create that had two effects": (
        create(lost(0), "a"),
        read((2, 3), "a", 5),
        delete((4, 5)),
        read((6, 7), "a", 9),
    ),
    "a refusal without a cause": (create((0, 1), "a", EXISTS),),
    "an update of nothing is refused as stale": (update((0, 1), "a", 5, STALE),),
    "a delete of what was there finds nothing": (A5, delete((2, 3), ABSENT)),
    "a delete that was acknowledged twice": (A5, delete((2, 5)), delete((3, 6))),
    "a lost write takes effect before its call": (
        A5,
        read((2, 3), "b"),
        update(lost(4), "b", 5),
    ),
    "a lost write takes effect twice": (
        A5,
        update(lost(2), "b", 5),
        read((3, 4), "b", 7),
        update((5, 6), "c", 7, version=8),
        read((7, 8), "b"),
    ),
    "a lost write from a version that is over": (
        A5,
        B7,
        update(lost(4), "x", 5),
        read((6, 7), "x"),
    ),
    "one lost delete cannot end two lives": (
        create((0, 1), "a"),
        delete(lost(2)),
        create((3, 4), "b"),
        none((5, 6)),
    ),
    "versions that fall": (
        create((0, 1), "a", version=9),
        delete((2, 3)),
        create((4, 5), "b", version=7),
    ),
    "an update that keeps its version": (A5, update((2, 3), "b", 5, version=5)),
    "one value under two versions": (A5, read((2, 3), "a", 6)),
    "another version than was read": (A5, update((2, 3), "b", 6, version=8)),
}


@pytest.mark.parametrize("name", GOOD)
def test_a_good_history_is_accepted(name: str) -> None:
    assert is_linearizable(GOOD[name])


@pytest.mark.parametrize("name", BAD)
def test_a_bad_history_is_refused(name: str) -> None:
    assert not is_linearizable(BAD[name])


@pytest.mark.parametrize("name", [*GOOD, *BAD])
def test_the_order_in_which_a_history_is_handed_in_does_not_matter(name: str) -> None:
    history = (GOOD | BAD)[name]
    assert is_linearizable(history[::-1]) is (name in GOOD)


def test_every_register_is_judged_for_itself() -> None:
    history = [*GOOD["one after another"], Operation("c", "other", Kind.READ, DONE, 3, 4, "x")]
    assert list(bad_keys(history)) == ["other"]
    assert bad_keys(history[:-1]) == {}


@pytest.mark.parametrize(
    ("kind", "outcome", "called", "returned", "expected"),
    [
        (Kind.READ, Outcome.UNKNOWN, 0, math.inf, None),
        (Kind.CREATE, ABSENT, 0, 1, None),
        (Kind.DELETE, STALE, 0, 1, None),
        (Kind.CREATE, DONE, 1, 1, None),
        (Kind.CREATE, DONE, 1, math.inf, None),
        (Kind.CREATE, Outcome.UNKNOWN, 0, 1, None),
        (Kind.UPDATE, DONE, 0, 1, None),
        (Kind.DELETE, DONE, 0, 1, 5),
    ],
)
def test_what_no_client_can_have_seen_is_no_operation(
    kind: Kind, outcome: Outcome, called: float, returned: float, expected: int | None
) -> None:
    with pytest.raises(ValueError, match=r"answer|update"):
        Operation("c", "k", kind, outcome, called, returned, expected=expected)
