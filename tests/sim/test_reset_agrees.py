"""A loop that followed every event decides what a fresh one decides that only knows the store.

So a new leader, or a loop that fell behind and was told to start anew, does what the old one would
have done.
"""

from random import Random

from hypothesis import given, settings
from hypothesis import strategies as st

from api.v1 import objects_pb2
from manager.decision import Loop
from manager.state.changes import Action, Batch, Change, unwrap, wrap
from tests.sim.user import User
from tests.sim.virtual_cluster import VirtualCluster

Plain = list[list[tuple[str, str, bytes]]]


@settings(max_examples=60, deadline=None, derandomize=True)
@given(st.integers(0, 1 << 32))
def test_a_reset_changes_no_decision(seed: int) -> None:
    cluster = VirtualCluster(Random(seed))
    check_resets(cluster, User(cluster), steps=60, acts=0.25)


def check_resets(cluster: VirtualCluster, user: User, *, steps: int, acts: float) -> None:
    """Each step one loop decides, and a fresh one of its kind the same; `acts`: how often the user
    does something.
    """
    cluster.refusal_rate, cluster.crash_rate = 0.1, 0.05
    for _ in range(steps):
        if cluster.random.random() < acts:
            user.act()
        cluster.pass_time(cluster.random.choice([0.0, 0.5, 6.0, 61.0]))
        cluster.run_agents()
        if cluster.random.random() < 0.5:
            cluster.run_loops()
        followed = cluster.random.choice(cluster.loops)
        fresh = next(x for x in cluster.new_loops() if x.name == followed.name)
        fresh.reset(cluster.store)
        expected = drain(fresh, cluster)
        decided = drain(followed, cluster)
        assert plain(decided) == plain(expected), f"{followed.name} at {cluster.now}"
        cluster.propose(followed, decided)


def drain(loop: Loop, cluster: VirtualCluster) -> list[Batch]:
    """Everything that the loop has to say at this moment."""
    batches: list[Batch] = []
    more = True
    while more:
        decision = loop.decide(cluster.store, cluster.now)
        batches += decision.batches
        more = decision.more
    return batches


def plain(batches: list[Batch]) -> Plain:
    """The batches without the ids of new objects and in one order."""
    return sorted(sorted(map(_plain_change, each.changes)) for each in batches)


def _plain_change(change: Change) -> tuple[str, str, bytes]:
    obj = unwrap(wrap(change.object))
    if change.action is Action.CREATE:
        obj.id = ""
    if isinstance(obj, objects_pb2.Task):
        # What a task is told of other nodes may come from a shorter look, where that was enough.
        obj.placement.ClearField("ranking")
    return (change.action.name, obj.id, obj.SerializeToString(deterministic=True))
