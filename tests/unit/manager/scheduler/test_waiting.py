import pytest

from api import states
from api.v1 import objects_pb2
from api.v1.types_pb2 import TaskState
from manager.scheduler.waiting import Entry, Waiting, is_waiting
from tests.support.builders import task, task_spec


def pending(
    task_id: str, service_id: str = "web", *, at: float = 0, memory: int = 0
) -> objects_pb2.Task:
    spec = task_spec(memory=memory)
    return task(task_id, service_id, state=states.PENDING, at=at, spec=spec)


def waiting(*tasks: objects_pb2.Task) -> Waiting:
    made = Waiting()
    for each in tasks:
        made.add(each)
    return made


def ids(entries: list[Entry]) -> list[str]:
    return [entry.id for entry in entries]


@pytest.mark.parametrize(
    ("state", "desired", "node_id", "verdict"),
    [
        (states.PENDING, states.RUNNING, "", True),
        (states.PENDING, states.READY, "", True),
        (states.NEW, states.RUNNING, "", False),
        (states.ASSIGNED, states.RUNNING, "n1", False),
        (states.PENDING, states.SHUTDOWN, "", False),
        (states.PENDING, states.REMOVE, "", False),
        (states.PENDING, states.RUNNING, "n1", True),
        (states.PENDING, states.COMPLETE, "", True),
    ],
)
def test_who_waits(
    state: TaskState.ValueType, desired: TaskState.ValueType, node_id: str, verdict: bool
) -> None:
    assert is_waiting(task("t", state=state, desired=desired, node_id=node_id)) is verdict


def test_the_oldest_task_brings_its_group_along() -> None:
    queue = waiting(
        pending("c", "db", at=2), pending("b", at=3), pending("a", at=3), pending("d", at=1)
    )
    assert ids(queue.take_group(10)) == ["d", "a", "b"]
    assert ids(queue.take_group(10)) == ["c"]
    assert queue.take_group(10) == []
    assert not queue


def test_a_limit_leaves_the_rest_of_the_group() -> None:
    queue = waiting(pending("a", at=1), pending("b", at=2), pending("z", "db", at=1.5))
    assert ids(queue.take_group(1)) == ["a"]
    assert queue
    assert ids(queue.take_group(1)) == ["z"]
    assert ids(queue.take_group(1)) == ["b"]


def test_a_turn_lasts_for_so_many_tasks_of_the_group() -> None:
    web = [pending(name, at=at) for name, at in zip("abcde", range(1, 6), strict=True)]
    queue = waiting(*web, pending("z", "db", at=1.5))
    assert ids(queue.take_group(2, turn=3)) == ["a", "b"]
    assert ids(queue.take_group(2, turn=3)) == ["c"]
    assert ids(queue.take_group(2, turn=3)) == ["z"]
    assert ids(queue.take_group(2, turn=3)) == ["d", "e"]
    assert queue.take_group(2, turn=3) == []


def test_tasks_that_are_put_back_still_have_their_turn() -> None:
    queue = waiting(pending("a", at=1), pending("b", at=3), pending("z", "db", at=2))
    first, second = queue.take_group(10, turn=10)
    assert (first.id, second.id) == ("a", "b")
    queue.put_back([second])
    assert ids(queue.take_group(10, turn=10)) == ["b"]
    assert ids(queue.take_group(10, turn=10)) == ["z"]


def test_a_group_stands_in_line_by_its_oldest_task_that_is_left() -> None:
    queue = waiting(pending("a", at=1), pending("b", at=3), pending("z", "db", at=2))
    queue.discard("a")
    assert ids(queue.take_group(10)) == ["z"]
    assert ids(queue.take_group(10)) == ["b"]


def test_tasks_without_a_service_are_groups_of_their_own() -> None:
    queue = waiting(pending("a", ""), pending("b", ""))
    assert ids(queue.take_group(10)) == ["a"]
    assert ids(queue.take_group(10)) == ["b"]


def test_a_task_waits_once_and_can_leave_and_return() -> None:
    queue = waiting(pending("a"), pending("a"))
    queue.discard("a")
    queue.discard("a")
    assert not queue
    queue.add(pending("a"))
    assert ids(queue.take_group(10)) == ["a"]
    assert queue.take_group(10) == []


def test_stuck_tasks_share_their_needs_and_return_together() -> None:
    queue = waiting(pending("a", memory=1), pending("b", "db", memory=1), pending("c", memory=2))
    for _ in range(2):
        for entry in queue.take_group(10):
            queue.give_up(entry)
    assert not queue
    assert sorted(sorted(stuck.entries) for stuck in queue.stuck.values()) == [["a", "b"], ["c"]]
    queue.add(pending("a", memory=1))
    assert not queue, "a stuck task is not untried"
    queue.discard("c")
    (needs,) = queue.stuck
    queue.retry(needs)
    assert ids(queue.take_group(10)) == ["a"]
    assert ids(queue.take_group(10)) == ["b"]
    assert not queue.stuck


def test_tasks_that_have_a_node_already_are_taken_one_by_one() -> None:
    tasks = [pending(name, at=at) for at, name in enumerate("abc")]
    for found, node_id in zip(tasks, ("n1", "n2", ""), strict=True):
        found.node_id = node_id
    queue = waiting(*tasks)
    assert [ids(queue.take_group(10)) for _ in range(4)] == [["a"], ["b"], ["c"], []]
