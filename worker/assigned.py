"""The tasks of this node: carries out the steps of `reconcile`, and says how every task does.

Start-ups are not serialised: each task has a runner of its own. Removals run beside, and begin
again after a restart, since a container whose task is not assigned is removed then.
"""

import asyncio
import logging
from collections.abc import Callable, Collection, Iterable, Mapping

from api import files
from api.errors import SwarmError
from api.files import Key
from api.states import REJECTED, STARTING
from api.v1 import dispatcher_pb2, objects_pb2
from hostkit.clock import Clock
from worker import reconcile
from worker.backoff import Backoff, Chance
from worker.executor import Executor
from worker.held_files import HeldFiles
from worker.reporter import Reporter
from worker.storage import Saved, Storage
from worker.task_place import holds_place
from worker.task_runner import TaskRunner

log = logging.getLogger(__name__)

Task = objects_pb2.Task
TaskStatus = objects_pb2.TaskStatus


class AssignedTasks:
    """Runners by task id, the removals under way, and containers whose task is not known yet."""

    def __init__(
        self,
        *,
        node_id: str,
        executor: Executor,
        storage: Storage,
        reporter: Reporter,
        wall: Clock,
        chance: Chance,
        on_readable: Callable[[Task], None],
    ) -> None:
        self._node_id = node_id
        self._executor = executor
        self._storage = storage
        self._reporter = reporter
        self._wall = wall
        self._chance = chance
        self._on_readable = on_readable
        self._runners: dict[str, TaskRunner] = {}
        self._containers: set[str] = set()
        self._removals: dict[str, asyncio.Task[None]] = {}
        self._files = HeldFiles()

    def restore(self, saved: Saved, containers: Collection[str]) -> None:
        """Goes on with what a former daemon left; containers of unknown tasks are left alone."""
        self._containers = set(containers)
        for task in saved.tasks.values():
            self._start(task, saved.statuses.get(task.id, task.status))

    async def assign(self, message: dispatcher_pb2.AssignmentsMessage) -> None:
        """Makes the node follow a message of the managers."""
        steps = reconcile.plan(
            message, {i: r.task for i, r in self._runners.items()}, self._containers
        )
        kept = [step.task for step in steps if not isinstance(step, reconcile.Remove)]
        removed = [step.task_id for step in steps if isinstance(step, reconcile.Remove)]
        try:
            await self._storage.assign(kept, removed)
        except SwarmError as error:
            # A full disk must not keep tasks from being stopped; the managers know what is lost.
            log.warning("assignments will be forgotten if the daemon restarts: %s", error)
        self._reporter.forget(removed)
        fresh = self._files.follow(message)
        self._executor.hold(self._files.contents)
        for step in steps:
            self._obey(step)
        self._wake_those_who_waited(fresh)
        if message.type == dispatcher_pb2.AssignmentsMessage.TYPE_COMPLETE:
            # From now on every container found at start-up is a task's, or is being removed.
            self._containers.clear()
            statuses = {i: runner.status for i, runner in self._runners.items()}
            for task_id in reconcile.behind(message, statuses):
                self._reporter.report(task_id, statuses[task_id])

    def snapshot(self) -> Mapping[str, Task]:
        """Every task of this node, with the status that was last observed here."""
        tasks = {}
        for task_id, runner in self._runners.items():
            task = Task()
            task.CopyFrom(runner.task)
            task.status.CopyFrom(runner.status)
            tasks[task_id] = task
        return tasks

    def readable(self) -> Iterable[Task]:
        """The tasks that may have written something."""
        return [r.task for r in self._runners.values() if _may_have_logs(r.task, r.status)]

    def find(self, task_id: str) -> Task | None:
        """The task with this id, if it is this node's."""
        runner = self._runners.get(task_id)
        return None if runner is None else runner.task

    async def close(self) -> None:
        """Stops driving the tasks; their containers go on."""
        removals = list(self._removals.values())
        for removal in removals:
            removal.cancel()
        closing = [runner.close() for runner in self._runners.values()]
        await asyncio.gather(*closing, *removals, return_exceptions=True)
        self._executor.hold({})

    # --- steps ------------------------------------------------------------------------------

    def _obey(self, step: reconcile.Step) -> None:
        match step:
            case reconcile.Start(task=task):
                self._start(task, task.status)
            case reconcile.Update(task=task):
                self._runners[task.id].update(task)
            case reconcile.Stop(task=task):
                self._runners[task.id].stop(task)
            case reconcile.Remove(task_id=task_id):
                self._remove(task_id)

    def _wake_those_who_waited(self, fresh: frozenset[Key]) -> None:
        for runner in self._runners.values() if fresh else ():
            references = files.references(runner.task.spec.container)
            if any((kind, reference.id) in fresh for kind, _, reference in references):
                runner.wake()

    def _start(self, task: Task, status: TaskStatus) -> None:
        own = TaskStatus()
        own.CopyFrom(status)
        self._runners[task.id] = TaskRunner(
            task,
            own,
            self._executor,
            self._observe,
            self._wall,
            after=self._removals.get(task.id),
        )

    def _remove(self, task_id: str) -> None:
        runner = self._runners.pop(task_id, None)
        if runner is None and task_id in self._removals:
            return
        # Of a container without a known task only the id is left, and the default grace period.
        task = runner.task if runner else Task(id=task_id, node_id=self._node_id)
        removal = asyncio.create_task(self._remove_one(task, runner), name=f"remove {task_id}")
        self._removals[task_id] = removal
        removal.add_done_callback(lambda ended: self._removed(task_id, ended))

    def _removed(self, task_id: str, removal: asyncio.Task[None]) -> None:
        if self._removals.get(task_id) is removal:
            del self._removals[task_id]

    async def _remove_one(self, task: Task, runner: TaskRunner | None) -> None:
        if runner is not None:
            await runner.close()
        backoff = Backoff(self._chance)
        while True:
            try:
                await self._end(task)
                await self._executor.remove(task)
            except SwarmError as error:
                log.warning("task %s cannot be removed yet: %s", task.id, error)
            except Exception:  # the boundary of the removal: it is tried again
                log.exception("the removal of task %s broke down", task.id)
            else:
                return
            await asyncio.sleep(backoff.next())

    async def _end(self, task: Task) -> None:
        try:
            await self._executor.shutdown(task)
        except SwarmError as error:
            log.warning("task %s is killed, since it cannot be stopped: %s", task.id, error)
            await self._executor.terminate(task)

    def _observe(self, task: Task, status: TaskStatus) -> None:
        if task.id not in self._runners:  # removed, and about to be closed
            return
        self._reporter.report(task.id, status)
        if _may_have_logs(task, status):
            self._on_readable(task)


def _may_have_logs(task: Task, status: TaskStatus) -> bool:
    return not holds_place(task) and status.state >= STARTING and status.state != REJECTED
