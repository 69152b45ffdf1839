"""Every state and desired state, and what each outcome makes of each."""

import pytest

from api import states
from api.states import (
    ACCEPTED,
    COMPLETE,
    FAILED,
    PREPARING,
    READY,
    REJECTED,
    RUNNING,
    SHUTDOWN,
    STARTING,
    UNHEALTHY,
    UNPROVEN,
)
from api.times import seconds_of, timestamp
from api.v1 import objects_pb2, types_pb2
from tests.support.fake_executor import Exit
from worker import task_machine
from worker.executor import Health
from worker.task_machine import (
    Action,
    Advance,
    Ended,
    Failure,
    Judged,
    Perform,
    Prepared,
    Started,
    Step,
)

NOW = 1_000_000.0

# What follows from the observed state (rows) under each desired state (columns).
STEPS = """
            READY      RUNNING    COMPLETE   SHUTDOWN   REMOVE
NEW         >accepted  >accepted  >accepted  shutdown   shutdown
PENDING     >accepted  >accepted  >accepted  shutdown   shutdown
ASSIGNED    >accepted  >accepted  >accepted  shutdown   shutdown
ACCEPTED    >preparing >preparing >preparing shutdown   shutdown
PREPARING   prepare    prepare    prepare    shutdown   shutdown
READY       -          >starting  >starting  shutdown   shutdown
STARTING    -          start      start      shutdown   shutdown
RUNNING     -          wait       wait       shutdown   shutdown
COMPLETE    -          -          -          -          -
SHUTDOWN    -          -          -          -          -
FAILED      -          -          -          -          -
REJECTED    -          -          -          -          -
ORPHANED    -          -          -          -          -
"""


def status(state: types_pb2.TaskState.ValueType, message: str = "before") -> objects_pb2.TaskStatus:
    made = objects_pb2.TaskStatus(state=state, message=message, error="old")
    made.at.CopyFrom(timestamp(NOW - 50))
    return made


def rows() -> list[tuple[str, str, str]]:
    head, *lines = STEPS.strip().splitlines()
    return [
        (state, desired, expected)
        for line in lines
        for state, *cells in [line.split()]
        for desired, expected in zip(head.split(), cells, strict=True)
    ]


def told(step: Step) -> str:
    match step:
        case Advance(status=after):
            assert after.message == states.state_name(after.state).lower()
            assert after.error == ""
            assert seconds_of(after.at) == NOW
            return f">{after.message}"
        case Perform(action=action):
            return action.value
    return "-"


@pytest.mark.parametrize(("state", "desired", "expected"), rows())
def test_step(state: str, desired: str, expected: str) -> None:
    before = status(getattr(states, state))
    untouched = before.SerializeToString()
    assert told(task_machine.next_step(getattr(states, desired), before, NOW)) == expected
    assert before.SerializeToString() == untouched


def test_every_state_is_in_the_table() -> None:
    assert {row[0] for row in rows()} == {
        name.removeprefix("TASK_STATE_")
        for name in types_pb2.TaskState.keys()  # noqa: SIM118
    } - {"REMOVE"}


RUNS = objects_pb2.ContainerStatus(container_id="c", pid=7)
PREPARE, START, WAIT, STOP = Action.PREPARE, Action.START, Action.WAIT, Action.SHUTDOWN


@pytest.mark.parametrize(
    ("before", "action", "outcome", "after", "message", "error"),
    [
        (PREPARING, PREPARE, Prepared(), READY, "prepared", ""),
        (STARTING, START, Started(RUNS), RUNNING, "started", ""),
        (RUNNING, WAIT, Ended(Exit(0)), COMPLETE, "finished", ""),
        (RUNNING, WAIT, Ended(Exit(1)), FAILED, "before", "task: non-zero exit (1)"),
        (
            RUNNING,
            WAIT,
            Ended(Exit(137, oom_killed=True)),
            FAILED,
            "before",
            "task: non-zero exit (137): out of memory",
        ),
        (RUNNING, WAIT, Ended(Exit(0, oom_killed=True)), COMPLETE, "finished", ""),
        (
            RUNNING,
            WAIT,
            Ended(Exit(255, message="monitor lost")),
            FAILED,
            "before",
            "task: non-zero exit (255): monitor lost",
        ),
        (RUNNING, WAIT, Ended(None), FAILED, "before", "task: its container is gone"),
        (RUNNING, STOP, Ended(Exit(143)), SHUTDOWN, "shutdown", ""),
        (RUNNING, STOP, Ended(Exit(0)), SHUTDOWN, "shutdown", ""),
        *[
            (state, STOP, Ended(None), SHUTDOWN, "shutdown", "")
            for state in (ACCEPTED, PREPARING, READY, STARTING)
        ],
        *[
            (state, action, Failure("it broke"), REJECTED, "before", "it broke")
            for state, action in ((PREPARING, PREPARE), (ACCEPTED, STOP), (READY, STOP))
        ],
        *[
            (state, action, Failure("it broke"), FAILED, "before", "it broke")
            for state, action in ((STARTING, START), (RUNNING, WAIT), (RUNNING, STOP))
        ],
        *[
            (state, action, Failure("not now", temporary=True), state, "before", "not now")
            for state, action in (
                (PREPARING, PREPARE),
                (STARTING, START),
                (RUNNING, WAIT),
                (RUNNING, STOP),
            )
        ],
    ],
)
def test_outcome(
    before: types_pb2.TaskState.ValueType,
    action: Action,
    outcome: task_machine.Outcome,
    after: types_pb2.TaskState.ValueType,
    message: str,
    error: str,
) -> None:
    found = task_machine.conclude(status(before), outcome, stopping=action is STOP, now=NOW)
    assert (found.state, found.message, found.error) == (after, message, error)
    assert after >= before


