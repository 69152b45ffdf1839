from random import Random

from api import states
from manager.scheduler.nodes import NodeInfo, NodeSet
from manager.scheduler.spread import GroupRanking, LeastLoaded, rank
from tests.support.builders import DOWN, EPOCH, node, task

WEB = ("web", 1)


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


def best_both_ways(nodes: NodeSet, passes: object = None) -> str | None:
    def accept(info: NodeInfo) -> bool:
        return passes is None or info.id in str(passes)

    single = LeastLoaded(nodes).best(WEB, accept, EPOCH)
    grouped = GroupRanking(nodes, WEB, accept, EPOCH).best()
    assert single is grouped
    return single.id if single else None


def test_fewest_of_the_service_then_fewest_in_all_then_the_smallest_id() -> None:
    assert best_both_ways(nodes_with({"a": (1, 0), "b": (0, 9), "c": (2, 0)})) == "b"
    assert best_both_ways(nodes_with({"a": (0, 3), "b": (0, 2), "c": (0, 4)})) == "b"
    assert best_both_ways(nodes_with({"b": (1, 1), "a": (1, 1)})) == "a"
    assert best_both_ways(nodes_with({"a": (2, 0), "b": (1, 5), "c": (1, 4)})) == "c"


def test_nodes_that_do_not_pass_are_left_out() -> None:
    nodes = nodes_with({"a": (0, 0), "b": (0, 1), "c": (0, 2)})
    assert best_both_ways(nodes, "bc") == "b"
    assert best_both_ways(nodes, "-") is None
    assert best_both_ways(NodeSet()) is None


def test_a_faulty_node_comes_last() -> None:
    nodes = nodes_with({"a": (0, 0), "b": (3, 9)})
    for number in range(5):
        nodes.put(task(f"f{number}", node_id="a", state=states.FAILED))
    assert best_both_ways(nodes) == "b"
    assert best_both_ways(nodes, "a") == "a"


def test_a_ranking_follows_what_is_placed() -> None:
    nodes = nodes_with({"a": (0, 0), "b": (0, 0), "c": (1, 0)})
    ranking = GroupRanking(nodes, WEB, lambda n: n.tasks < 3, EPOCH)
    order = []
    while (found := ranking.best()) is not None:
        order.append(found.id)
        nodes.put(task(f"t{len(order)}", node_id=found.id))
    assert "".join(order) == "ababcabc"


def test_least_loaded_stays_true_under_any_changes() -> None:
    random = Random(7)
    nodes = nodes_with(dict.fromkeys("abcdef", (0, 0)))
    by_load = LeastLoaded(nodes)
    placed: list[str] = []
    for number in range(600):
        if placed and random.random() < 0.4:
            for changed in nodes.drop(placed.pop(random.randrange(len(placed)))):
                by_load.touch(changed)
        name = random.choice("abcdef")
        nodes.describe(name, node(name, state=DOWN) if random.random() < 0.1 else node(name))
        by_load.touch(name)

        def passes(info: NodeInfo) -> bool:
            return info.ready

        found = by_load.best(WEB, passes, EPOCH)
        ready = [info for info in nodes.all() if info.ready]
        assert found is min(ready, key=lambda info: rank(info, WEB, EPOCH), default=None)
        if found is not None:
            placed.append(f"t{number}")
            nodes.put(task(placed[-1], random.choice(["web", "db"]), node_id=found.id))
            by_load.touch(found.id)
