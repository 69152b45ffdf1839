from pathlib import Path

import pytest

from api.errors import Code, SwarmError
from machine.drivers.lab.lock import machine_lock


def test_one_at_a_time_and_the_holder_is_named(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    ticks = iter(range(100))
    slept: list[float] = []
    with machine_lock("the first", path=path):
        second = machine_lock(
            "the second", path=path, timeout=3, now=lambda: next(ticks), sleep=slept.append
        )
        with pytest.raises(SwarmError, match=r"held by the first \(pid") as refused, second:
            pass
    assert refused.value.code is Code.DEADLINE
    assert len(slept) == 2
    with machine_lock("the third", path=path):
        assert path.read_text().startswith("the third (pid")


def test_a_waiter_gets_it_when_the_holder_ends(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    first = machine_lock("the first", path=path)
    first.__enter__()

    def sleep(seconds: float) -> None:
        first.__exit__(None, None, None)

    with machine_lock("the second", path=path, sleep=sleep):
        assert path.read_text().startswith("the second")
