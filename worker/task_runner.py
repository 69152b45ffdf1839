"""One task on this node: an asyncio task that obeys `task_machine` with the help of the executor.

Decides nothing itself. It ends only when it is closed; the container is left as it is then.
"""

import asyncio
import contextlib
import logging
from collections.abc import Callable

from api.errors import SwarmError
from api.states import RUNNING, STARTING, UNCHECKED, state_name
from api.v1 import objects_pb2
from hostkit.clock import Clock
from worker import task_machine
from worker.executor import Executor, Health, TemporaryError
from worker.task_machine import Action, Ended, Failure, Judged, Outcome, Prepared, Started

log = logging.getLogger(__name__)

Task = objects_pb2.Task
TaskStatus = objects_pb2.TaskStatus
Observer = Callable[[Task, TaskStatus], None]
"""Called with every new status of a task; neither is changed afterwards."""


class TaskRunner:
    """Drives one task from its status to what is desired of it."""

    def __init__(
        self,
        task: Task,
        status: TaskStatus,
        executor: Executor,
        observer: Observer,
        wall: Clock,
        *,
        after: asyncio.Task[None] | None = None,
    ) -> None:
        self.task = task
        self.status = status
        self._executor = executor
        self._observer = observer
        self._wall = wall
        self._news = asyncio.Event()
        self._work: asyncio.Task[Outcome] | None = None
        self._failures = 0
        self._told_at = 0.0  # how much of its images has come
        self._after = after  # a removal of the same task that must be through first
        self._loop = asyncio.create_task(self._run(), name=f"task {task.id}")
        self._loop.add_done_callback(_log_crash)

    def update(self, task: Task) -> None:
        """The managers want something else; a step that is under way goes on."""
        self.task = task
        self.wake()

    def wake(self) -> None:
        """What a step failed for may have come: it is tried again without more delay."""
        self._news.set()

    def stop(self, task: Task) -> None:
        """The task is to end: a step that is under way is broken off."""
        if self._work is not None:
            self._work.cancel()
        self.update(task)

    async def close(self) -> None:
        """Ends the driving, not the task; returns when nothing is under way any more."""
        self._loop.cancel()
        await asyncio.wait({self._loop})

    async def _run(self) -> None:
        if self._after is not None:
            await asyncio.wait({self._after})
        while True:
            self._news.clear()
            step = task_machine.next_step(self.task.desired_state, self.status, self._wall())
            match step:
                case task_machine.Pause():
                    await self._news.wait()
                case task_machine.Advance(status=status):
                    self._observe(status)
                case task_machine.Perform(action=action):
                    await self._perform(action)

    async def _perform(self, action: Action) -> None:
        outcome = await self._interruptible(action)
        if outcome is None:
            return
        stopping = action is Action.SHUTDOWN
        self._observe(
            task_machine.conclude(self.status, outcome, stopping=stopping, now=self._wall())
        )
        if isinstance(outcome, Failure) and outcome.temporary:
            self._failures += 1
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(task_machine.retry_delay(self._failures)):
                    await self._news.wait()
        else:
            self._failures = 0

    async def _interruptible(self, action: Action) -> Outcome | None:
        """The step's outcome; None if it was broken off, so that the machine is asked again."""
        self._work = work = asyncio.create_task(self._act(action))
        try:
            await asyncio.wait({work})
        finally:
            self._work = None
            if not work.done():
                work.cancel()
                await asyncio.wait({work})
        return None if work.cancelled() else work.result()

    async def _act(self, action: Action) -> Outcome:
        task = self.task
        try:
            match action:
                case Action.PREPARE:
                    self._told_at = self._wall()
                    await self._executor.prepare(task, self._came)
                    return Prepared()
                case Action.START:
                    return Started(await self._executor.start(task))
                case Action.WAIT:
                    return await self._wait(task)
                case Action.SHUTDOWN:
                    return Ended(await self._executor.shutdown(task))
        except TemporaryError as error:
            return Failure(str(error), temporary=True)
        except SwarmError as error:
            return Failure(str(error))
        except Exception as error:  # the boundary of the task: it must not hang in its state
            log.exception("task %s: %s broke down", task.id, action.value)
            return Failure(f"internal error: {error!r}")

    def _came(self, came: int, total: int) -> None:
        now = self._wall()
        if task_machine.tells_again(self._told_at, now):
            self._told_at = now
            self._observe(task_machine.still_preparing(self.status, came, total, now))

    async def _wait(self, task: Task) -> Outcome:
        known = self.status.container.health
        if known != UNCHECKED:
            health = await self._executor.health(task, known, self._doubted)
            if health is not None:
                return Judged(health)
        return Ended(await self._executor.wait(task))

    def _doubted(self, health: Health) -> None:
        status = task_machine.still_unproven(self.status, health, self._wall())
        if status is not None:
            self._observe(status, logging.INFO)

    def _observe(self, status: TaskStatus, level: int | None = None) -> None:
        level = _level(status) if level is None else level
        log.log(level, "task %s is %s", self.task.id, _told(self.status, status))
        self.status = status
        self._observer(self.task, status)


def _level(status: TaskStatus) -> int:
    if status.error:
        return logging.WARNING
    return logging.INFO if status.state in (STARTING, RUNNING) else logging.DEBUG


def _told(before: TaskStatus, now: TaskStatus) -> str:
    """What a log says of a status: a state once, and what is new in it afterwards."""
    state = state_name(now.state).lower()
    if now.error:
        return f"{state}: {now.error}"
    return now.message if now.state == before.state else state


def _log_crash(loop: asyncio.Task[None]) -> None:
    if not loop.cancelled() and (error := loop.exception()) is not None:
        log.error("%s is not driven any more", loop.get_name(), exc_info=error)
