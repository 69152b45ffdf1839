from collections import Counter
from collections.abc import Sequence

from api import states
from manager.scheduler.nodes import NodeSet
from manager.scheduler.ranking import Ranking
from tests.support.builders import DRAIN, EPOCH, GIB, node, task
from tests.support.node_orders import Orders, nodes_with, turned

RACK, DISK = "node.labels.rack", "engine.labels.disk"


def test_a_ranking_follows_what_is_placed() -> None:
    nodes = NodeSet()
    for name, room in (("a", 3), ("b", 3), ("c", 2)):
        nodes.describe(name, node(name, memory=room * GIB))
    nodes.put(task("there", node_id="c"))
    orders = Orders(nodes, turned(memory=GIB))
    assert "".join(orders.place(99, memory=GIB)) == "ababcabc"


def test_it_looks_at_a_few_nodes_at_a_time() -> None:
    orders = Orders(nodes_with({f"n{n:02}": (1, 0) for n in range(50)}), turned())
    for done in (20, 20, 11):  # each that has a task, then the first whether it has room
        assert not orders.ranking.is_fresh
        assert orders.ranking.refresh(orders.pool, turned(), EPOCH, 20) == done
    assert orders.ranking.is_fresh


def test_only_nodes_that_come_first_are_asked_for_room() -> None:
    loads = {f"n{n:02}": (0, 0) for n in range(50)}
    nodes = nodes_with(loads)
    for number in range(30):
        nodes.describe(f"n{number:02}", node(f"n{number:02}", memory=0))
    orders = Orders(nodes, turned(memory=GIB))
    assert orders.ranking.refresh(orders.pool, orders.pipeline, EPOCH, 20) == 20
    assert not orders.ranking.is_fresh
    assert orders.ranking.refresh(orders.pool, orders.pipeline, EPOCH, 20) == 11
    found = orders.best()
    assert found is not None
    assert found.id == "n30"
    nodes.describe("n07", node("n07"))
    orders.touch("n07", is_other=True)
    assert orders.place(2) == ["n07", "n30"]


def test_a_look_at_what_others_did_is_not_a_look_at_all_nodes() -> None:
    orders = Orders(nodes_with({f"n{n:02}": (0, 0) for n in range(50)}), turned())
    orders.best()
    for number, name in enumerate(["n03", "n03", "n09"]):
        orders.nodes.put(task(f"x{number}", "db", number + 1, node_id=name))
        orders.touch(name)
    orders.pool.refresh(turned(), 100)
    assert orders.ranking.refresh(orders.pool, turned(), EPOCH, 100) == 2


def test_it_tells_how_all_nodes_of_a_small_cluster_stand() -> None:
    nodes = nodes_with({"a": (1, 0), "b": (0, 1), "c": (0, 2)})
    nodes.describe("d", node("d", memory=GIB))
    nodes.describe("e", node("e", availability=DRAIN))
    orders = Orders(nodes, turned(memory=2 * GIB))
    orders.best()
    outlook = orders.ranking.outlook(2, orders.pipeline)
    assert [each.id for each in outlook.best] == ["b", "c"]
    assert (outlook.candidates, outlook.partial) == (3, False)
    assert +outlook.refusals == {"availability": 1, "memory": 1}


def test_of_a_large_cluster_it_tells_what_it_has_seen() -> None:
    most = Ranking.ASKED
    nodes = nodes_with({f"n{n:03}": (0, 0) for n in range(10 * most)})
    for number in (1, 2, 5):
        nodes.describe(f"n{number:03}", node(f"n{number:03}", memory=0))
    orders = Orders(nodes, turned(memory=GIB))
    orders.best()
    outlook = orders.ranking.outlook(4, orders.pipeline)
    assert [each.id for each in outlook.best] == ["n000", "n003", "n004", "n006"]
    assert (outlook.candidates, outlook.partial) == (10 * most - 3, True)
    assert +outlook.refusals == {"memory": 3}


