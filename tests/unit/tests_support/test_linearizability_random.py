"""The checker on histories of a real sequential object, true ones and such with one lie."""

import itertools
import math
import random
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support.linearizability.checker import bad_keys, is_linearizable
from tests.support.linearizability.explain import explain, smallest_part
from tests.support.linearizability.history import Kind, Operation, Outcome, load, save
from tests.support.linearizability.register import ABSENT, step
from tests.support.linearizability.sequential import Lie, Registers, random_history

DONE, UNKNOWN = Outcome.DONE, Outcome.UNKNOWN
SEEDS = range(60)
CAUGHT = {
    Lie.STALE_READ: 1.0,
    Lie.INVENTED: 1.0,
    Lie.TWICE: 0.95,
    Lie.UNCHECKED: 0.9,
    Lie.UNDONE: 0.75,
    Lie.FORGOTTEN: 0.7,
}
"""The share of histories in which a lie must be seen. It may go unseen where what was written
wrongly, or not at all, is deleted before anybody looks, or was of a lost call anyway."""


def lying(lie: Lie, seed: int) -> list[Operation]:
    """A history with one lie in its middle; none if there was no occasion."""
    registers = Registers(lie, after=60)
    history = random_history(random.Random(seed), registers=registers)
    return history if registers.lied else []


@settings(max_examples=80, deadline=None)
@given(st.integers(), st.integers(1, 8), st.integers(0, 120), st.integers(1, 4))
def test_what_a_sequential_object_did_is_accepted(
    seed: int, clients: int, operations: int, keys: int
) -> None:
    history = random_history(random.Random(seed), clients=clients, operations=operations, keys=keys)
    assert explain(history) == ""


@pytest.mark.parametrize("lie", Lie)
def test_one_lie_is_seen(lie: Lie) -> None:
    told = [history for seed in SEEDS if (history := lying(lie, seed))]
    caught = sum(bool(bad_keys(history)) for history in told)
    assert len(told) >= len(SEEDS) * 0.85
    assert caught >= len(told) * CAUGHT[lie]


@settings(max_examples=300, deadline=None)
@given(st.integers(), st.sampled_from([None, *Lie]))
def test_it_agrees_with_one_that_tries_every_order(seed: int, lie: Lie | None) -> None:
    history = random_history(
        random.Random(seed), clients=3, operations=7, keys=1, registers=Registers(lie)
    )
    assert is_linearizable(history) is by_force(history)


def by_force(history: Sequence[Operation]) -> bool:
    """Every order of all that was answered with any choice of what was not."""
    return any(
        is_in_order(order) and is_answered_so(order)
        for chosen in choices(history)
        for order in itertools.permutations(chosen)
    )


def choices(history: Sequence[Operation]) -> Iterator[list[Operation]]:
    answered = [each for each in history if not each.is_unknown]
    unanswered = [each for each in history if each.is_unknown]
    for count in range(len(unanswered) + 1):
        for chosen in itertools.combinations(unanswered, count):
            yield [*answered, *chosen]


def is_in_order(order: Sequence[Operation]) -> bool:
    return all(
        not later.returned <= earlier.called
        for earlier, later in itertools.combinations(order, 2)
        if not math.isinf(later.returned)
    )


def is_answered_so(order: Iterable[Operation]) -> bool:
    state = ABSENT
    for operation in order:
        after = step(state, operation)
        if after is None:
            return False
        state = after
    return True


@pytest.mark.parametrize("lie", [None, Lie.UNCHECKED, Lie.STALE_READ])
def test_it_manages_five_clients_with_four_hundred_operations_each(lie: Lie | None) -> None:
    registers = Registers(lie, after=1500)
    history = random_history(
        random.Random(7), clients=5, operations=2000, keys=5, registers=registers
    )
    assert len(history) == 2000
    assert bool(bad_keys(history)) is (lie is not None)


@pytest.mark.parametrize("lie", [Lie.STALE_READ, Lie.TWICE, Lie.UNCHECKED, Lie.INVENTED])
def test_the_part_that_is_shown_is_small_and_bad_by_itself(lie: Lie) -> None:
    for seed in SEEDS[:8]:
        for operations in bad_keys(lying(lie, seed)).values():
            part = smallest_part(operations)
            assert len(part) <= 8
            assert not is_linearizable(part)


def test_the_explanation_can_be_read() -> None:
    history = [
        Operation("a", "k", *parts)
        for parts in (
            (Kind.CREATE, DONE, 0.0, 1.0, "v1", None, 5),
            (Kind.READ, DONE, 1.1, 1.2, "v1", None, 5),
            (Kind.UPDATE, DONE, 2.0, 3.0, "v2", 5, 7),
            (Kind.UPDATE, UNKNOWN, 2.5, math.inf, "v3", 7, None),
            (Kind.READ, DONE, 4.0, 4.5, "v1", None, 5),
            (Kind.DELETE, DONE, 6.0, 7.0, "", None, None),
        )
    ]
    assert explain(history).splitlines() == [
        "no order explains what k answered (times in ms):",
        "        0.0 -    1000.0  a      update from version 5 to v2 -> done at version 7",
        "     2000.0 -    2500.0  a      read found v1 -> done at version 5",
    ]


def test_a_good_history_is_not_explained() -> None:
    with pytest.raises(ValueError, match="the history is good"):
        smallest_part(random_history(random.Random(1), keys=1))


def test_a_history_is_read_as_it_was_written(tmp_path: Path) -> None:
    history = random_history(random.Random(1))
    save(history, tmp_path / "history")
    assert load(tmp_path / "history") == history
