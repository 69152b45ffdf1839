"""The simulator finds every planted bug, each within its budget: so the tests are tested."""

import pytest

from tests.sim.raft.mutants import MUTANTS, Mutant


@pytest.mark.parametrize("mutant", MUTANTS.values(), ids=MUTANTS.keys())
def test_a_planted_bug_is_found(mutant: Mutant) -> None:
    events, verdict = mutant.hunt()
    assert verdict is not None, (
        f"{mutant.what} Not found in {events} events of {mutant.seeds} seeds"
    )


def test_there_are_as_many_as_the_rules_they_break() -> None:
    assert len(MUTANTS) >= 24
    assert all(mutant.what.endswith(".") for mutant in MUTANTS.values())
