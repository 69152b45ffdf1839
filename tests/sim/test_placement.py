"""Nodes change, services ask for places, leaders come and go: at rest each task is where it may be.

Each planted bug is found by the same runs.
"""

from collections.abc import Callable
from contextlib import AbstractContextManager
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from manager.orchestrator import enforcer, overcommit
from manager.orchestrator.enforcer import EnforcerLoop
from manager.placement.generic import Stock
from manager.scheduler.candidates import Candidates
from manager.scheduler.filters.placement import MaxReplicasFilter
from manager.scheduler.nodes import NodeInfo
from tests.sim.placing_user import PlacingCluster, PlacingUser, misplaced, stranded, unrest
from tests.sim.raft.plant import swap
from tests.sim.test_reset_agrees import check_resets

SEEDS = 25

Patch = Callable[[], AbstractContextManager[object]]


def verdict(seed: int) -> list[str]:
    """What is wrong at the end of one run."""
    cluster, user = unrest(seed, 150)
    user.calm()
    cluster.come_to_rest()
    cluster.store.check_seals()
    return misplaced(cluster) + stranded(cluster)


@pytest.mark.parametrize("seed", range(SEEDS))
def test_at_rest_every_task_is_where_it_may_be(seed: int) -> None:
    assert verdict(seed) == []


@settings(max_examples=40, deadline=None, derandomize=True)
@given(st.integers(0, 1 << 32))
def test_a_new_leader_places_and_moves_the_same_tasks(seed: int) -> None:
    cluster = PlacingCluster(Random(seed))
    check_resets(cluster, PlacingUser(cluster), steps=50, acts=0.4)


def deaf_enforcer() -> AbstractContextManager[object]:
    """Changes of nodes are not seen, only what a new leader finds."""
    return swap(enforcer, "_matters", lambda event: False)


def enforcer_misses_late_tasks() -> AbstractContextManager[object]:
    """A task that was on its way when its node changed stays."""
    return swap(enforcer, "_was_placed_now", lambda event: False)


def shrunken_nodes_keep_all() -> AbstractContextManager[object]:
    """Only constraints are enforced."""
    return swap(enforcer, "too_many", lambda has, newest_first: [])


def names_are_not_compared() -> AbstractContextManager[object]:
    """Only the memory of a node that shrank is looked at."""
    real = overcommit._with_generic
    return swap(overcommit, "_with_generic", lambda cpus, memory, generic: real(cpus, memory, []))


def generic_is_not_counted() -> AbstractContextManager[object]:
    """What tasks hold is free all the same."""
    return swap(Stock, "shift", lambda self, given, sign: None)


def limit_forgives_always() -> AbstractContextManager[object]:
    """One more than allowed is always fine."""

    def passes(self: MaxReplicasFilter, node: NodeInfo) -> bool:
        return node.of_service.get(self._service_id, 0) - 1 < self._most

    return swap(MaxReplicasFilter, "passes", passes)


def orders_are_not_told() -> AbstractContextManager[object]:
    """A node that changed stays where it was in all orders."""
    return swap(Candidates, "touch", lambda self, node_id, *, is_other=False: None)


def refusals_are_lost() -> AbstractContextManager[object]:
    """An eviction that did not apply is not decided again."""
    return swap(EnforcerLoop, "refused", lambda self, batch: None)


MUTANTS: list[Patch] = [
    deaf_enforcer,
    enforcer_misses_late_tasks,
    shrunken_nodes_keep_all,
    names_are_not_compared,
    generic_is_not_counted,
    limit_forgives_always,
    orders_are_not_told,
    refusals_are_lost,
]


@pytest.mark.parametrize("plant", MUTANTS)
def test_a_planted_bug_is_found(plant: Patch) -> None:
    with plant():
        for seed in range(4 * SEEDS):
            try:
                if verdict(seed):
                    return
            except (AssertionError, KeyError):
                return
    raise AssertionError(f"not found: {plant.__doc__}")
