"""The executor over containers: each task is one container, whose id is the task's.

Every step looks at what there is before it does anything, so that a step may be repeated after a
crash at any moment. Only containers that bear a task's label are ever touched: a node runs others
beside them. Knows nothing of managers, and decides no step.
"""

import asyncio
import contextlib
import logging
from collections.abc import (
    AsyncGenerator,
    AsyncIterator,
    Awaitable,
    Callable,
    Collection,
    Mapping,
)
from dataclasses import replace
from pathlib import Path

from api.errors import Code, SwarmError
from api.files import Key
from api.payloads import Content
from api.placeholders import NodeFacts
from api.states import UNCHECKED, UNPROVEN
from api.stopping import grace_of
from api.times import duration
from api.v1 import exec_pb2, logs_pb2, objects_pb2, specs_pb2, types_pb2
from hostkit import clock
from runtime import health_watch
from runtime.driver import (
    ContainerDriver,
    ContainerRequest,
    ContainerState,
    ExitResult,
    RunningCommand,
)
from runtime.health import unproven_at_most
from runtime.image.store import ImageStore, StoredImage
from worker import another_try, host
from worker.container_logs import messages
from worker.container_request import (
    TASK_ID_LABEL,
    container_request,
    exec_request,
    filled_in,
    without_effect,
)
from worker.executor import Doubts, Health, HealthState, Progress, unheard, untold
from worker.file_folders import FileFolders
from worker.health_report import known_as, report
from worker.node_networks import NoNetworks, TaskNetworks
from worker.node_volumes import NoVolumes, TaskVolumes
from worker.task_files import TaskFile, gather, mounts
from worker.task_image import Coming, image_of, mounted_images
from worker.uninterrupted import uninterrupted

log = logging.getLogger(__name__)

Task = objects_pb2.Task


