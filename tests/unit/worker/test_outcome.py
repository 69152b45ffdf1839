"""What is left of a round in which something failed."""

import pytest

from api.errors import Code, SwarmError
from worker.outcome import Outcome


def test_a_part_that_fails_stops_no_other_and_is_told() -> None:
    outcome = Outcome()
    done: list[str] = []
    with outcome.a_round():
        with outcome.part():
            raise OSError(5, "it broke")
        with outcome.part():
            done.append("links")
    assert done == ["links"]
    assert outcome.trouble is not None
    assert "it broke" in str(outcome.trouble)
    assert outcome.stale
    with outcome.a_round():
        pass
    assert (outcome.trouble, outcome.stale) == (None, False)


def test_what_lacks_leaves_nothing_behind() -> None:
    outcome = Outcome()
    error = SwarmError(Code.REFUSED, "no WireGuard")
    with outcome.a_round():
        outcome.failed(error, stale=False)
    assert outcome.trouble is error
    assert not outcome.stale


def test_nothing_counts_as_gone_before_the_round_is_whole() -> None:
    outcome = Outcome()
    with outcome.a_round():
        outcome.failed(OSError("it stays"), stale=True)
    with pytest.raises(KeyError), outcome.a_round():
        raise KeyError
    assert outcome.stale