def test_a_started_task_says_which_container_and_an_ended_one_how() -> None:
    running = task_machine.conclude(status(STARTING), Started(RUNS), stopping=False, now=NOW)
    assert (running.container.container_id, running.container.pid) == ("c", 7)
    ended = task_machine.conclude(running, Ended(Exit(9, True)), stopping=False, now=NOW)
    assert ended.container == objects_pb2.ContainerStatus(
        container_id="c", exit_code=9, oom_killed=True
    )
    stopped = task_machine.conclude(running, Ended(Exit(143)), stopping=True, now=NOW)
    assert stopped.container.exit_code == 143


@pytest.mark.parametrize(
    ("ended_at", "reported_at"),
    [(NOW - 20, NOW - 20), (NOW - 90, NOW - 50), (NOW + 90, NOW)],
    ids=["while away", "clock behind the step before", "clock ahead"],
)
def test_an_end_bears_its_own_time(ended_at: float, reported_at: float) -> None:
    end = Ended(Exit(1, at=ended_at))
    found = task_machine.conclude(status(RUNNING), end, stopping=False, now=NOW)
    assert seconds_of(found.at) == reported_at


def test_no_report_is_older_than_the_one_before_though_the_clock_is_set_back() -> None:
    before = task_machine.conclude(status(STARTING), Started(RUNS), stopping=False, now=NOW)
    failure = Failure("the runtime is not there", temporary=True)
    for outcome in (failure, Ended(Exit(1, at=NOW - 3600))):
        after = task_machine.conclude(before, outcome, stopping=False, now=NOW - 3600)
        assert (after.at, after != before) == (before.at, True)
    later = task_machine.conclude(before, failure, stopping=False, now=NOW + 1)
    assert seconds_of(later.at) == NOW + 1


# --- health checks ------------------------------------------------------------------------------

SERVING, ILL = states.HEALTHY, "unhealthy: 3 probes failed in a row: no answer"
PROBES = tuple(objects_pb2.HealthProbe(exit_code=code) for code in (1, 1, 0))


def checked(
    state: types_pb2.TaskState.ValueType, health: types_pb2.HealthState.ValueType
) -> objects_pb2.TaskStatus:
    made = status(state)
    made.container.CopyFrom(objects_pb2.ContainerStatus(container_id="c", pid=7, health=health))
    if health == UNHEALTHY:
        made.error = ILL
    return made


@pytest.mark.parametrize(
    ("state", "health", "desired", "expected"),
    [
        (STARTING, UNPROVEN, RUNNING, "wait"),
        (STARTING, UNPROVEN, COMPLETE, "wait"),
        (STARTING, UNPROVEN, SHUTDOWN, "shutdown"),
        (RUNNING, SERVING, RUNNING, "wait"),
        (STARTING, UNHEALTHY, RUNNING, "shutdown"),
        (RUNNING, UNHEALTHY, RUNNING, "shutdown"),
        (RUNNING, UNHEALTHY, SHUTDOWN, "shutdown"),
        (FAILED, UNHEALTHY, RUNNING, "-"),
        (FAILED, UNHEALTHY, SHUTDOWN, "-"),
    ],
)
def test_step_with_a_health_check(
    state: types_pb2.TaskState.ValueType,
    health: types_pb2.HealthState.ValueType,
    desired: types_pb2.TaskState.ValueType,
    expected: str,
) -> None:
    assert told(task_machine.next_step(desired, checked(state, health), NOW)) == expected


