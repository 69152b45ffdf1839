"""Probes one container until its health changes: the shell around `health`.

Keeps nothing between two calls, and decides nothing about an unhealthy container. What runs the
probes is the driver; its time is measured by a clock that never jumps.
"""

import asyncio
from collections import deque
from collections.abc import Callable

from hostkit.clock import Clock
from hostkit.pidfd import identify
from runtime import health
from runtime.driver import ContainerDriver, ContainerState
from runtime.health import Health, HealthMachine, ProbeResult, Verdict
from runtime.health_check import HealthCheck

LOG_LENGTH = 5
"""Probes in the log of a verdict (Docker)."""


async def watch(
    driver: ContainerDriver,
    id: str,
    known: Health,
    doubts: Callable[[Verdict], None],
    *,
    wall: Clock,
    clock: Clock,
) -> Verdict | None:
    """Its next health that is not `known`; None if it ends before, or is not probed at all.

    While it is starting still, `doubts` is called after each probe that failed. Cancelled, it kills
    the probe that is under way.
    """
    state = await driver.state(id)
    if state.health is None:
        return None
    machine = _machine(state, state.health, known, wall, clock)
    log: deque[ProbeResult] = deque(maxlen=LOG_LENGTH)
    while not await _ended_by(driver, id, machine.due - clock()):
        began = clock()
        result = await driver.probe(id, state.health.command, state.health.timeout)
        if result.code != 0 and identify(state.pid) is None:
            await driver.wait(id)  # it is not ill, it has ended: that is about to be known
        if (await driver.state(id)).phase == "exited":
            break
        log.append(result)
        machine.probed(success=result.code == 0, began=began, ended=clock())
        if machine.health != known:
            return Verdict(machine.health, _reason(machine, result), tuple(log))
        if known == "starting":
            doubts(Verdict("starting", result.last_words, tuple(log)))
    return None


def _machine(
    state: ContainerState, check: HealthCheck, known: Health, wall: Clock, clock: Clock
) -> HealthMachine:
    now = clock()
    age = max(0.0, wall() - state.started_at)
    return HealthMachine(
        check, known=known, started=now - age, now=now, phase=health.phase(state.id)
    )


async def _ended_by(driver: ContainerDriver, id: str, seconds: float) -> bool:
    """Whether the container has ended after so many seconds, or before."""
    try:
        async with asyncio.timeout(max(0.0, seconds)):
            await driver.wait(id)
    except TimeoutError:
        return (await driver.state(id)).phase == "exited"
    return True


def _reason(machine: HealthMachine, last: ProbeResult) -> str:
    return health.reason(machine.failures, last) if machine.health == "unhealthy" else ""
