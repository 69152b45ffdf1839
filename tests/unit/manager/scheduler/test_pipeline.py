from manager.scheduler.nodes import NodeInfo, NodeSet
from manager.scheduler.pipeline import Pipeline, Tally, needs_of
from tests.support.builders import DOWN, DRAIN, GIB, node, task, task_spec


def infos() -> list[NodeInfo]:
    nodes = NodeSet()
    for each in (
        node("down", state=DOWN, memory=0),
        node("drained", availability=DRAIN),
        node("small1", memory=GIB),
        node("small2", memory=GIB),
        node("big", memory=4 * GIB),
    ):
        nodes.describe(each.id, each)
    return nodes.all()


EIGHT = (
    "no suitable node (insufficient memory on 3 nodes: 8GiB needed, at most 4GiB free; "
    "1 node is not ready; 1 node not available for new tasks)"
)


def test_the_first_refusal_counts_and_the_most_frequent_reason_comes_first() -> None:
    pipeline = Pipeline()
    pipeline.turn_to(task("t", spec=task_spec(memory=8 * GIB)))
    assert pipeline.explain(infos()) == EIGHT


def test_a_tally_comes_to_the_same_in_pieces() -> None:
    pipeline = Pipeline()
    tally = Tally(infos())
    for left in (3, 1, 0):
        pipeline.turn_to(task("other"))
        pipeline.turn_to(task("t", spec=task_spec(memory=8 * GIB)))
        assert tally.go_on(pipeline, 2) == (2 if left else 1)
        assert len(tally) == left
    assert tally.reason(pipeline) == EIGHT


def test_passes_needs_every_filter() -> None:
    pipeline = Pipeline()
    pipeline.turn_to(task("t", spec=task_spec(memory=2 * GIB)))
    assert [n.id for n in infos() if pipeline.passes(n)] == ["big"]
    assert [n.id for n in infos() if pipeline.passes_for_good(n)] == ["small1", "small2", "big"]
    pipeline.turn_to(task("t"))
    assert [n.id for n in infos() if pipeline.passes(n)] == ["small1", "small2", "big"]


def test_only_a_successor_may_be_one_more_than_allowed() -> None:
    spec = task_spec()
    spec.placement.max_replicas_per_node = 1
    nodes = NodeSet()
    nodes.describe("n", node("n"))
    info = nodes.all()[0]
    pipeline = Pipeline()
    pipeline.turn_to(task("t", spec=spec))
    nodes.put(task("a", node_id="n"))
    assert not pipeline.passes(info)
    assert pipeline.passes_successor(info)
    assert not pipeline.passes(info)
    nodes.put(task("b", slot=2, node_id="n"))
    assert not pipeline.passes_successor(info)


def test_a_task_with_the_same_needs_changes_nothing() -> None:
    pipeline = Pipeline()
    for memory, passing in ((2, 1), (2, 1), (1, 3), (2, 1)):
        asking = task("t", spec=task_spec(memory=memory * GIB))
        pipeline.turn_to(asking, needs_of(asking))
        assert sum(map(pipeline.passes, infos())) == passing


def test_without_nodes_there_is_no_reason_to_name() -> None:
    pipeline = Pipeline()
    pipeline.turn_to(task("t"))
    assert pipeline.explain([]) == "no suitable node"


def test_no_filters_refuse_nothing() -> None:
    pipeline = Pipeline([])
    pipeline.turn_to(task("t"))
    assert all(map(pipeline.passes, infos()))


def test_needs_tell_apart_what_filters_tell_apart() -> None:
    plain = needs_of(task("a"))
    specs = [task_spec() for _ in range(6)]
    specs[0].resources.pids_limit = 5
    specs[1].placement.platforms.add(os="linux", architecture="arm64")
    specs[2].placement.constraints.append("node.role==worker")
    specs[3].resources.reservations.generic.add(kind="gpu", count=1)
    specs[4].resources.reservations.generic.add(kind="gpu", count=2)
    specs[5].placement.max_replicas_per_node = 2
    others = [task("b", spec=spec) for spec in (*specs, task_spec(cpus=1), task_spec(memory=1))]
    others.append(task("c", "other", spec=specs[5]))
    ported = task("d")
    ported.host_ports.add(published_port=80, target_port=80)
    secret = task("e")
    secret.networks.add(network_id="front", encrypted=True)
    needs = {plain, needs_of(secret), needs_of(ported), *map(needs_of, others)}
    assert len(needs) == 12
    assert needs_of(task("z", "other", 9, spec=task_spec("other"))) == plain
