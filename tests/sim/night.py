"""Simulated runs of fresh seeds for HOURS (8), on every processor: `make test` has no time for it.

Prints how to have a failing run again, and ends with 1.
"""

import os
import sys
import time
from concurrent.futures import ProcessPoolExecutor
from secrets import randbelow

from tests.sim.raft.runner import run
from tests.sim.raft.settings import Settings

STEPS = 50_000
SIZES = (1, 2, 3, 3, 4, 5, 5, 7)


def one(seed: int) -> tuple[int, str]:
    """The events of a run, and its report if it failed."""
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
