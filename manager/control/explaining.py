"""Serves ExplainTask and ExplainService: a thin shell, which gives others their turn in between."""

import asyncio
from collections.abc import Generator
from typing import TypeVar

from api.v1 import explain_pb2, objects_pb2
from manager.control.explain_service import explain_service
from manager.control.explain_task import explain_task, the_task
from manager.control.resolve import resolve
from manager.state.store import Store
from manager.state.swarm_clock import SwarmClock

R = TypeVar("R")

PIECE = 64
"""Steps of an explanation between two turns of others: some 3 ms."""
AT_ONCE = 2
"""Explanations under way; further ones wait."""


class Explanations:
    """What this manager can explain, by its own state."""

    def __init__(self, store: Store, clock: SwarmClock) -> None:
        self._store = store
        self._clock = clock
        self._room = asyncio.Semaphore(AT_ONCE)

    async def task(self, request: explain_pb2.ExplainTaskRequest) -> explain_pb2.TaskExplanation:
        """Why the task is where it is; NOT_FOUND if there is none."""
        task = the_task(self._store, request.key)
        return await self._in_pieces(explain_task(self._store, task, request.nodes, self._clock()))

    async def service(
        self, request: explain_pb2.ExplainServiceRequest
    ) -> explain_pb2.ServiceExplanation:
        """How the service comes along; NOT_FOUND if there is none."""
        service = resolve(self._store, objects_pb2.Service, request.key)
        now, waited_since = self._clock(), self._clock.waited_since()
        return await self._in_pieces(explain_service(self._store, service, now, waited_since))

    async def _in_pieces(self, steps: Generator[None, None, R]) -> R:
        async with self._room:
            count = 0
            while True:
                try:
                    next(steps)
                except StopIteration as end:
                    found: R = end.value
                    return found
                count += 1
                if count % PIECE == 0:
                    await asyncio.sleep(0)
