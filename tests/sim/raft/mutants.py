"""Bugs to plant, each a small patch of the real code: the simulator must find every one of them.

So the tests are tested: an invariant that no planted bug breaks proves nothing. A hunt runs seeds
of its own settings until one is broken; its budget says after how many seeds at most.
"""

from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace

from tests.sim.raft import mutants_core, mutants_disk, mutants_group, mutants_log
from tests.sim.raft.plant import Plant
from tests.sim.raft.runner import Verdict, run
from tests.sim.raft.settings import Settings, faults_of


@dataclass(frozen=True, slots=True)
class Mutant:
    """`what` is wrong; where to look for it: `faults`, `nodes`, `steps` of each of `seeds` runs."""

    name: str
    what: str
    planted: Callable[[], AbstractContextManager[object]]
    faults: str
    nodes: int
    steps: int
    seeds: int

    def hunt(self) -> tuple[int, Verdict | None]:
        """Events that it took, and the run that was broken; None if the budget was not enough."""
        events = 0
        settings = Settings(
            seed=0, steps=self.steps, nodes=self.nodes, faults=faults_of(self.faults)
        )
        for seed in range(1, self.seeds + 1):
            verdict = run(replace(settings, seed=seed), planted=self.planted())
            events += verdict.events
            if verdict.violation is not None:
                return events, verdict
        return events, None


def _mutant(plant: Plant) -> Mutant:
    return Mutant(
        name=plant.patch.__name__.removeprefix("plant_"),
        what=(plant.patch.__doc__ or "").strip(),
        planted=plant.patch,
        faults=plant.faults,
        nodes=plant.nodes,
        steps=plant.steps,
        seeds=plant.seeds,
    )


MUTANTS = {
    mutant.name: mutant
    for module in (mutants_core, mutants_log, mutants_group, mutants_disk)
    for mutant in map(_mutant, module.PLANTS)
}
