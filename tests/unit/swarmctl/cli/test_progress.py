"""Progress: what stands for a slot, when a service has converged, and what people see meanwhile."""

import pytest

from api import states
from api.times import timestamp
from api.v1 import control_pb2, objects_pb2
from swarmctl.cli import progress
from swarmctl.cli.progress import STABLE_SECONDS, Stability, Watched

Task = objects_pb2.Task
Event = control_pb2.WatchEvent


def task(
    slot: int,
    state: int = states.RUNNING,
    *,
    desired: int = states.RUNNING,
    version: int = 1,
    error: str = "",
    at: float = 1.0,
) -> Task:
    made = Task(
        id=f"t{slot}-{state}-{version}-{at}",
        slot=slot,
        spec_version=version,
        desired_state=desired,  # type: ignore[arg-type]
    )
    made.status.state = state  # type: ignore[assignment]
    made.status.error = error
    made.spec.container.image = f"web:{version}"
    made.meta.created_at.CopyFrom(timestamp(at))
    return made


def watched(replicas: int, *tasks: Task, version: int = 1) -> Watched:
    service = objects_pb2.Service(id="s", spec_version=version)
    service.spec.annotations.name = "web"
    service.spec.replicated.replicas = replicas
    service.spec.task.container.image = f"web:{version}"
    return Watched(service, {each.id: each for each in tasks})


@pytest.mark.parametrize(
    ("seen", "done", "converged"),
    [
        (watched(0), 0, True),
        (watched(2, task(1)), 1, False),
        (watched(2, task(1), task(2)), 2, True),
        (watched(1, task(1, states.STARTING)), 0, False),
        (watched(1, task(1, desired=states.READY)), 0, False),
        (watched(1, task(1, version=1), version=2), 0, False),
        (watched(1, task(1, states.FAILED, at=1), task(1, at=2)), 1, True),
        (watched(1, task(1), task(2, desired=states.REMOVE)), 1, True),
    ],
)
def test_when_a_service_has_converged(seen: Watched, done: int, converged: bool) -> None:
    assert (seen.done(), seen.is_converged()) == (done, converged)


def test_a_spec_that_was_changed_back_is_met_by_the_old_task() -> None:
    seen = watched(1, task(1, version=1), version=3)
    assert not seen.is_converged()
    seen.service.spec.task.container.image = "web:1"
    assert seen.is_converged()


def test_an_update_under_way_has_not_converged() -> None:
    seen = watched(1, task(1))
    seen.service.update_status.state = objects_pb2.UpdateStatus.STATE_UPDATING
    assert not seen.is_converged()
    seen.service.update_status.state = objects_pb2.UpdateStatus.STATE_PAUSED
    seen.service.update_status.message = "web.1 failed"
    assert seen.stopped() == "the update is paused: web.1 failed"


def test_a_setback_starts_the_wait_anew() -> None:
    stability = Stability()
    assert not stability.update(True, 10.0)
    assert not stability.update(True, 14.0)
    assert not stability.update(False, 14.5)
    assert not stability.update(True, 15.0)
    assert not stability.update(True, 15.0 + STABLE_SECONDS - 0.1)
    assert stability.update(True, 15.0 + STABLE_SECONDS)


def test_a_picture_of_a_service_on_its_way() -> None:
    seen = watched(
        4,
        task(1),
        task(2, states.PREPARING),
        task(3, states.PENDING, error="no suitable node (insufficient memory on 3 nodes)"),
    )
    assert progress.lines(seen, Stability(), 0.0, 100) == [
        "overall progress: 1 out of 4 tasks",
        "1/4: running   [=================================================>]",
        "2/4: preparing [==============================>                   ]",
        "3/4: pending   [===========>                                      ]"
        " no suitable node (insufficient m",
        "4/4: new       [=====>                                            ]",
        "waiting: no suitable node (insufficient memory on 3 nodes) (1 task)",
    ]


def test_a_picture_of_many_tasks_sums_up_their_reasons() -> None:
    tasks = [task(n, states.PENDING, error="no suitable node") for n in range(1, 31)]
    assert progress.lines(watched(30, *tasks), Stability(), 0.0, 80) == [
        "overall progress: 0 out of 30 tasks",
        "no suitable node (30 tasks)",
        "waiting: no suitable node (30 tasks)",
    ]


def test_the_wait_for_stability_is_counted_down() -> None:
    seen, stability = watched(1, task(1)), Stability()
    stability.update(True, 0.0)
    assert progress.lines(seen, stability, 2.0, 80)[-1] == "verify: stable for 3 more seconds"
    assert progress.lines(seen, stability, 5.0, 80)[-1] == "verify: Service converged"


def test_a_log_gets_a_line_for_each_change_only() -> None:
    before = progress.log_lines(watched(2, task(1), task(2, states.PREPARING)))
    after = progress.log_lines(watched(2, task(1), task(2, states.FAILED, error="exit code 1")))
    assert before == ["web: 1 out of 2 tasks are up", "web.1 is running", "web.2 is preparing"]
    assert progress.changes(before, after) == ["web.2 is failed: exit code 1"]


def test_messages_of_the_watch_are_taken_in() -> None:
    seen = watched(1)
    first, second = control_pb2.WatchMessage(), control_pb2.WatchMessage(resync=True)
    for message, each in ((first, task(1)), (second, task(2))):
        event = message.events.add(action=Event.ACTION_UPDATE)
        event.object.task.CopyFrom(each)
    seen.take(first)
    assert [each.slot for each in seen.tasks.values()] == [1]
    seen.take(second)
    assert [each.slot for each in seen.tasks.values()] == [2]

    gone = control_pb2.WatchMessage()
    gone.events.add(action=Event.ACTION_DELETE).object.task.CopyFrom(task(2))
    gone.events.add(action=Event.ACTION_DELETE).object.service.CopyFrom(seen.service)
    seen.take(gone)
    assert (seen.tasks, seen.stopped()) == ({}, "the service was removed")
