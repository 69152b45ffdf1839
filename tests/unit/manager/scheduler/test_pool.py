from api.v1 import objects_pb2
from manager.scheduler.nodes import NodeInfo
from manager.scheduler.spread import NoAnswer
from tests.support.builders import DRAIN, EPOCH, GIB, node, task
from tests.support.node_orders import WEB, Orders, nodes_with, turned


def test_it_gives_up_where_too_many_come_first() -> None:
    nodes = nodes_with({f"n{n:03}": (1, 0) for n in range(100)} | {"z": (0, 2)})
    pool = Orders(nodes, turned()).pool
    assert pool.best(WEB, turned(), EPOCH) is NoAnswer.TOO_FAR
    other = pool.best(("other", 1), turned(), EPOCH)
    assert isinstance(other, NodeInfo)
    assert other.id == "n000"


def test_it_is_made_and_brought_up_to_date_a_few_nodes_at_a_time() -> None:
    orders = Orders(nodes_with({}), turned())
    for number in range(50):
        orders.nodes.describe(f"n{number}", node(f"n{number}"))
        orders.touch(f"n{number}", is_other=True)
    for done in (20, 20, 10):
        assert not orders.pool.is_fresh
        assert orders.pool.refresh(turned(), 20) == done
    assert orders.pool.is_fresh


def test_a_node_that_changes_is_asked_again_and_one_that_goes_is_forgotten() -> None:
    orders = Orders(nodes_with({"a": (0, 0), "b": (0, 1)}), turned())
    pool = orders.pool

    def best_after(made: objects_pb2.Node | None) -> NodeInfo | NoAnswer | None:
        orders.nodes.describe("a", made)
        orders.touch("a", is_other=True)
        pool.refresh(turned(), 10)
        return pool.best(WEB, turned(), EPOCH)

    a, b = orders.nodes.get("a"), orders.nodes.get("b")
    assert pool.best(WEB, turned(), EPOCH) is a
    assert best_after(node("a", availability=DRAIN)) is b
    assert pool.refused.counts["availability"] == 1
    assert best_after(node("a")) is a
    assert best_after(None) is b
    assert pool.refused.counts.total() == 0
    assert set(pool.paths) == {"b"}


def test_tasks_on_a_node_that_is_refused_for_good_are_not_looked_at() -> None:
    orders = Orders(nodes_with({"a": (0, 0), "b": (0, 0)}), turned("node.id==b"))
    orders.nodes.put(task("x", node_id="a"))
    orders.touch("a")
    assert orders.pool.refresh(orders.pipeline, 10) == 0
    assert orders.pool.is_fresh


def test_it_tells_of_the_nodes_that_it_has_seen() -> None:
    nodes = nodes_with({"a": (0, 0), "b": (0, 1), "c": (0, 2)})
    nodes.describe("d", node("d", memory=GIB))
    nodes.describe("e", node("e", availability=DRAIN))
    pipeline = turned(memory=2 * GIB)
    outlook = Orders(nodes, pipeline).pool.outlook(2, WEB, pipeline, EPOCH)
    assert [each.id for each in outlook.best] == ["a", "b"]
    assert outlook.candidates == 3
    assert +outlook.refusals == {"availability": 1, "memory": 1}
    assert outlook.partial
