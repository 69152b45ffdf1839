"""What is remembered of the tasks before one, once the history of the slot is gone."""

from hypothesis import given
from hypothesis import strategies as st

from api import states
from api.times import seconds_of, timestamp
from api.v1 import objects_pb2
from manager.orchestrator.attempts import GRAIN, attempts_before, restarts_of
from tests.support.builders import EPOCH, task, task_spec

FAILED, SHUTDOWN = states.FAILED, states.SHUTDOWN
Task = objects_pb2.Task
End = tuple[int, bool, float]
"""Version of the spec, whether it ended by itself, and how long it ran."""

ends = st.lists(
    st.tuples(st.integers(1, 2), st.booleans(), st.integers(1, 12).map(float)), max_size=25
)


def slot(history: list[End], window: float) -> list[Task]:
    """Ended tasks, each of which knows no more than the one before it did."""
    spec = task_spec(max_attempts=3, window=window)
    made: list[Task] = []
    for number, (version, by_itself, ran) in enumerate(sorted(history, key=lambda end: end[0])):
        state = FAILED if by_itself else SHUTDOWN
        each = task(f"t{number}", state=state, desired=SHUTDOWN, spec=spec, version=version)
        each.meta.created_at.CopyFrom(timestamp(EPOCH))
        each.meta.updated_at.CopyFrom(timestamp(EPOCH + ran))
        each.attempts.extend(attempts_before(made[-1:], version))
        made.append(each)
    return made


def counted(tasks: list[Task], window: float) -> int:
    """The same of the whole history: restarts since which the window has not been run through."""
    last = tasks[-1]
    attempts = [
        each
        for each in tasks
        if each.spec_version == last.spec_version and each.status.state == FAILED
    ]
    if not window:
        return len(attempts) - 1
    ran, count = 0.0, 0
    for each in reversed(attempts[1:]):
        ran += seconds_of(each.meta.updated_at) - EPOCH
        count += ran <= window
    return count


@given(ends, st.sampled_from([0.0, 7.0, 20.0, 49.0]))
def test_the_count_is_that_of_the_whole_history(history: list[End], window: float) -> None:
    tasks = slot(history, window)
    for length, each in enumerate(tasks, 1):
        if each.status.state == FAILED:
            assert restarts_of(each) == counted(tasks[:length], window)


@given(st.lists(st.floats(0, 3), min_size=1, max_size=500), st.sampled_from([0.0, 10.0, 50.0]))
def test_what_is_remembered_stays_small(lives: list[float], window: float) -> None:
    tasks = slot([(1, True, ran) for ran in lives], window)
    assert len(tasks[-1].attempts) <= 2 * GRAIN + 3
    assert window or restarts_of(tasks[-1]) == len(tasks) - 1


def test_nothing_is_remembered_where_attempts_are_not_limited() -> None:
    assert attempts_before([task("t", state=FAILED, desired=SHUTDOWN)], 1) == []


def test_many_short_attempts_count_one_by_one() -> None:
    tasks = slot([(1, True, 0.0)] * 40, window=10)
    assert [each.count for each in tasks[-1].attempts] == [39]
    assert restarts_of(tasks[-1]) == 39
