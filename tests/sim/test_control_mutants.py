"""Every planted bug is found: an invariant that none of them breaks would prove nothing."""

import pytest

from tests.sim.control.mutants import MUTANTS, hunt


@pytest.mark.parametrize("name", MUTANTS)
def test_is_found(name: str) -> None:
    verdict = hunt(MUTANTS[name])
    assert verdict is not None, f"not in {MUTANTS[name].seeds} runs: {MUTANTS[name].patch.__doc__}"
