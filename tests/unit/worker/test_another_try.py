"""Which failures are temporary."""

import pytest

from api.errors import Code, SwarmError
from worker import another_try
from worker.executor import TemporaryError


@pytest.mark.parametrize(
    ("code", "temporary"),
    [(Code.DEADLINE, True), (Code.EXHAUSTED, True), (Code.INTERNAL, False), (Code.REFUSED, False)],
)
def test_which_failures_are_worth_another_try(code: Code, temporary: bool) -> None:
    with pytest.raises(SwarmError) as caught, another_try.sorted_out():
        raise SwarmError(code, "what", why="why")
    assert isinstance(caught.value, TemporaryError) is temporary
    assert str(caught.value) == "what: why"


def test_a_step_that_has_to_be_done_is_always_worth_another_try() -> None:
    with pytest.raises(TemporaryError, match="what"), another_try.always():
        raise SwarmError(Code.REFUSED, "what")
