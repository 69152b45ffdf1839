"""Simulated runs of fresh seeds, of Raft, swarms and leases, for HOURS (8), on every processor.

Prints how to have a failing run again, and ends with 1.
"""

import os
import sys
import time
from concurrent.futures import ProcessPoolExecutor
from secrets import randbelow

from tests.sim.control import runner as swarms
from tests.sim.control import settings as of_swarms
from tests.sim.leasing.world import World
from tests.sim.raft.runner import run
from tests.sim.raft.settings import Settings

STEPS = 50_000
SIZES = (1, 2, 3, 3, 4, 5, 5, 7)


def one(seed: int) -> tuple[int, str]:
    """The events of a run, and its report if it failed."""
    kinds = (_of_raft, _of_swarm, _of_leases)
    return kinds[seed % len(kinds)](seed)


def _of_swarm(seed: int) -> tuple[int, str]:
    settings = of_swarms.Settings(seed=seed, steps=STEPS, volumes=seed % 4 == 0)
    verdict = swarms.run(settings)
    return verdict.steps, "" if verdict.violation is None else verdict.report()


def _of_leases(seed: int) -> tuple[int, str]:
    world = World(seed)
    try:
        world.run()
    except AssertionError as error:
        return world.events, f"World({seed}).run() of tests/sim/leasing/world.py: {error}"
    return world.events, ""


def _of_raft(seed: int) -> tuple[int, str]:
    settings = Settings(
        seed=seed,
        steps=STEPS,
        nodes=SIZES[seed % len(SIZES)],
        machine="store" if seed % 5 == 0 else "chain",
        sealed=seed % 7 == 0,
        lazy=seed % 2 == 0,
    )
    verdict = run(settings)
    failed = verdict.violation is not None
    return verdict.events, f"{settings.command()}\n{verdict.report()}" if failed else ""


def main() -> int:
    """Runs until the time is over or a run fails; the exit code."""
    hours = float(os.environ.get("HOURS", "8"))
    end = time.monotonic() + 3600 * hours
    workers = os.cpu_count() or 1
    runs = events = 0
    with ProcessPoolExecutor(workers) as pool:
        while time.monotonic() < end:
            seeds = [randbelow(1 << 32) for _ in range(2 * workers)]
            for count, failure in pool.map(one, seeds):
                runs, events = runs + 1, events + count
                if failure:
                    print(failure)
                    return 1
            print(f"{runs} runs, {events} events, no failure", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
