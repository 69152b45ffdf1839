import pytest

from api import states
from api.v1.types_pb2 import TaskState
from manager.placement.eviction import evicted
from manager.scheduler.nodes import FAILURE_WINDOW, MAX_FAILURES, NodeInfo, NodeSet
from manager.scheduler.pipeline import needs_of
from tests.support.builders import CPU, DOWN, EPOCH, GIB, node, task, task_spec

SPEC = task_spec(cpus=1, memory=GIB)


def with_node() -> NodeSet:
    nodes = NodeSet()
    nodes.describe("n", node("n"))
    return nodes


def of(nodes: NodeSet, node_id: str = "n") -> NodeInfo:
    found = nodes.get(node_id)
    assert found is not None
    return found


@pytest.mark.parametrize(
    ("state", "desired", "cpus", "tasks"),
    [
        (states.ASSIGNED, states.RUNNING, CPU, 1),
        (states.RUNNING, states.READY, CPU, 1),
        (states.RUNNING, states.SHUTDOWN, CPU, 0),  # still holds, no longer counts
        (states.SHUTDOWN, states.SHUTDOWN, 0, 0),
    ],
)
def test_what_a_task_means_to_its_node(
    state: TaskState.ValueType, desired: TaskState.ValueType, cpus: int, tasks: int
) -> None:
    nodes = with_node()
    nodes.put(task("t", node_id="n", spec=SPEC, state=state, desired=desired))
    info = of(nodes)
    assert info.reserved_nano_cpus == cpus
    assert info.free_memory_bytes == 8 * GIB - (GIB if cpus else 0)
    assert info.tasks == tasks
    assert info.of_service == ({"web": 1} if tasks else {})


def test_put_counts_a_task_once_however_often() -> None:
    nodes = with_node()
    placed = task("t", node_id="n", spec=SPEC)
    assert nodes.put(placed) == ["n"]
    assert nodes.put(placed) == []
    assert of(nodes).tasks == 1
    assert nodes.drop("t") == ["n"]
    assert nodes.drop("t") == []
    assert (of(nodes).tasks, of(nodes).reserved_nano_cpus) == (0, 0)


def test_what_is_given_counts_as_what_is_put() -> None:
    spec = task_spec(cpus=1, memory=GIB)
    spec.resources.reservations.generic.add(kind="gpu", count=1)
    placed = task("t", node_id="n", spec=spec, state=states.ASSIGNED)
    placed.host_ports.add(published_port=80, target_port=80)
    placed.assigned_generic.add(kind="gpu", count=1)
    nodes = with_node()
    nodes.give(placed, of(nodes), needs_of(placed).reserved, holds_more=True)
    assert (of(nodes).tasks, of(nodes).of_service) == (1, {"web": 1})
    assert of(nodes).holds_port(placed.host_ports[0])
    assert nodes.put(placed) == []
    assert nodes.drop("t") == ["n"]
    assert (of(nodes).tasks, of(nodes).reserved_nano_cpus) == (0, 0)


def test_describe_says_what_is_news() -> None:
    nodes = with_node()
    assert not nodes.describe("n", node("n"))
    assert nodes.describe("n", node("n", state=DOWN))
    assert nodes.describe("n", node("n", missing=("cpu",)))
    assert nodes.describe("n", None)
    assert not nodes.describe("n", None)
    assert nodes.get("n") is None
    assert nodes.all() == []


def test_a_node_that_returns_finds_its_tasks_counted() -> None:
    nodes = with_node()
    nodes.put(task("t", node_id="n", spec=SPEC, desired=states.SHUTDOWN))
    nodes.put(task("weightless", node_id="n", desired=states.SHUTDOWN))
    nodes.describe("n", None)
    nodes.drop("weightless")
    nodes.describe("n", node("n"))
    assert of(nodes).reserved_memory_bytes == GIB


def test_tasks_of_unknown_nodes_are_kept_until_the_node_appears() -> None:
    nodes = NodeSet()
    nodes.put(task("t", node_id="n", spec=SPEC))
    assert nodes.get("n") is None
    nodes.describe("n", node("n"))
    assert of(nodes).tasks == 1


def test_recent_failures_of_one_version_make_a_node_faulty() -> None:
    nodes = with_node()
    for number in range(MAX_FAILURES):
        assert not of(nodes).faulty_until(("web", 1), EPOCH)
        state = states.FAILED if number % 2 else states.REJECTED
        nodes.put(task(f"t{number}", node_id="n", state=state, at=EPOCH))
    info = of(nodes)
    assert info.faulty_until(("web", 1), EPOCH + FAILURE_WINDOW - 1)
    assert not info.faulty_until(("web", 1), EPOCH + FAILURE_WINDOW)
    assert not info.faulty_until(("web", 2), EPOCH)
    assert not info.faulty_until(("db", 1), EPOCH)
    nodes.drop("t0")
    assert not info.faulty_until(("web", 1), EPOCH)


def test_what_few_tasks_hold_is_counted_and_given_back() -> None:
    described = node("n")
    described.description.resources.generic.add(kind="gpu", ids=["u1", "u2"])
    nodes = NodeSet()
    nodes.describe("n", described)
    holder = task("t", node_id="n")
    holder.assigned_generic.append(of(nodes).claim_generic("gpu", 1))
    holder.host_ports.add(published_port=80, target_port=80)
    nodes.put(holder)
    assert of(nodes).free_generic("gpu") == 1
    assert of(nodes).holds_port(holder.host_ports[0])
    holder.status.state = states.COMPLETE
    nodes.put(holder)
    assert of(nodes).free_generic("gpu") == 2
    assert not of(nodes).holds_port(holder.host_ports[0])


def test_a_node_that_grows_or_shrinks_says_so() -> None:
    nodes = with_node()
    assert of(nodes).free_generic("gpu") == 0
    described = node("n")
    described.description.resources.generic.add(kind="gpu", count=2)
    assert nodes.describe("n", described)
    assert of(nodes).free_generic("gpu") == 2
    assert nodes.describe("n", node("n"))
    assert of(nodes).free_generic("gpu") == 0


def test_an_evicted_task_is_no_failure_of_its_node() -> None:
    nodes = with_node()
    for number in range(MAX_FAILURES):
        nodes.put(evicted(task(f"t{number}", node_id="n"), "no room", EPOCH))
    assert not of(nodes).faulty_until(("web", 1), EPOCH)


def test_groups_are_known_while_they_have_tasks_or_failures() -> None:
    nodes = with_node()
    nodes.put(task("a", node_id="n"))
    nodes.put(task("b", slot=2, node_id="n"))
    nodes.drop("a")
    assert nodes.knows(("web", 2))
    nodes.put(task("b", slot=2, node_id="n", state=states.FAILED))
    assert nodes.knows(("web", 1))
    assert not nodes.knows(("web", 2))
    nodes.drop("b")
    assert not nodes.knows(("web", 1))
