import pytest

from api import states
from manager.scheduler.nodes import FAILURE_WINDOW, NodeSet
from manager.scheduler.spread import rank
from tests.support.builders import EPOCH, task
from tests.support.node_orders import WEB, Orders, nodes_with, turned


def best_both_ways(nodes: NodeSet, *constraints: str) -> str | None:
    orders = Orders(nodes, turned(*constraints))
    found = orders.best()
    assert orders.pool.best(WEB, orders.pipeline, EPOCH) is found
    return found.id if found else None


def test_fewest_of_the_service_then_fewest_in_all_then_the_smallest_id() -> None:
    assert best_both_ways(nodes_with({"a": (1, 0), "b": (0, 9), "c": (2, 0)})) == "b"
    assert best_both_ways(nodes_with({"a": (0, 3), "b": (0, 2), "c": (0, 4)})) == "b"
    assert best_both_ways(nodes_with({"b": (1, 1), "a": (1, 1)})) == "a"
    assert best_both_ways(nodes_with({"a": (2, 0), "b": (1, 5), "c": (1, 4)})) == "c"


def test_nodes_that_do_not_pass_are_left_out() -> None:
    nodes = nodes_with({"a": (0, 0), "b": (0, 1), "c": (0, 2)})
    assert best_both_ways(nodes, "node.id!=a") == "b"
    assert best_both_ways(nodes, "node.id==z") is None
    assert best_both_ways(NodeSet()) is None


def test_a_faulty_node_comes_last_until_its_failures_are_long_ago() -> None:
    nodes = nodes_with({"a": (0, 0), "b": (3, 9)})
    for number in range(5):
        nodes.put(task(f"f{number}", node_id="a", state=states.FAILED))
    assert best_both_ways(nodes) == "b"
    assert best_both_ways(nodes, "node.id==a") == "a"
    orders = Orders(nodes, turned())
    for now, best in ((EPOCH, "b"), (EPOCH + FAILURE_WINDOW, "a")):
        found = orders.best(now)
        assert found is not None
        assert found.id == best


@pytest.mark.parametrize(("of_web", "of_others"), [(0, 0), (2, 3)])
def test_a_rank_counts_tasks_of_the_service_first(of_web: int, of_others: int) -> None:
    info = nodes_with({"a": (of_web, of_others)}).all()[0]
    assert rank(info, WEB, EPOCH) == (False, of_web, of_web + of_others)
