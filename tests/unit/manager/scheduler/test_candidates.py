from api import states
from api.v1 import objects_pb2
from manager.scheduler.candidates import MAX_GONE, MAX_ORDERS, Candidates, _shorten
from manager.scheduler.nodes import NodeInfo, NodeSet
from manager.scheduler.pipeline import Pipeline
from manager.scheduler.spread import NoAnswer
from manager.scheduler.step import Step
from manager.scheduler.waiting import Entry
from tests.support.builders import EPOCH, GIB, node, task, task_spec
from tests.support.sealed_store import SealedStore


def crowded(full: int) -> NodeSet:
    """So many nodes without room, and one with room and many tasks."""
    nodes = NodeSet()
    for number in range(full):
        nodes.describe(f"full{number:03}", node(f"full{number:03}", memory=0))
    nodes.describe("roomy", node("roomy"))
    for number in range(9):
        nodes.put(task(f"x{number}", "db", number + 1, node_id="roomy"))
    return nodes


def pending(service_id: str) -> objects_pb2.Task:
    return task(f"t-{service_id}", service_id, state=states.PENDING, spec=task_spec(memory=GIB))


def ask(candidates: Candidates, pipeline: Pipeline, asking: objects_pb2.Task) -> object:
    entry = Entry.of(asking)
    pipeline.turn_to(asking, entry.needs)
    found = candidates.best(entry, Step(SealedStore(), EPOCH))
    return found.id if isinstance(found, NodeInfo) else found


def test_services_of_which_nothing_is_known_share_one_ranking() -> None:
    pipeline = Pipeline()
    candidates = Candidates(crowded(200), pipeline)
    for number in range(5):
        assert ask(candidates, pipeline, pending(f"s{number}")) == "roomy"
    assert len(candidates._rankings) == 1


def test_no_ranking_is_made_while_the_first_nodes_will_do() -> None:
    pipeline = Pipeline()
    nodes = crowded(5)
    candidates = Candidates(nodes, pipeline)
    assert ask(candidates, pipeline, pending("s")) == "roomy"
    assert not candidates._rankings


def test_there_may_be_no_time_left() -> None:
    pipeline = Pipeline()
    candidates = Candidates(crowded(200), pipeline)
    asking = pending("s")
    entry = Entry.of(asking)
    pipeline.turn_to(asking, entry.needs)
    step = Step(SealedStore(), EPOCH)
    for _ in range(2):  # the pool is made, then a part of the ranking
        step.left = 150
        assert candidates.best(entry, step) is NoAnswer.NOT_YET
    assert ask(candidates, pipeline, asking) == "roomy"


def test_nodes_that_are_gone_do_not_pile_up() -> None:
    nodes = crowded(3)
    candidates = Candidates(nodes, Pipeline())
    for number in range(3 * MAX_GONE):
        candidates.touch(f"gone{number}", is_other=True)
    assert len(candidates._journal) <= MAX_GONE + 2 * len(nodes)
    assert ask(candidates, candidates._pipeline, pending("s")) == "roomy"


def test_the_orders_that_served_longest_ago_go_first() -> None:
    pipeline = Pipeline()
    candidates = Candidates(crowded(1), pipeline)
    for number in range(MAX_ORDERS + 5):
        asking = pending("s")
        asking.spec.placement.constraints.append(f"node.id!=n{number}")
        ask(candidates, pipeline, asking)
    assert len(candidates._pools) == MAX_ORDERS
    _shorten(candidates._pools, 10_000_000)
    assert len(candidates._pools) == 1
