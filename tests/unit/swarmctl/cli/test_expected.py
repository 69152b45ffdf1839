"""Progress of global services and jobs: what should be there, when it is done, and how it looks."""

import pytest

from api import states
from api.times import timestamp
from api.v1 import control_pb2, objects_pb2
from swarmctl.cli import expected, progress
from swarmctl.cli.progress import Stability, Watched
from tests.support import builders

COMPLETE, FAILED, RUNNING, SHUTDOWN = (
    states.COMPLETE,
    states.FAILED,
    states.RUNNING,
    states.SHUTDOWN,
)
Task = objects_pb2.Task


def on(
    node_id: str,
    state: int = RUNNING,
    desired: int = RUNNING,
    *,
    error: str = "",
    at: float = 1.0,
    iteration: int = 0,
) -> Task:
    """A global service's task."""
    return builders.task(
        f"{node_id}-{state}-{at}",
        slot=0,
        node_id=node_id,
        state=state,  # type: ignore[arg-type]
        desired=desired,  # type: ignore[arg-type]
        at=at,
        iteration=iteration,
        error=error,
    )


def of_job(
    slot: int,
    state: int = COMPLETE,
    desired: int = COMPLETE,
    *,
    iteration: int = 0,
    error: str = "",
    at: float = 1.0,
) -> Task:
    return builders.task(
        f"{slot}-{state}-{at}",
        slot=slot,
        state=state,  # type: ignore[arg-type]
        desired=desired,  # type: ignore[arg-type]
        iteration=iteration,
        error=error,
        at=at,
    )


def everywhere(*tasks: Task, mode: str = "global") -> Watched:
    return Watched(builders.service(mode=mode), {task.id: task for task in tasks})


def job(total: int, *tasks: Task, iteration: int = 0) -> Watched:
    service = builders.service(replicas=total, mode="replicated_job")
    service.job_status.iteration = iteration
    return Watched(service, {task.id: task for task in tasks})


@pytest.mark.parametrize(
    ("seen", "done", "slots", "converged"),
    [
        (everywhere(), 0, 0, False),
        (everywhere(on("a"), on("b", states.STARTING)), 1, 2, False),
        (everywhere(on("a"), on("b")), 2, 2, True),
        (everywhere(on("a"), on("b", SHUTDOWN, SHUTDOWN)), 1, 1, True),
        (everywhere(on("a", SHUTDOWN, SHUTDOWN), on("a", at=2)), 1, 1, True),
        (everywhere(on("a"), on("b", FAILED, SHUTDOWN)), 1, 2, False),
        (everywhere(on("a", COMPLETE, COMPLETE), mode="global_job"), 1, 1, True),
        (everywhere(on("a", RUNNING, COMPLETE), mode="global_job"), 0, 1, False),
        (job(0), 0, 0, True),
        (job(2, of_job(1)), 1, 2, False),
        (job(2, of_job(1), of_job(2)), 2, 2, True),
        (job(1, of_job(1), iteration=1), 0, 1, False),
        (job(1, of_job(1, at=1), of_job(1, SHUTDOWN, SHUTDOWN, at=2)), 1, 1, True),
    ],
)
def test_when_it_has_converged(seen: Watched, done: int, slots: int, converged: bool) -> None:
    assert (seen.done(), len(seen.slots()), seen.is_converged()) == (done, slots, converged)


def test_a_picture_of_a_global_service_names_the_nodes() -> None:
    why = "no suitable node (insufficient memory on 1 node)"
    seen = everywhere(on("node1xxxxxxxxxxxxxx"), on("node2xxxxxxxx", states.PENDING, error=why))
    assert progress.lines(seen, Stability(), 0.0, 100) == [
        "overall progress: 1 out of 2 tasks",
        "node1xxxxxxx: running   [=================================================>]",
        "node2xxxxxxx: pending   [===========>                                      ] no suitable "
        "node (insuf",
        f"waiting: {why} (1 task)",
    ]
    assert progress.log_lines(seen) == [
        "web: 1 out of 2 tasks are up",
        "web.node1xxxxxxxxxxxxxx is running",
        f"web.node2xxxxxxxx is pending: {why}",
    ]


def test_an_update_that_left_a_paused_node_out_is_not_waited_for() -> None:
    seen = everywhere(on("a"), on("b"))
    seen.service.spec_version = 2
    seen.service.spec.task.container.image = "app:2"
    seen.tasks["a-512-1.0"].spec_version = 2
    assert not seen.is_converged()
    seen.service.update_status.state = objects_pb2.UpdateStatus.STATE_COMPLETED
    assert seen.is_converged()


def test_without_any_node_it_says_what_it_waits_for() -> None:
    assert everywhere().reasons() == ["no node takes part yet"]


def test_a_picture_of_a_job() -> None:
    seen = job(3, of_job(1), of_job(2, RUNNING))
    assert progress.lines(seen, Stability(at_once=True), 0.0, 100) == [
        "job progress: 1 out of 3 complete, 1 out of 1 active tasks run",
        "1/3: complete  [=================================================>]",
        "2/3: running   [==========================================>       ]",
        "3/3: new       [=====>                                            ]",
        "waiting: running (1 task)",
    ]
    assert progress.log_lines(seen)[0] == "web: 1 out of 3 tasks have completed"


def test_a_job_that_is_done_needs_no_wait() -> None:
    assert Stability(at_once=True).update(True, 10.0)
    assert not Stability(at_once=True).update(False, 10.0)


def test_a_job_that_will_never_complete_is_not_waited_for() -> None:
    failed = of_job(2, FAILED, SHUTDOWN, error="task: non-zero exit (3)")
    assert job(2, of_job(1, RUNNING), failed).stopped() == "", "another is under way"
    stopped = job(2, of_job(1), failed).stopped()
    assert stopped == "1 task failed for good; web.2: task: non-zero exit (3)"
    assert job(2, of_job(1), of_job(2, FAILED)).stopped() == "", "it may yet be tried again"
    assert expected.is_given_up(failed)


def test_the_next_iteration_is_followed_as_soon_as_the_service_tells_of_it() -> None:
    seen = job(1, of_job(1))
    message = control_pb2.WatchMessage(version=9)
    changed = message.events.add().object.service
    changed.CopyFrom(seen.service)
    changed.job_status.iteration = 1
    changed.job_status.last_execution.CopyFrom(timestamp(5))
    Watched.restart(seen)
    seen.take(message)
    assert (seen.is_converged(), seen.slots()[0].task) == (False, None)