def test_an_outlook_asks_no_more_than_some_nodes() -> None:
    nodes = nodes_with({f"n{n:03}": (0, 1) for n in range(500)} | {"a": (0, 0)})
    for number in range(500):
        nodes.describe(f"n{number:03}", node(f"n{number:03}", memory=0))
    orders = Orders(nodes, turned(memory=GIB))
    orders.best()
    outlook = orders.ranking.outlook(6, orders.pipeline)
    assert [each.id for each in outlook.best] == ["a"]
    assert 0 < outlook.refusals["memory"] <= Ranking.ASKED + 6
    assert outlook.partial


def racked(racks: dict[str, Sequence[str]], disks: str = "") -> NodeSet:
    nodes = NodeSet()
    for rack, names in racks.items():
        for name in names:
            made = node(name)
            if rack:
                made.spec.annotations.labels["rack"] = rack
            if disks:
                made.description.engine.labels["disk"] = disks[int(name[-1]) % len(disks)]
            nodes.describe(name, made)
    return nodes


def test_branches_are_evened_out_whatever_their_size() -> None:
    nodes = racked({"a": ["a1"], "b": ["b1", "b2", "b3"], "": ["c1", "c2"]})
    order = Orders(nodes, turned(), [RACK]).place(9)
    assert Counter(name[0] for name in order) == {"a": 3, "b": 3, "c": 3}
    assert Counter(order)["b1"] == 1
    for begun in range(1, 9):
        counts = Counter(name[0] for name in order[:begun])
        assert max(counts.values()) - min(counts.get(b, 0) for b in "abc") <= 1


def test_preferences_are_nested() -> None:
    names = [f"{rack}{number}" for rack in "ab" for number in range(8)]
    nodes = racked({r: [n for n in names if n[0] == r] for r in "ab"}, disks="xyyy")
    order = Orders(nodes, turned(), [RACK, DISK]).place(16)
    kinds = Counter((name[0], "xyyy"[int(name[1]) % 4]) for name in order)
    assert set(kinds.values()) == {4}


def test_a_full_branch_is_passed_over_and_comes_back() -> None:
    nodes = NodeSet()
    for name, rack, room in (("a1", "a", 1), ("b1", "b", 9)):
        made = node(name, memory=room * GIB)
        made.spec.annotations.labels["rack"] = rack
        nodes.describe(name, made)
    orders = Orders(nodes, turned(memory=GIB), [RACK])
    assert orders.place(4, memory=GIB) == ["a1", "b1", "b1", "b1"]
    larger = node("a1", memory=9 * GIB)
    larger.spec.annotations.labels["rack"] = "a"
    nodes.describe("a1", larger)
    orders.touch("a1", is_other=True)
    assert orders.place(2, memory=GIB) == ["a1", "a1"]


def test_a_node_takes_its_tasks_along_to_another_branch() -> None:
    nodes = racked({"a": ["a1"], "b": ["b1"]})
    orders = Orders(nodes, turned(), [RACK])
    assert orders.place(2) == ["a1", "b1"]
    moved = node("b1")
    moved.spec.annotations.labels["rack"] = "c"
    nodes.describe("b1", moved)
    nodes.describe("b2", node("b2"))
    joined = node("b3")
    joined.spec.annotations.labels["rack"] = "b"
    nodes.describe("b3", joined)
    orders.touch("b1", "b2", "b3", is_other=True)
    orders.best()
    nodes.put(task("x", slot=9, node_id="b2"))
    orders.touch("b2")
    assert orders.place(1) == ["b3"]
    assert orders.ranking.branch_tasks("b1") == [1]


def test_tasks_on_a_node_that_takes_no_more_count_in_its_branch() -> None:
    nodes = racked({"a": ["a1", "a2"], "b": ["b1"]})
    orders = Orders(nodes, turned("node.id!=a1"), [RACK])
    nodes.put(task("x", node_id="a1", state=states.RUNNING))
    orders.touch("a1")
    assert orders.place(3) == ["b1", "a2", "b1"]
    assert orders.ranking.branch_tasks("a2") == [2]
