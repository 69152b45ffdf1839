"""Managers are struck by one fault after another while clients write and read: every answer that
they got is one that a single, never failing machine could have given.

Five clients, each on a connection of its own to varying managers; seeded faults; the histories of
all are given to the checker (tests/support/linearizability).
"""

import asyncio
import random
import time
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from api.channel import socket_target
from machine.drivers.lab.driver import LabDriver
from machine.drivers.lab.host import LabHost
from tests.support.cluster import a_swarm
from tests.support.histories import RegisterClient, Workload, is_progress
from tests.support.lab_faults import (
    CUT_OFF,
    DEAF,
    DISK_FULL,
    KILLED,
    STANDS_STILL,
    Fault,
    is_whole,
    leader_of,
)
from tests.support.linearizability.explain import explain
from tests.support.linearizability.history import Operation, save

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(400)]

CLIENTS = 5
ENOUGH = 30
"""Writes that have to succeed while a fault lasts, and again after it was mended."""
LIMIT = 60.0
DISK = 64
STRIKES = (
    ("leader", KILLED),
    ("leader", STANDS_STILL),
    ("leader", CUT_OFF),
    ("leader", DEAF),
    ("follower", CUT_OFF),
    ("follower", DISK_FULL),
    ("leader", DISK_FULL),
)


class Trial:
    """Clients at work on a lab, what they saw, and the faults that strike meanwhile."""

    def __init__(self, lab: LabDriver, seed: int) -> None:
        self.history: list[Operation] = []
        self.told: list[str] = []
        self._lab = lab
        self._managers = [host.name for host in lab.hosts()]
        self._dice = random.Random(seed)

    async def run(self) -> None:
        """The whole of it: all strikes, in an order that the dice give."""
        targets = [socket_target(host.paths.swarm_socket) for host in self._lab.hosts()]
        load = Workload(random.Random(self._dice.random()))
        async with AsyncExitStack() as stack, asyncio.TaskGroup() as group:
            for number in range(CLIENTS):
                own = self._dice.sample(targets, len(targets))
                client = RegisterClient(f"c{number}", own, self.history.append)
                group.create_task(load.run(await stack.enter_async_context(client)))
            try:
                await self._progress("nothing")
                for whom, fault in self._dice.sample(STRIKES, len(STRIKES)):
                    await self._strike(whom, fault)
            finally:
                load.stopping.set()

    async def _strike(self, whom: str, fault: Fault) -> None:
        leader = await self._leader()
        followers = [name for name in self._managers if name != leader]
        victim = leader if whom == "leader" else self._dice.choice(followers)
        what = f"{fault.name}, of {victim} ({whom})"
        host = self._lab.host(victim)
        await fault.strike(host)
        try:
            await self._progress(what)
            if fault.ends_daemon:
                await self._until(lambda: _has_ended(host), f"its daemon ends: {what}")
        finally:
            await fault.mend(host)
        await self._progress(f"mended: {what}")
        await self._until(lambda: is_whole(self._lab, self._managers), f"whole after {what}")

    async def _leader(self) -> str:
        found: list[str] = []

        async def leads() -> bool:
            found[:] = filter(None, [await leader_of(self._lab, self._managers)])
            return bool(found)

        await self._until(leads, "a leader")
        return found[0]

    async def _progress(self, after: str) -> None:
        """Until enough writes were called for from now on, and carried out."""
        begun = time.monotonic()

        async def enough() -> bool:
            later = [each for each in self.history if each.called > begun]
            return sum(map(is_progress, later)) >= ENOUGH

        await self._until(enough, f"{ENOUGH} writes after {after}")
        self.told.append(f"{after}: {time.monotonic() - begun:.1f} s")

    async def _until(self, holds: Callable[[], Awaitable[bool]], what: str) -> None:
        try:
            async with asyncio.timeout(LIMIT):
                while not await holds():  # noqa: ASYNC110 - daemons tell nobody here
                    await asyncio.sleep(0.1)
        except TimeoutError:
            told = "\n".join(self.told)
            raise AssertionError(f"not within {LIMIT:g} s: {what}; before:\n{told}") from None


async def _has_ended(host: LabHost) -> bool:
    return (await host.daemon()).pid is None


@pytest.mark.parametrize(("managers", "seed"), [(3, 1), (5, 2)])
def test_every_answer_could_be_that_of_one_machine_that_never_fails(
    tmp_path: Path, managers: int, seed: int
) -> None:
    with a_swarm(tmp_path, managers=managers, workers=0, registry=False, disk=DISK) as swarm:
        trial = Trial(LabDriver.open(swarm.name), seed)
        try:
            asyncio.run(trial.run())
        finally:
            save(trial.history, tmp_path / "history.jsonl")
            print("\n".join(trial.told))
    found = explain(trial.history)
    assert not found, f"{found}\nAll of it: {tmp_path / 'history.jsonl'}"
    assert sum(map(is_progress, trial.history)) >= ENOUGH * (2 * len(STRIKES) + 1)