class ContainerExecutor:
    """Executor over a driver and an image store.

    The driver is shared with containers that are no tasks: its owner recovers it, before the
    executor is used, and closes it.

    `files`: a folder for the secrets and configs of tasks, which are mounted there from memory;
    `version`: of this engine; `labels`: the engine's; `address`: where other hosts reach this one;
    `generic`: resources that the node's owner declared; `networks`: of this host, None: it builds
    none; `volumes`: of this host, None: it has none. `id_label`: what its containers bear.
    """

    def __init__(
        self,
        driver: ContainerDriver,
        images: ImageStore,
        *,
        files: Path,
        version: str,
        labels: Mapping[str, str] | None = None,
        address: str = "",
        generic: Collection[types_pb2.GenericResource] = (),
        networks: TaskNetworks | None = None,
        volumes: TaskVolumes | None = None,
        id_label: str = TASK_ID_LABEL,
    ) -> None:
        self._driver = driver
        self._id_label = id_label
        self._networks = networks or NoNetworks()
        self._volumes = volumes or NoVolumes()
        self._images = images
        self._folders = FileFolders(files)
        self._contents: Mapping[Key, Content] = {}
        self._version = version
        self._labels = dict(labels or {})
        self._address = address
        self._generic = tuple(generic)

    async def describe(self) -> objects_pb2.NodeDescription:
        """See Executor."""
        found = await self._driver.fingerprint()
        resources = host.resources()
        resources.generic.extend(self._generic)
        return objects_pb2.NodeDescription(
            hostname=host.hostname(),
            platform=host.platform(),
            resources=resources,
            engine=objects_pb2.EngineDescription(
                version=self._version, labels=self._labels, runtime=found.runtime
            ),
            address=self._address,
            missing_controllers=found.missing_controllers,
        )

    async def recover(self) -> Collection[str]:
        """See Executor."""
        states = await self._driver.list()
        found = [state.id for state in states if self._id_label in state.labels]
        await asyncio.to_thread(self._folders.sweep, found)
        return found

    def hold(self, contents: Mapping[Key, Content]) -> None:
        """See Executor."""
        self._contents = contents

    # --- life -------------------------------------------------------------------------------

    async def prepare(self, task: Task, progress: Progress = untold) -> None:
        """See Executor."""
        with another_try.sorted_out():
            if await self._find(task) is None:
                await self._create(task, progress)

    async def start(self, task: Task) -> objects_pb2.ContainerStatus:
        """See Executor."""
        with another_try.sorted_out():
            state = await self._find(task)
            if state is None:  # made, but lost with a daemon that died before it was started
                await self._create(task)
                state = await self._driver.state(task.id)
            pid = state.pid
            if state.phase == "created":
                await self._volumes.take_turn(task)
                pid = await uninterrupted(self._start(task))
            check = state.health
            return objects_pb2.ContainerStatus(
                container_id=task.id,
                pid=pid,
                health=UNCHECKED if check is None else UNPROVEN,
                unproven_at_most=None if check is None else duration(unproven_at_most(check)),
                warnings=without_effect(task.spec, await self._driver.fingerprint()),
                ports=await self._networks.ports(task.id) if task.host_ports else (),
            )

    async def renew(self, task: Task) -> None:
        """Makes what has ended ready to start again, with what it wrote. No task ever is: only
        containers that are none.
        """
        with another_try.sorted_out():
            await self._create(task, again=True)

    async def wait(self, task: Task) -> ExitResult:
        """See Executor."""
        with another_try.sorted_out():
            end = await self._driver.wait(task.id)
        await self._over(task)
        why = self._volumes.why(task.id)
        return replace(end, message=why) if why else end

    async def health(
        self, task: Task, known: HealthState, doubts: Doubts = unheard
    ) -> Health | None:
        """See Executor."""
        with another_try.sorted_out():
            verdict = await health_watch.watch(
                self._driver,
                task.id,
                known_as(known),
                lambda verdict: doubts(report(verdict)),
                wall=clock.wall,
                clock=clock.monotonic,
            )
            return None if verdict is None else report(verdict)

    async def shutdown(self, task: Task) -> ExitResult | None:
        """See Executor."""
        with another_try.sorted_out():
            state = await self._find(task)
            end = state.exit if state else None
            if state is not None and state.phase == "running":
                await self._networks.drained(task)
                end = await self._driver.stop(task.id, grace_of(task.spec))
            await self._unmake(state)
        await self._over(task)
        return end

    async def terminate(self, task: Task) -> ExitResult | None:
        """See Executor."""
        with another_try.sorted_out():
            state = await self._find(task)
            end = state.exit if state else None
            if state is not None and state.phase == "running":
                end = await self._driver.kill(task.id)
            await self._unmake(state)
        await self._over(task)
        return end

    async def remove(self, task: Task) -> None:
        """See Executor."""
        with another_try.sorted_out():
            await self._driver.remove(task.id)
            await self._networks.leave(task.id)
            await self._drop_files(task.id)
            await self._volumes.forget(task.id)

    async def _unmake(self, state: ContainerState | None) -> None:
        """Removes a container that was never started. It holds the network stack of its task, and
        its addresses are soon another's: it would refuse what is meant for that one.
        """
        if state is not None and state.phase == "created":
            with another_try.always():
                await self._driver.remove(state.id)

    async def _over(self, task: Task) -> None:
        """A task that has ended never runs again: its secrets, its network stack and its volumes
        need not wait for its removal.
        """
        for leave in (self._networks.leave, self._drop_files, self._volumes.leave):
            try:
                await leave(task.id)
            except SwarmError as error:
                log.warning("task %s: %s", task.id, error)

    async def _drop_files(self, task_id: str) -> None:
        if self._folders.folder(task_id).exists():
            await asyncio.to_thread(self._folders.remove, task_id)

    async def _start(self, task: Task) -> int:
        """Starts the container, or ends it if that cannot be. A volume that is lost ends it too,
        however early that was.
        """
        try:
            if not (why := self._volumes.why(task.id)):
                pid = await self._driver.start(task.id)
                if not (why := self._volumes.why(task.id)):
                    return pid
            raise SwarmError(Code.UNAVAILABLE, "the task cannot be started", why=why)
        except SwarmError as error:
            if not another_try.may_help(error):
                with another_try.always():
                    await self._driver.kill(task.id)
                await self._over(task)
            raise

    async def _create(
        self, task: Task, progress: Progress = untold, *, again: bool = False
    ) -> None:
        """Makes the container with its volumes and networks, which it does not keep if that fails.

        If it is broken off they stay: the container may be there by then.
        """
        coming = Coming(progress)
        image = await image_of(self._images, task.spec.container, coming)
        node = NodeFacts(task.node_id, host.hostname(), host.platform())
        found = await asyncio.to_thread(gather, task, dict(self._contents), node)
        spec = filled_in(task, node)
        mounted = await mounted_images(self._images, spec, coming)
        held = self._images.holding(image.id, *(each.id for each in mounted.values()))
        async with held, _or(self._volumes.leave, task.id):
            given = await self._volumes.join(task, spec, image.config)
            del spec.mounts[:]
            spec.mounts.extend(given.mounts)
            joined = await self._networks.join(task)
            async with _or(self._networks.leave, task.id):
                request = container_request(
                    task,
                    spec,
                    image_id=image.id,
                    image_config=image.config,
                    layers=image.layers,
                    node=node,
                    files=mounts(found, self._folders.folder(task.id)),
                    joined=joined,
                    given=given,
                    mounted=mounted,
                )
                await uninterrupted(
                    self._driver.renew(request) if again else self._make(request, found)
                )

    async def _make(self, request: ContainerRequest, found: list[TaskFile]) -> None:
        if found:
            await asyncio.to_thread(self._folders.make, request.id, found)
        try:
            await self._driver.create(request)
        except SwarmError:
            await self._drop_files(request.id)
            raise

    async def image(self, spec: specs_pb2.ContainerSpec) -> StoredImage:
        """The image of a container, pulled if it is not here."""
        return await image_of(self._images, spec, Coming(untold))

    async def _find(self, task: Task) -> ContainerState | None:
        try:
            return await self._driver.state(task.id)
        except SwarmError as error:
            if error.code is Code.NOT_FOUND:
                return None
            raise

    # --- logs -------------------------------------------------------------------------------

    def logs(
        self, task: Task, options: logs_pb2.LogOptions
    ) -> AsyncGenerator[logs_pb2.LogMessage, None]:
        """See Executor."""
        return messages(self._driver, task, options)

    # --- commands ---------------------------------------------------------------------------

    def exec(
        self, task: Task, start: exec_pb2.ExecStart
    ) -> contextlib.AbstractAsyncContextManager[RunningCommand]:
        """See Executor."""
        return self._driver.exec(task.id, exec_request(start))


@contextlib.asynccontextmanager
async def _or(leave: Callable[[str], Awaitable[None]], task_id: str) -> AsyncIterator[None]:
    """Lets the task leave if what is done within fails, however; not if it is broken off."""
    try:
        yield
    except Exception:
        await leave(task_id)
        raise