def test_a_task_runs_from_when_it_is_healthy() -> None:
    runs = objects_pb2.ContainerStatus(container_id="c", pid=7, health=UNPROVEN)
    started = task_machine.conclude(status(STARTING), Started(runs), stopping=False, now=NOW)
    assert (started.state, started.message, started.error) == (STARTING, "not healthy yet", "")
    assert started.container == runs
    well = Judged(Health(SERVING, "", PROBES))
    healthy = task_machine.conclude(started, well, stopping=False, now=NOW + 5)
    assert (healthy.state, healthy.message, healthy.error) == (RUNNING, "healthy", "")
    assert (healthy.container.pid, healthy.container.health) == (7, SERVING)
    assert tuple(healthy.container.health_log) == PROBES
    assert seconds_of(healthy.at) == NOW + 5


@pytest.mark.parametrize("state", [STARTING, RUNNING])
def test_an_unhealthy_task_fails_when_it_is_stopped(
    state: types_pb2.TaskState.ValueType,
) -> None:
    before = checked(state, UNPROVEN if state == STARTING else SERVING)
    before.container.health_log.extend(PROBES)
    verdict = Judged(Health(UNHEALTHY, "3 probes failed in a row: no answer", PROBES[:2]))
    ill = task_machine.conclude(before, verdict, stopping=False, now=NOW)
    assert (ill.state, ill.message, ill.error) == (state, "unhealthy", ILL)
    assert tuple(ill.container.health_log) == PROBES[:2]
    again = task_machine.conclude(ill, Failure("late", temporary=True), stopping=True, now=NOW)
    assert (again.state, again.error) == (state, ILL)
    for outcome in (Ended(Exit(143)), Ended(None), Failure("it cannot be stopped")):
        failed = task_machine.conclude(again, outcome, stopping=True, now=NOW)
        assert (failed.state, failed.message, failed.error) == (FAILED, "unhealthy", ILL)
        assert failed.container.health == UNHEALTHY
    failed = task_machine.conclude(ill, Ended(Exit(143)), stopping=True, now=NOW)
    assert (failed.container.pid, failed.container.exit_code) == (0, 143)


def test_a_task_says_why_it_is_not_healthy_yet() -> None:
    before = checked(STARTING, UNPROVEN)
    first = Health(UNPROVEN, "no database", PROBES[:1])
    found = task_machine.still_unproven(before, first, NOW)
    assert found is not None
    assert (found.state, found.message) == (STARTING, "not healthy yet")
    assert found.error == "not healthy yet: no database"
    assert tuple(found.container.health_log) == PROBES[:1]
    assert told(task_machine.next_step(RUNNING, found, NOW)) == "wait"
    assert task_machine.still_unproven(found, first, NOW + 600) is None, "nothing is new"
    other = Health(UNPROVEN, "no table")
    assert task_machine.still_unproven(found, other, NOW + 59.9) is None
    later = task_machine.still_unproven(found, other, NOW + 60)
    assert later is not None
    assert later.error == "not healthy yet: no table"
    healthy = task_machine.conclude(
        later, Judged(Health(SERVING, "")), stopping=False, now=NOW + 70
    )
    assert (healthy.state, healthy.error) == (RUNNING, "")


def test_a_task_that_ends_before_it_is_healthy() -> None:
    before = checked(STARTING, UNPROVEN)
    ended = task_machine.conclude(before, Ended(Exit(1)), stopping=False, now=NOW)
    assert (ended.state, ended.error) == (FAILED, "task: non-zero exit (1)")
    ended = task_machine.conclude(before, Ended(Exit(0)), stopping=False, now=NOW)
    assert (ended.state, ended.error) == (COMPLETE, "")


def test_retries_become_rarer() -> None:
    delays = [task_machine.retry_delay(failures) for failures in range(1, 8)]
    assert delays == [1, 2, 4, 8, 16, 30, 30]
    assert task_machine.retry_delay(10_000) == 30


@pytest.mark.parametrize(
    ("waited", "again"), [(0, False), (59.9, False), (60, True), (600, True), (-3600, True)]
)
def test_how_much_of_an_image_has_come_is_told_once_a_minute(waited: float, again: bool) -> None:
    assert task_machine.tells_again(NOW, NOW + waited) == again


@pytest.mark.parametrize(
    ("came", "total", "message"),
    [
        (5_240_000, 9_000_000, "preparing: 5.2 of 9.0 MB"),
        (1_200_000_000, 3_400_000_000, "preparing: 1.2 of 3.4 GB"),
    ],
)
def test_a_task_whose_image_comes_is_still_preparing(came: int, total: int, message: str) -> None:
    found = task_machine.still_preparing(status(PREPARING), came, total, NOW)
    assert (found.state, found.message, found.error) == (PREPARING, message, "")
    assert seconds_of(found.at) == NOW
