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


def test_a_part_that_breaks_down_stops_no_other_and_is_told(
    caplog: pytest.LogCaptureFixture,
) -> None:
    outcome = Outcome()
    with outcome.a_round(), outcome.part():
        raise RuntimeError("can't start new thread")
    assert outcome.stale
    assert "can't start new thread" in str(outcome.trouble)
    assert "Traceback" in caplog.text


def test_what_lacks_leaves_nothing_behind() -> None:
    outcome = Outcome()
    error = SwarmError(Code.REFUSED, "no WireGuard")
    with outcome.a_round():
        outcome.failed(error, stale=False)
    assert outcome.trouble is error
    assert not outcome.stale


def test_nothing_counts_as_gone_before_the_round_is_whole() -> None:
    outcome = Outcome()
    with pytest.raises(KeyError), outcome.a_round():
        raise KeyError
    assert outcome.stale
    assert outcome.trouble is not None
    with outcome.a_round():
        assert outcome.stale
    assert not outcome.stale


def test_a_round_that_is_not_whole_forgets_nothing() -> None:
    outcome = Outcome()
    with outcome.a_round():
        outcome.failed(OSError("it stays"), stale=True)
    with outcome.a_round(whole=False):
        pass
    assert outcome.stale
    assert "it stays" in str(outcome.trouble)
    with outcome.a_round():
        pass
    with outcome.a_round(whole=False), outcome.part():
        raise OSError("it stays too")
    assert outcome.stale
