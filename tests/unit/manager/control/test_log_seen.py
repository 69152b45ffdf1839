"""A second telling of a log: every line comes exactly once, wherever the first one broke off."""

import pytest

from api.times import timestamp
from api.v1 import logs_pb2
from manager.control.log_seen import Seen

STAMPS = [10.0, 11.0, 11.0, 11.0, 12.0, 11.5, 12.0]
"""Some lines bear one time; once the clock was set back."""


def line(task_id: str, at: float, text: str) -> logs_pb2.LogMessage:
    return logs_pb2.LogMessage(task_id=task_id, at=timestamp(at), data=text.encode())


def log_of(task_id: str, stamps: list[float]) -> list[logs_pb2.LogMessage]:
    return [line(task_id, at, f"{task_id}-{index}") for index, at in enumerate(stamps)]


def tell(seen: Seen, lines: list[logs_pb2.LogMessage]) -> list[logs_pb2.LogMessage]:
    fresh = seen.fresh(lines)
    seen.took(fresh)
    return fresh


@pytest.mark.parametrize("first", range(6))
@pytest.mark.parametrize("second", range(6))
def test_nothing_is_lost_or_doubled(first: int, second: int) -> None:
    log, seen = log_of("t1", STAMPS[:5]), Seen()
    heard = tell(seen, log[:first])
    seen.resume()
    heard += tell(seen, log[:second])
    seen.resume()
    heard += tell(seen, log)
    assert heard == log


def test_times_that_go_back_are_no_trouble_without_a_second_telling() -> None:
    log = log_of("t1", STAMPS)
    assert tell(Seen(), log) == log


def test_tasks_are_told_apart() -> None:
    ahead, behind, seen = log_of("t1", [50.0, 60.0]), log_of("t2", [10.0, 20.0]), Seen()
    tell(seen, ahead)
    tell(seen, behind[:1])
    assert seen.resume() == timestamp(10.0)
    new = log_of("t3", [5.0])
    assert tell(seen, [*new, *behind, *ahead]) == [*new, behind[1]]


def test_a_node_of_which_nothing_came_begins_anew() -> None:
    assert Seen().resume() is None
