"""What an agent keeps on its host, in the place of worker.storage: durable a moment after it was
asked for, and lost where the process dies before.
"""

import asyncio
from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING

from api.v1 import dispatcher_pb2, objects_pb2
from tests.sim.control.loop import current_process
from worker.storage import Saved

if TYPE_CHECKING:
    from tests.sim.control.host import Host

Task = objects_pb2.Task
TaskStatus = objects_pb2.TaskStatus


class Kept:
    """The content of the file. `acknowledged`: the statuses that a manager has."""

    def __init__(self) -> None:
        self.tasks: dict[str, Task] = {}
        self.statuses: dict[str, TaskStatus] = {}
        self.acknowledged: set[str] = set()
        self.managers: list[dispatcher_pb2.ManagerAddress] = []

    def load(self) -> Saved:
        """As Storage.load."""
        return Saved(
            tasks=dict(self.tasks),
            statuses=dict(self.statuses),
            unacknowledged=frozenset(self.statuses.keys() - self.acknowledged),
            managers=list(self.managers),
            networks=[],
        )


class SimStorage:
    """One agent's use of its file."""

    def __init__(self, host: "Host") -> None:
        self._host = host
        self._kept = host.kept
        self._process = current_process()
        self._free_at = 0.0

    async def load(self) -> Saved:
        """Everything that was kept."""
        return self._kept.load()

    async def assign(self, tasks: Iterable[Task], removed: Iterable[str]) -> None:
        """Keeps tasks, forgets removed ones."""
        tasks, removed = list(tasks), list(removed)
        if tasks or removed:
            await self._write(lambda: self._assign(tasks, removed))

    async def record(self, statuses: Mapping[str, TaskStatus]) -> None:
        """Keeps statuses that nobody has acknowledged."""
        taken = dict(statuses)
        await self._write(lambda: self._record(taken))

    async def acknowledge(self, statuses: Mapping[str, TaskStatus]) -> None:
        """Notes that a manager has these."""
        taken = dict(statuses)
        await self._write(lambda: self._acknowledge(taken))

    async def keep_managers(self, managers: Iterable[dispatcher_pb2.ManagerAddress]) -> None:
        """Replaces the list of managers."""
        taken = list(managers)
        await self._write(lambda: setattr(self._kept, "managers", taken))

    def _assign(self, tasks: list[Task], removed: list[str]) -> None:
        for task_id in removed:
            self._kept.tasks.pop(task_id, None)
            self._kept.statuses.pop(task_id, None)
            self._kept.acknowledged.discard(task_id)
        for task in tasks:
            self._kept.tasks[task.id] = task

    def _record(self, statuses: dict[str, TaskStatus]) -> None:
        for task_id, status in statuses.items():
            if task_id in self._kept.tasks:
                self._kept.statuses[task_id] = status
                self._kept.acknowledged.discard(task_id)

    def _acknowledge(self, statuses: dict[str, TaskStatus]) -> None:
        for task_id, status in statuses.items():
            if self._kept.statuses.get(task_id) == status:
                self._kept.acknowledged.add(task_id)

    async def _write(self, change: Callable[[], object]) -> None:
        done: asyncio.Future[None] = asyncio.get_running_loop().create_future()

        def commit() -> None:
            if self._process.alive:
                change()
                if not done.done():
                    done.set_result(None)

        world = self._host.world
        self._free_at = max(self._free_at, world.loop.time()) + world.disk_delay()
        world.network.at(self._free_at, self._process.call, commit)
        await done
