"""What a task says of its own placement: true to what the scheduler went by, and small."""

from collections import Counter

from hypothesis import given, settings
from hypothesis import strategies as st

from api import states
from api.times import NANOS
from api.v1 import explain_pb2, objects_pb2, specs_pb2
from manager.scheduler.decide import SchedulerLoop
from manager.scheduler.inquiry import counted
from manager.scheduler.pipeline import Pipeline
from manager.scheduler.recorder import BEST, EACH, MOST
from tests.support.builders import DRAIN, EPOCH, GIB, node, task, task_spec
from tests.support.loop_driver import LoopDriver
from tests.support.pieces import result_of

Score = tuple[str, list[int], bool, int, int]


def pending(
    number: int, service: str = "web", spec: specs_pb2.TaskSpec | None = None
) -> objects_pb2.Task:
    return task(f"t{number:03}", service, number + 1, state=states.PENDING, spec=spec)


def host(name: str, rack: str = "", memory: int = 8 * GIB) -> objects_pb2.Node:
    made = node(name, memory=memory)
    if rack:
        made.spec.annotations.labels["rack"] = rack
    return made


def scores(ranking: explain_pb2.NodeRanking) -> list[Score]:
    return [
        (e.node_id, list(e.branch_tasks), e.failing, e.service_tasks, e.tasks) for e in ranking.best
    ]


def refusals(ranking: explain_pb2.NodeRanking) -> dict[str, int]:
    return {each.filter: each.nodes for each in ranking.refusals}


def test_the_first_task_tells_how_all_nodes_stood() -> None:
    others = [task("a", "db", node_id="n1"), task("b", "web", 9, node_id="n3")]
    drained = node("n0", availability=DRAIN)
    nodes = [drained, host("n1"), host("n2"), host("n3"), host("n4", memory=GIB)]
    spec = task_spec(memory=2 * GIB)
    driver = LoopDriver(SchedulerLoop(), *nodes, *others, pending(0, spec=spec))
    driver.run()
    found = driver.task("t000")
    record = found.placement
    assert found.node_id == "n2"
    assert record.at_nanos == EPOCH * NANOS
    assert not record.own_node
    assert scores(record.ranking) == [
        ("n2", [], False, 0, 0),
        ("n1", [], False, 0, 1),
        ("n3", [], False, 1, 1),
    ]
    assert (record.ranking.nodes, record.ranking.candidates) == (5, 3)
    assert refusals(record.ranking) == {"availability": 1, "memory": 1}
    assert not record.ranking.partial


def test_with_preferences_the_branches_are_told() -> None:
    spec = task_spec()
    spec.placement.spread.append("node.labels.rack")
    nodes = [host("n1", "a"), host("n2", "a"), host("n3", "b")]
    there = [task("a", node_id="n1", slot=8), task("b", node_id="n2", slot=9)]
    driver = LoopDriver(SchedulerLoop(), *nodes, *there, pending(0, spec=spec))
    driver.run()
    record = driver.task("t000").placement
    assert driver.task("t000").node_id == "n3"
    assert list(record.branch_tasks) == [0]
    assert scores(record.ranking) == [
        ("n3", [0], False, 0, 0),
        ("n1", [2], False, 1, 1),
        ("n2", [2], False, 1, 1),
    ]


def test_a_node_on_which_tasks_kept_failing_says_so() -> None:
    failed = [task(f"f{n}", state=states.FAILED, node_id="n1", slot=n + 50) for n in range(5)]
    driver = LoopDriver(SchedulerLoop(), host("n1"), host("n2"), *failed, pending(0))
    driver.run()
    ranking = driver.task("t000").placement.ranking
    assert [(score[0], score[2]) for score in scores(ranking)] == [("n2", False), ("n1", True)]


def test_tasks_that_are_placed_together_share_the_ranking() -> None:
    tasks = [pending(n) for n in range(EACH + 10)]
    driver = LoopDriver(SchedulerLoop(), *(host(f"n{n}") for n in range(9)), *tasks)
    driver.run()
    records = [task.placement for task in driver.tasks()]
    assert [r.placed_before for r in records if r.HasField("ranking")] == [0, EACH]
    assert [record.placed_before for record in records] == list(range(EACH + 10))
    assert len({record.at_nanos for record in records}) == 1
    assert all(len(r.ranking.best) == BEST for r in records if r.HasField("ranking"))


def test_single_tasks_of_many_services_each_have_a_ranking_up_to_a_limit() -> None:
    tasks = [pending(n, f"s{n}") for n in range(MOST + 10)]
    driver = LoopDriver(SchedulerLoop(), *(host(f"n{n}") for n in range(9)), *tasks)
    driver.run()
    told = [task.placement.HasField("ranking") for task in driver.tasks()]
    assert told == [True] * MOST + [False] * 10


def test_a_task_that_has_its_node_already_is_only_confirmed_there() -> None:
    waits = task("t", slot=0, state=states.PENDING, node_id="n2")
    driver = LoopDriver(SchedulerLoop(), host("n1"), host("n2"), waits)
    driver.run()
    record = driver.task("t").placement
    assert record.own_node
    assert not record.HasField("ranking")


def test_a_record_is_small() -> None:
    nodes = [host(f"n{n}".ljust(25, "x"), "a") for n in range(40)]
    spec = task_spec()
    spec.placement.spread.extend(("node.labels.rack", "node.labels.room"))
    driver = LoopDriver(SchedulerLoop(), *nodes, *(pending(n, spec=spec) for n in range(300)))
    driver.run()
    sizes = [task.placement.ByteSize() for task in driver.tasks()]
    assert max(sizes) < 400
    assert sum(sizes) / len(sizes) < 40


@settings(max_examples=80, deadline=None)
@given(
    st.lists(
        st.tuples(st.sampled_from("ab"), st.integers(1, 3), st.booleans()), min_size=1, max_size=8
    ),
    st.lists(st.integers(0, 7), max_size=8),
    st.booleans(),
)
def test_the_chosen_node_is_the_first_and_the_counts_are_those_of_the_filters(
    hosts: list[tuple[str, int, bool]], there: list[int], spread: bool
) -> None:
    nodes = [host(f"n{n}", rack, memory * GIB) for n, (rack, memory, _) in enumerate(hosts)]
    for made, (*_, drained) in zip(nodes, hosts, strict=True):
        made.spec.availability = DRAIN if drained else made.spec.availability
    spec = task_spec(memory=GIB)
    spec.placement.spread.extend(["node.labels.rack"] if spread else [])
    others = [
        task(f"o{n}", ("web", "db")[n % 2], n + 10, node_id=f"n{at}", spec=task_spec(memory=GIB))
        for n, at in enumerate(there)
        if at < len(hosts)
    ]
    driver = LoopDriver(SchedulerLoop(), *nodes, *others, pending(0, spec=spec))
    pipeline = Pipeline()
    pipeline.turn_to(driver.task("t000"))
    refusing = [pipeline.refusing(each) for each in result_of(counted(driver.store)).all()]
    driver.run()
    placed = driver.task("t000")
    if not placed.node_id:
        assert not placed.HasField("placement")
        return
    ranking = placed.placement.ranking
    assert ranking.best[0].node_id == placed.node_id
    assert ranking.nodes == len(hosts)
    assert scores(ranking)[0][1:] == (
        list(placed.placement.branch_tasks),
        placed.placement.failing,
        placed.placement.service_tasks,
        placed.placement.tasks,
    )
    if not ranking.partial:
        assert ranking.candidates == refusing.count(None)
        assert refusals(ranking) == Counter(each.name for each in refusing if each is not None)
