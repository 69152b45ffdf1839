"""Never two writers, whatever happens; and every planted bug is found."""

import os
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any

import pytest

from api.v1 import objects_pb2
from manager.scheduler import volumes as scheduling
from manager.state import refusals
from manager.state import volumes as state_of_volumes
from manager.volumes import leases as counting
from manager.volumes import order_book, orders
from manager.volumes.leases import Leases
from tests.sim.leasing import agent as agents
from tests.sim.leasing.agent import Agent
from tests.sim.leasing.manager import Manager
from tests.sim.leasing.world import TwoWriters, World
from tests.sim.raft.plant import at_once, swap

SEEDS = int(os.environ.get("LEASE_SEEDS", "40"))
"""`make sim-night` runs thousands of others."""
WITHIN = 100
Plant = Callable[[], AbstractContextManager[object]]


@pytest.mark.parametrize("seed", range(SEEDS))
def test_no_two_nodes_may_write_at_one_moment(seed: int) -> None:
    World(seed).run()


def without_a_read_index() -> AbstractContextManager[object]:
    """A manager that believes that it leads renews."""
    return swap(Manager, "confirms", lambda self: self.believes)


def a_heartbeat_of_a_former_session_counts() -> AbstractContextManager[object]:
    """What the agent had carried out then is taken for what it has carried out now."""
    return swap(Manager, "is_session", lambda self, agent, session: agent.name in self.feeds)


def without_a_margin() -> AbstractContextManager[object]:
    """A volume is given on as soon as its term is over."""
    return swap(counting, "margin_of", lambda term: 0.0)


def counting_from_receipt() -> AbstractContextManager[object]:
    """An agent counts from the moment at which the answer came."""
    return swap(agents, "counts_from", lambda agent, sent: agent.clock())


def a_word_about_what_it_never_had_comes_at_once() -> AbstractContextManager[object]:
    """A node says that it lets go of an epoch, while a mount of the one before lasts."""
    return swap(agents, "touches_it_still", lambda agent, epoch: False)


def a_new_leader_does_not_wait() -> AbstractContextManager[object]:
    """It takes what it knows nothing of for lapsed."""
    begin = Leases.begin

    def hasty(self: Leases, volumes: Any, now: float) -> None:
        begin(self, volumes, now - 3600.0)

    return swap(Leases, "begin", hasty)


def an_epoch_is_used_again() -> AbstractContextManager[object]:
    """A node gets a volume under the epoch that was the last, and nothing refuses it."""
    taken = scheduling._taken

    def again(volume: objects_pb2.Volume, want: Any, node: Any) -> objects_pb2.Volume:
        changed = taken(volume, want, node)
        if volume.epoch:
            changed.epoch = volume.epoch
            changed.holders[-1].epoch = volume.epoch
        return changed

    return at_once(
        swap(scheduling, "_taken", again),
        swap(refusals, "refusal_of_volumes", lambda view, change, among: None),
    )


def what_has_lapsed_is_renewed() -> AbstractContextManager[object]:
    """A node that has lost a volume and does not know it yet keeps it by its heartbeats."""

    def renew(self: Leases, node_id: str, came_at: float, confirmed: int) -> bool:
        self._renewed[node_id] = max(came_at, self._renewed.get(node_id, came_at))
        return True

    return swap(Leases, "renew", renew)


def a_late_opening_is_forgotten() -> AbstractContextManager[object]:
    """A node is fenced though an order to let it in may be under way still."""
    let_in = orders._let_in

    def forgetful(volume: objects_pb2.Volume, order: Any, report: Any, fences: bool) -> None:
        del volume.unfenceable[:]
        let_in(volume, order, report, fences)

    return swap(orders, "_let_in", forgetful)


def a_driver_that_took_too_long_has_done_nothing() -> AbstractContextManager[object]:
    """An order to let a node in that failed is forgotten, though it may come about yet."""
    return swap(order_book, "leaves_doubt", lambda outcome: False)


def a_fence_frees_before_it_is_up() -> AbstractContextManager[object]:
    """What a node that is down holds is taken for closed to it at once."""

    def hasty(holder: objects_pb2.VolumeHolder) -> bool:
        return holder.state not in (holder.STATE_CLOSING, holder.STATE_RELEASING)

    return at_once(
        swap(scheduling, "may_touch", hasty),
        swap(state_of_volumes, "may_touch", hasty),
    )


def two_nodes_are_not_refused() -> AbstractContextManager[object]:
    """The scheduler takes a volume that another node holds for free, and nothing refuses it."""
    return at_once(
        swap(scheduling, "may_touch", lambda holder: False),
        swap(refusals, "refusal_of_volumes", lambda view, change, among: None),
    )


@pytest.mark.parametrize(
    ("plant", "seed"),
    [
        (without_a_read_index, 1),
        (a_heartbeat_of_a_former_session_counts, 18),
        (without_a_margin, 7),
        (counting_from_receipt, 18),
        (a_word_about_what_it_never_had_comes_at_once, 2058),
        (a_new_leader_does_not_wait, 4),
        (an_epoch_is_used_again, 9),
        (what_has_lapsed_is_renewed, 18),
        (a_late_opening_is_forgotten, 254),
        (a_driver_that_took_too_long_has_done_nothing, 2400),
        (a_fence_frees_before_it_is_up, 0),
        (two_nodes_are_not_refused, 0),
    ],
)
def test_a_planted_bug_is_found(plant: Plant, seed: int) -> None:
    """`seed`: the first that finds it; after other changes it may be one of the next."""
    with plant():
        assert any(breaks(each) for each in range(seed, seed + WITHIN)), plant.__doc__


def breaks(seed: int) -> bool:
    try:
        World(seed).run()
    except TwoWriters:
        return True
    return False


def test_the_volume_moves() -> None:
    world = World(1)
    world.run()
    assert world.held > 3


def test_agents_of_the_simulation_do_let_go() -> None:
    world = World(1)
    agent = Agent(world, "n9")
    agent.leases[1] = agent.clock() + 1.0
    assert agent.writes()
    world.now += 2.0
    assert not agent.writes()
