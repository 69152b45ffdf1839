"""How soon a member is tried again."""

import pytest

from api.errors import Code
from manager.raft.transport.retry import LONGEST, Retry


class Fixed:
    def __init__(self, share: float) -> None:
        self.share = share

    def randrange(self, start: int, stop: int, /) -> int:
        return start + int((stop - start - 1) * self.share)


def delays(retry: Retry, count: int, code: Code = Code.UNAVAILABLE) -> list[float]:
    return [retry.delay(code, 0.0, opened=False) for _ in range(count)]


@pytest.mark.parametrize("share", [0.0, 0.5, 1.0])
def test_delays_double_up_to_an_election_timeout_with_jitter(share: float) -> None:
    for delay, longest in zip(
        delays(Retry(Fixed(share)), 8), [0.1, 0.2, 0.4, 0.8, 1.6, 2, 2, 2], strict=True
    ):
        assert longest / 2 <= delay <= longest
    assert delays(Retry(Fixed(0)), 6) == [0.05, 0.1, 0.2, 0.4, 0.8, 1.0]


def test_what_the_try_took_has_been_waited_for() -> None:
    retry = Retry(Fixed(1))
    delays(retry, 6)
    assert retry.delay(Code.DEADLINE, 0.5, opened=False) == pytest.approx(1.499)
    assert retry.delay(Code.DEADLINE, 2.0, opened=False) == 0


def test_after_a_long_link_the_first_try_follows_at_once() -> None:
    retry = Retry(Fixed(1))
    delays(retry, 6)
    assert retry.delay(Code.UNAVAILABLE, LONGEST, opened=True) == 0
    assert delays(retry, 2) == pytest.approx([0.2, 0.4], rel=0.01)


def test_a_link_that_breaks_again_and_again_is_no_success() -> None:
    retry = Retry(Fixed(1))
    waits = [retry.delay(Code.UNAVAILABLE, 0.01, opened=True) for _ in range(5)]
    assert waits == sorted(waits)
    assert waits[-1] > 1.5


@pytest.mark.parametrize("code", [Code.REFUSED, Code.DENIED, Code.UNAUTHENTICATED])
@pytest.mark.parametrize("share", [0.0, 1.0])
def test_who_refuses_is_asked_slowly_and_others_are_not(code: Code, share: float) -> None:
    retry = Retry(Fixed(share))
    assert all(5 <= delay <= 10 for delay in delays(retry, 5, code))
    assert delays(retry, 1)[0] <= 0.1
