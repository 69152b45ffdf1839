"""What a guardian does at which moment."""

from hypothesis import given
from hypothesis import strategies as st

from runtime.volume.guard import LAPSED, PATIENCE, Guard, LetGo, Watch, notice_of

MOMENT = st.floats(0, 1e6, allow_nan=False)


def test_a_lease_of_ten_seconds_is_let_go_two_seconds_before_its_end() -> None:
    guard = Guard(110.0, notice_of(10.0))
    assert guard.step(100.0) == Watch(8.0)
    assert guard.step(108.0) == LetGo(LAPSED, 2.0)


def test_the_notice_is_never_shorter_than_a_second() -> None:
    assert [notice_of(term) for term in (0.0, 5.0, 60.0)] == [1.0, 1.0, 12.0]


def test_a_renewal_comes_in_time_or_not_at_all() -> None:
    guard = Guard(110.0, 2.0)
    assert guard.renew(115.0, 107.9)
    assert guard.step(112.9) == Watch(115.0 - 2.0 - 112.9)
    assert not guard.renew(200.0, 113.0), "letting go has begun"
    assert isinstance(guard.step(113.0), LetGo)


def test_a_renewal_that_came_late_takes_nothing_back() -> None:
    guard = Guard(110.0, 2.0)
    assert guard.renew(105.0, 100.0)
    assert guard.until == 110.0


def test_a_dead_server_ends_a_mount_with_and_without_a_lease() -> None:
    leased, free = Guard(110.0, 2.0), Guard(None, 1.0)
    for guard, left in ((leased, 10.0), (free, PATIENCE)):
        guard.lose("sshfs has ended")
        guard.lose("and something else")
        assert guard.step(100.0) == LetGo("sshfs has ended", left)
    assert not leased.renew(200.0, 100.0)


def test_without_a_lease_it_waits_for_ever() -> None:
    guard = Guard(None, 1.0)
    assert guard.step(1e9) == Watch(None)
    assert not guard.renew(1.0, 0.0)


@given(until=MOMENT, notice=st.floats(1, 100), moments=st.lists(MOMENT, min_size=1))
def test_once_it_lets_go_it_never_watches_again_and_never_beyond_the_lease(
    until: float, notice: float, moments: list[float]
) -> None:
    guard = Guard(until, notice)
    letting_go = False
    for now in sorted(moments):
        guard.renew(now + notice + 1, now)
        step = guard.step(now)
        assert not (letting_go and isinstance(step, Watch))
        letting_go = letting_go or isinstance(step, LetGo)
        assert guard.until is not None
        if isinstance(step, Watch):
            assert step.seconds is not None
            assert now + step.seconds <= guard.until - notice + 1e-6
        else:
            assert step.seconds <= max(0.0, guard.until - now)
