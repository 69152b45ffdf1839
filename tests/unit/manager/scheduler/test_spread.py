from collections import Counter
from collections.abc import Sequence
from random import Random

import pytest

from api import states
from api.v1 import objects_pb2
from manager.scheduler.nodes import FAILURE_WINDOW, NodeInfo, NodeSet
from manager.scheduler.pipeline import Pipeline
from manager.scheduler.spread import LeastLoaded, NoAnswer, Ranking, rank
from tests.support.builders import DOWN, EPOCH, GIB, node, task, task_spec

WEB = ("web", 1)
RACK, DISK = "node.labels.rack", "engine.labels.disk"


def nodes_with(loads: dict[str, tuple[int, int]]) -> NodeSet:
    """Nodes by id, with so many tasks of web and so many of others."""
    nodes = NodeSet()
    for node_id, (of_web, of_others) in loads.items():
        nodes.describe(node_id, node(node_id))
        for number in range(of_web):
            nodes.put(task(f"web-{node_id}-{number}", node_id=node_id))
        for number in range(of_others):
            nodes.put(task(f"db-{node_id}-{number}", "db", node_id=node_id))
    return nodes


def turned(*constraints: str, memory: int = 0) -> Pipeline:
    spec = task_spec(memory=memory)
    spec.placement.constraints.extend(constraints)
    pipeline = Pipeline()
    pipeline.turn_to(task("t", spec=spec))
    return pipeline


def best_both_ways(nodes: NodeSet, *constraints: str) -> str | None:
    pipeline = turned(*constraints)
    pool = LeastLoaded(nodes)
    pool.refresh(pipeline, 1000)
    ranking = Ranking(nodes, WEB, [])
    ranking.refresh(pipeline, EPOCH, 1000)
    single, grouped = pool.best(WEB, pipeline, EPOCH), ranking.best()
    assert single is grouped
    return grouped.id if grouped else None


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
    ranking = Ranking(nodes, WEB, [])
    for now, best in ((EPOCH, "b"), (EPOCH + FAILURE_WINDOW, "a")):
        ranking.refresh(turned(), now, 1000)
        assert (found := ranking.best()) is not None
        assert found.id == best


def place(nodes: NodeSet, ranking: Ranking, count: int, memory: int = 0) -> list[str]:
    """The nodes that so many tasks of web get, one after another."""
    asked = turned(memory=memory)
    order: list[str] = []
    while len(order) < count:
        ranking.refresh(asked, EPOCH, 1000)
        found = ranking.best()
        if found is None:
            break
        order.append(found.id)
        spec = task_spec(memory=memory)
        nodes.put(task(f"t{len(order)}", slot=len(order), node_id=found.id, spec=spec))
        ranking.touch(found.id)
    return order


def test_a_ranking_follows_what_is_placed() -> None:
    nodes = NodeSet()
    for name, room in (("a", 3), ("b", 3), ("c", 2)):
        nodes.describe(name, node(name, memory=room * GIB))
    nodes.put(task("there", node_id="c"))
    assert "".join(place(nodes, Ranking(nodes, WEB, []), 99, memory=GIB)) == "ababcabc"


def test_an_order_is_made_a_few_nodes_at_a_time() -> None:
    nodes = nodes_with({f"n{n:02}": (0, 0) for n in range(50)})
    pool, ranking = LeastLoaded(nodes), Ranking(nodes, WEB, [])
    for done in (20, 20, 10):
        assert not pool.is_fresh
        assert not ranking.is_fresh
        assert (pool.refresh(turned(), 20), ranking.refresh(turned(), EPOCH, 20)) == (done, done)
    assert pool.is_fresh
    assert ranking.is_fresh


def test_a_pool_gives_up_where_too_many_come_first() -> None:
    nodes = nodes_with({f"n{n:03}": (1, 0) for n in range(100)} | {"z": (0, 2)})
    pool = LeastLoaded(nodes)
    pool.refresh(turned(), 1000)
    assert pool.best(WEB, turned(), EPOCH) is NoAnswer.TOO_FAR
    other = pool.best(("other", 1), turned(), EPOCH)
    assert isinstance(other, NodeInfo)
    assert other.id == "n000"


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
    order = place(nodes, Ranking(nodes, WEB, [RACK]), 9)
    assert Counter(name[0] for name in order) == {"a": 3, "b": 3, "c": 3}
    assert Counter(order)["b1"] == 1
    for begun in range(1, 9):
        counts = Counter(name[0] for name in order[:begun])
        assert max(counts.values()) - min(counts.get(b, 0) for b in "abc") <= 1


def test_preferences_are_nested() -> None:
    names = [f"{rack}{number}" for rack in "ab" for number in range(8)]
    nodes = racked({r: [n for n in names if n[0] == r] for r in "ab"}, disks="xyyy")
    order = place(nodes, Ranking(nodes, WEB, [RACK, DISK]), 16)
    kinds = Counter((name[0], "xyyy"[int(name[1]) % 4]) for name in order)
    assert set(kinds.values()) == {4}


