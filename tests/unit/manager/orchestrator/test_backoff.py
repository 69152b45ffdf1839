"""How long a crash loop waits, and when it counts as one no longer."""

import pytest

from api import states
from api.v1.types_pb2 import TaskState
from manager.orchestrator.backoff import failures_in_a_row, restart_delay, well_at
from manager.state.swarm_clock import FURTHEST
from tests.support.builders import EPOCH, task, task_spec


@pytest.mark.parametrize(
    ("delay", "expected"),
    [
        (None, [5, 5, 10, 20, 40, 80, 160, 300, 300]),
        (0, [0, 0, 1, 2, 4, 8, 16, 32, 64]),
        (0.1, [0.1, 0.1, 1, 2, 4, 8, 16, 32, 64]),
        (200, [200, 200, 300, 300, 300, 300, 300, 300, 300]),
        (900, [900] * 9),
    ],
)
def test_the_delay_doubles_up_to_five_minutes(delay: float | None, expected: list[float]) -> None:
    policy = task_spec(delay=delay).restart
    assert [restart_delay(policy, failures) for failures in range(9)] == expected
    assert restart_delay(policy, 1 << 31) == max(300, delay or 0)


@pytest.mark.parametrize(
    ("state", "count"),
    [
        (states.FAILED, 4),
        (states.REJECTED, 4),
        (states.COMPLETE, 0),
        (states.RUNNING, 3),
        (states.SHUTDOWN, 3),
        (states.ORPHANED, 3),
    ],
)
def test_what_counts_as_a_failure(state: TaskState.ValueType, count: int) -> None:
    ended = task("t", state=state)
    ended.restarts = 3
    assert failures_in_a_row(ended) == count


@pytest.mark.parametrize(("restarts", "seconds"), [(1, 60), (2, 100), (4, 400), (9, 3000)])
def test_how_long_it_has_to_run(restarts: int, seconds: float) -> None:
    running = task("t")
    running.restarts = restarts
    assert well_at(running, EPOCH) == EPOCH + seconds
    assert well_at(running, EPOCH - 2 * FURTHEST) == seconds, "the clock was wholly wrong"
