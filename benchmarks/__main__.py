"""Measures the figures of docs/reference/figures.md on this machine.

    python -m benchmarks [FIGURE ...]

Prints one JSON line per figure, keeps it in benchmarks/results.json, and makes the table anew.
Nothing else uses the machine meanwhile that asks for its lock; the swarm is gone afterwards.
"""

import asyncio
import json
import os
import signal
import sys
import time
from collections.abc import (
    AsyncGenerator,
    AsyncIterator,
    Awaitable,
    Callable,
    Collection,
    Iterable,
    Mapping,
)
from contextlib import aclosing
from dataclasses import dataclass
from functools import partial
from typing import Any

from api.errors import SwarmError
from benchmarks import (
    agents,
    big_store,
    changes,
    command,
    create,
    discovery,
    dns,
    fabric,
    failover,
    gaps,
    hundred,
    idle,
    leader_lost,
    leader_stops,
    moved,
    overlay_tcp,
    report,
    sched,
    traffic,
    update,
    virtual_ip,
    volume_failover,
    writes,
    young,
)
from benchmarks.figure import Measured, line
from benchmarks.figures import FIGURES
from benchmarks.swarm import Swarm, running
from hostkit import collector
from machine.drivers.lab.lock import machine_lock


@dataclass(frozen=True)
class Suite:
    """Figures that are measured together, in a swarm of so many managers and workers."""

    figures: tuple[str, ...]
    measure: Callable[[Swarm], Awaitable[dict[str, Measured]]]
    managers: int = 1
    workers: int = 0

    @property
    def shape(self) -> tuple[int, int]:
        """Managers and workers."""
        return self.managers, self.workers


ALONE: Mapping[str, Callable[[], Measured]] = {
    **{name: partial(sched.measure, name) for name in sched.SHAPES},
    "dns_qps": dns.measure,
    **fabric.MEASURES,
    **changes.MEASURES,
    "overlay_tcp": overlay_tcp.measure,
    **virtual_ip.MEASURES,
    "young_pass": young.measure,
}
"""Figures that need no swarm."""

SUITES = (
    Suite(("idle_rss",), idle.measure),
    Suite(("create_1", "create_10"), create.measure),
    Suite(("create_100", "cpu_per_start", "pss_per_task", "rm_100"), hundred.measure),
    Suite(("update_20",), update.measure),
    Suite(("cli_start",), command.measure),
    Suite(("writes_1", "writes_1x16"), writes.measure_1),
    Suite(("failover_worker",), failover.measure, workers=failover.WORKERS),
    Suite(("volume_failover",), volume_failover.measure, workers=volume_failover.WORKERS),
    Suite(("writes_3", "writes_3x16"), writes.measure_3, managers=3),
    Suite(("failover_leader",), leader_lost.measure, managers=3),
    Suite(("failover_clean",), leader_stops.measure, managers=3),
    Suite(("discovery", "vip_ready"), discovery.measure, workers=1),
    Suite(traffic.FIGURES, traffic.measure, workers=1),
    Suite(("dns_gap", "update_gap"), gaps.measure, workers=1),
    Suite(("moved_100",), moved.measure, workers=2),
    Suite(("raft_store_100k",), big_store.measure, workers=1),
)


def main(names: list[str]) -> int:
    """The whole program; the exit code."""
    unknown = [name for name in names if name not in FIGURES]
    if unknown:
        print(f"no such figure: {', '.join(unknown)}; known: {', '.join(FIGURES)}", file=sys.stderr)
        return 2
    collector.tune()  # as in the daemon: the scheduler is measured in this process
    wanted = names or list(FIGURES)
    lines = []
    try:
        with machine_lock("benchmarks"):
            lines = asyncio.run(_gather(wanted))
    except SwarmError as error:
        print(f"benchmarks: {error}", file=sys.stderr)
        return 1
    except (asyncio.CancelledError, KeyboardInterrupt):
        print("benchmarks: stopped", file=sys.stderr)
        return 130
    report.keep(lines, FIGURES)
    return 0


async def _gather(wanted: Collection[str]) -> list[Mapping[str, Any]]:
    task = asyncio.current_task()
    assert task is not None
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, task.cancel)
    lines = []
    async with aclosing(_lines(wanted)) as found:
        async for each in found:
            print(json.dumps(each), flush=True)
            lines.append(each)
    return lines


async def _lines(wanted: Collection[str]) -> AsyncGenerator[Mapping[str, Any], None]:
    for name in filter(wanted.__contains__, ALONE):
        load = os.getloadavg()[0]
        yield _line(name, ALONE[name](), load)
    if agents.FIGURE in wanted:
        load = os.getloadavg()[0]
        yield _line(agents.FIGURE, await agents.measure(), load)
    suites = [suite for suite in SUITES if not set(wanted).isdisjoint(suite.figures)]
    for shape in sorted({suite.shape for suite in suites}):
        async with running(*shape) as swarm:
            async for each in _in_swarm(swarm, [s for s in suites if s.shape == shape]):
                if each["figure"] in wanted:
                    yield each


async def _in_swarm(swarm: Swarm, suites: Iterable[Suite]) -> AsyncIterator[Mapping[str, Any]]:
    for suite in suites:
        load = os.getloadavg()[0]
        for name, measured in (await suite.measure(swarm)).items():
            yield _line(name, measured, load)


def _line(name: str, measured: Measured, load: float) -> Mapping[str, Any]:
    return line(FIGURES[name], measured, load=load, on=time.strftime("%Y-%m-%d"))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