def test_a_full_branch_is_passed_over_and_comes_back() -> None:
    nodes = NodeSet()
    for name, rack, room in (("a1", "a", 1), ("b1", "b", 9)):
        made = node(name, memory=room * GIB)
        made.spec.annotations.labels["rack"] = rack
        nodes.describe(name, made)
    ranking = Ranking(nodes, WEB, [RACK])
    assert place(nodes, ranking, 4, memory=GIB) == ["a1", "b1", "b1", "b1"]
    larger = node("a1", memory=9 * GIB)
    larger.spec.annotations.labels["rack"] = "a"
    nodes.describe("a1", larger)
    ranking.touch("a1")
    assert place(nodes, ranking, 2, memory=GIB) == ["a1", "a1"]


def test_a_node_takes_its_tasks_along_to_another_branch() -> None:
    nodes = racked({"a": ["a1"], "b": ["b1"]})
    ranking = Ranking(nodes, WEB, [RACK])
    assert place(nodes, ranking, 2) == ["a1", "b1"]
    moved = node("b1")
    moved.spec.annotations.labels["rack"] = "c"
    nodes.describe("b1", moved)
    nodes.describe("b2", node("b2"))
    joined = node("b3")
    joined.spec.annotations.labels["rack"] = "b"
    nodes.describe("b3", joined)
    for name in ("b1", "b2", "b3"):
        ranking.touch(name)
    ranking.refresh(turned(), EPOCH, 10)
    nodes.put(task("x", slot=9, node_id="b2"))
    ranking.touch("b2")
    assert place(nodes, ranking, 1) == ["b3"]


Place = tuple[object, ...]


def by_definition(
    nodes: list[NodeInfo], ready: set[str], labels: list[str]
) -> tuple[Place, NodeInfo] | None:
    """The best node and its place, by a tree that is built anew for every task."""
    if not labels:
        able = [each for each in nodes if each.id in ready]
        places = [((rank(each, WEB, EPOCH), each.id), each) for each in able]
        return min(places, key=lambda place: place[0], default=None)
    parts: dict[str, list[NodeInfo]] = {}
    for each in nodes:
        value = each.node.spec.annotations.labels.get(labels[0].rpartition(".")[2], "")
        parts.setdefault(value, []).append(each)
    found = []
    for value, inside in parts.items():
        below = by_definition(inside, ready, labels[1:])
        if below is not None:
            count = sum(each.of_service.get("web", 0) for each in inside)
            found.append(((count, below[0], value), below[1]))
    return min(found, key=lambda place: place[0], default=None)


class Crowd:
    """Nodes that come, go and change, and tasks on them."""

    def __init__(self) -> None:
        self.random = Random(7)
        self.nodes = nodes_with(dict.fromkeys("abcdef", (0, 0)))
        self.placed: list[str] = []

    def change(self) -> list[tuple[str, bool]]:
        """The nodes that it touched, and whether it changed the node itself."""
        touched = []
        if self.placed and self.random.random() < 0.4:
            gone = self.placed.pop(self.random.randrange(len(self.placed)))
            touched += [(node_id, False) for node_id in self.nodes.drop(gone)]
        if self.random.random() < 0.3:
            name = self.random.choice("abcdef")
            self.nodes.describe(name, None if self.random.random() < 0.1 else self._node(name))
            touched.append((name, True))
        return touched

    def place(self, info: NodeInfo) -> None:
        self.placed.append(f"t{len(self.placed)}-{self.random.random()}")
        service_id = self.random.choice(["web", "db"])
        self.nodes.put(task(self.placed[-1], service_id, node_id=info.id))

    def _node(self, name: str) -> objects_pb2.Node:
        made = node(name, state=DOWN) if self.random.random() < 0.2 else node(name)
        for label in "ab":
            if self.random.random() < 0.7:
                made.spec.annotations.labels[label] = self.random.choice("xyz")
        return made


@pytest.mark.parametrize("labels", [[], ["node.labels.a"], ["node.labels.a", "node.labels.b"]])
def test_orders_stay_true_under_any_changes(labels: list[str]) -> None:
    crowd, pipeline = Crowd(), turned()
    pool, ranking = LeastLoaded(crowd.nodes), Ranking(crowd.nodes, WEB, labels)
    last: list[tuple[str, bool]] = []
    for _ in range(800):
        for node_id, is_other in [*last, *crowd.change()]:
            pool.touch(node_id, is_other=is_other)
            ranking.touch(node_id)
        pool.refresh(pipeline, 100)
        ranking.refresh(pipeline, EPOCH, 100)
        present = crowd.nodes.all()
        expected = by_definition(present, {n.id for n in present if n.ready}, labels)
        found = ranking.best()
        assert found is (None if expected is None else expected[1])
        if not labels:
            assert pool.best(WEB, pipeline, EPOCH) is found
        if found is not None:
            crowd.place(found)
        last = [] if found is None else [(found.id, False)]
