from manager.scheduler.nodes import NodeInfo, NodeSet
from manager.scheduler.pipeline import Pipeline, needs_of
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


def test_the_first_refusal_counts_and_the_most_frequent_reason_comes_first() -> None:
    pipeline = Pipeline()
    pipeline.turn_to(task("t", spec=task_spec(memory=8 * GIB)))
    assert pipeline.explain(infos()) == (
        "no suitable node (insufficient memory on 3 nodes; 1 node is not ready; "
        "1 node not available for new tasks)"
    )


def test_passes_needs_every_filter() -> None:
    pipeline = Pipeline()
    pipeline.turn_to(task("t", spec=task_spec(memory=2 * GIB)))
    assert [n.id for n in infos() if pipeline.passes(n)] == ["big"]
    pipeline.turn_to(task("t"))
    assert [n.id for n in infos() if pipeline.passes(n)] == ["small1", "small2", "big"]


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
    limited = task_spec()
    limited.resources.pids_limit = 5
    armed = task_spec()
    armed.placement.platforms.add(os="linux", architecture="arm64")
    others = [task_spec(cpus=1), task_spec(memory=1), limited, armed]
    needs = {plain, *(needs_of(task("b", spec=spec)) for spec in others)}
    assert len(needs) == 5
    assert needs_of(task("z", "other", 9, spec=task_spec("other"))) == plain
