"""The container driver: OCI containers, each under a conmon of its own.

A thin asyncio shell around `lifecycle`: it serialises the calls per container, runs the blocking
steps in worker threads, and turns the death of a monitor into an exit result. Everything that must
be known again after a crash is on disk.
"""

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator, Coroutine, Iterable, Sequence
from pathlib import Path
from typing import Any

from api import ids
from api.errors import Code, SwarmError, invalid
from hostkit import pidfd
from hostkit.clock import Clock
from runtime import binds, ending, host, log_follow, log_rotation, stats
from runtime.driver import (
    ContainerRequest,
    ContainerState,
    ExecRequest,
    ExitResult,
    Fingerprint,
    LogLine,
    RunningCommand,
    States,
    Stats,
)
from runtime.exec import running
from runtime.health import ProbeResult
from runtime.held import Held
from runtime.layout import ContainerPaths, Layout
from runtime.lifecycle import Lifecycle
from runtime.probe_exec import Probes, end_orphans
from runtime.record import Record
from runtime.supervise import Monitors
from runtime.workers import Workers

log = logging.getLogger(__name__)

LOG_LIMIT = 10 << 20
_KILL = 9
_KILL_TIMEOUT = 30.0


class ConmonDriver:
    """ContainerDriver over crun or runc and conmon; `clock` is a wall clock."""

    def __init__(
        self,
        *,
        state_dir: Path,
        run_dir: Path,
        cgroup_parent: str,
        clock: Clock,
        log_limit: int = LOG_LIMIT,
    ) -> None:
        if not cgroup_parent.startswith("/") or not cgroup_parent.strip("/"):
            raise invalid("cgroup_parent", f"{cgroup_parent!r} is no absolute control group")
        self._layout = Layout(state_dir.absolute(), run_dir.absolute())
        self._cgroup_parent = cgroup_parent
        self._clock = clock
        self._log_limit = log_limit
        self._containers: dict[str, Held] = {}
        self._monitors = Monitors()
        self._tasks: set[asyncio.Task[None]] = set()
        self._workers = Workers()
        self._makers = Workers()  # making reads what is mounted, and may wait: nobody else does
        self._probes = Probes(clock)
        self._steps: Lifecycle | None = None
        self._probing = asyncio.Lock()

    # --- the host ---------------------------------------------------------------------------

    async def fingerprint(self) -> Fingerprint:
        """See ContainerDriver."""
        steps = await self._ready()
        return Fingerprint(
            runtime=f"{steps.runtime.kind} {steps.runtime.version}",
            cgroup_version=steps.hierarchies.version,
            missing_controllers=host.missing_controllers(steps.host),
            init=steps.host.init is not None,
        )

    async def _ready(self) -> Lifecycle:
        """The blocking steps, once the host has been probed."""
        async with self._probing:
            if self._steps is None:
                self._steps = await self._workers.run(self._probe)
                self._spawn(log_rotation.keep(self._running, self._log_limit))
            return self._steps

    def _probe(self) -> Lifecycle:
        try:
            return Lifecycle(self._layout, self._cgroup_parent, self._log_limit, self._clock)
        except OSError as error:
            raise SwarmError(
                Code.UNAVAILABLE,
                "containers cannot be run on this host",
                why=str(error),
                remedy="check the directories of the daemon and its privileges",
            ) from None

    # --- life -------------------------------------------------------------------------------

    async def create(self, request: ContainerRequest) -> None:
        """See ContainerDriver."""
        if not ids.is_id(request.id):
            raise invalid("id", f"{request.id!r} is no container id")
        steps = await self._ready()
        await binds.answer(request)
        if request.id in self._containers:
            raise SwarmError(Code.EXISTS, f"container {request.id} exists")
        container = self._containers[request.id] = Held()
        async with container.lock:
            try:
                container.record = await self._makers.run(steps.make, request)
            except asyncio.CancelledError:
                # The thread went on to the end, and nobody will ask for what it made.
                await self._undo(steps, request.id)
                raise
            except BaseException:
                del self._containers[request.id]
                raise
            self._watch(container.record)

    async def renew(self, request: ContainerRequest) -> None:
        """See ContainerDriver."""
        steps = await self._ready()
        await binds.answer(request)
        container = self._get(request.id)
        async with container.lock:
            ended = self._record_of(request.id)
            if ended.step != "exited":
                raise SwarmError(
                    Code.REFUSED,
                    f"container {ended.name} cannot be made ready again",
                    why=f"it is {ended.step}",
                )
            container.record = await self._makers.run(steps.renew, ended, request)
            container.renew()
            self._watch(container.record)

    async def _undo(self, steps: Lifecycle, id: str) -> None:
        try:
            await self._workers.run(steps.recover, id)
        finally:
            del self._containers[id]

    async def start(self, id: str) -> int:
        """See ContainerDriver."""
        steps, container = await self._ready(), self._get(id)
        async with container.lock:
            made = self._record_of(id)
            if made.step != "created":
                raise SwarmError(
                    Code.REFUSED,
                    f"container {made.name} cannot be started",
                    why=f"it is {made.step}",
                )
            container.record = await self._workers.run(steps.start, made)
            return container.record.state().pid

    async def wait(self, id: str) -> ExitResult:
        """See ContainerDriver."""
        return await asyncio.shield(self._get(id).ended)

    async def signal(self, id: str, number: int) -> None:
        """See ContainerDriver."""
        made = self._record_of(id)
        if made.process is None or made.exit is not None:
            return
        try:
            pidfd.send_signal(made.process, number)
        except (OSError, ValueError) as error:
            raise invalid("number", f"signal {number} cannot be sent", why=str(error)) from None

    async def stop(self, id: str, grace: float) -> ExitResult:
        """See ContainerDriver."""
        container, made = self._get(id), self._record_of(id)
        if made.step == "running":  # before, nothing is there that could obey
            await self.signal(id, made.stop_signal)
            await asyncio.wait({container.ended}, timeout=max(0.0, grace))
        return await self.kill(id)

    async def kill(self, id: str) -> ExitResult:
        """See ContainerDriver."""
        container = self._get(id)
        if not container.ended.done():
            await self.signal(id, _KILL)
        try:
            return await asyncio.wait_for(asyncio.shield(container.ended), _KILL_TIMEOUT)
        except TimeoutError:
            raise SwarmError(
                Code.DEADLINE,
                f"container {self._record_of(id).name} did not die",
                why=f"{_KILL_TIMEOUT:.0f} s after KILL it still runs: the kernel holds it",
                remedy="look for hanging disks or network file systems on this host",
            ) from None

    async def remove(self, id: str) -> None:
        """See ContainerDriver."""
        steps, container = await self._ready(), self._containers.get(id)
        if container is None:
            return
        async with container.lock:
            made = container.record
            if made is None or self._containers.get(id) is not container:
                return
            self._monitors.forget(id)
            try:
                result = await self._workers.run(steps.destroy, made)
            except BaseException:
                self._watch(made)
                raise
            container.end(made.exit or result or ending.lost(self._clock()))
            del self._containers[id]

    # --- the end ----------------------------------------------------------------------------

    def _watch(self, made: Record) -> None:
        if made.monitor is not None and made.exit is None:
            self._monitors.watch(made.id, made.monitor, self._monitor_gone)

    def _monitor_gone(self, id: str) -> None:
        self._spawn(self._settle(id))

    async def _settle(self, id: str) -> None:
        """Notes how a container ended, after a start or create in progress is through."""
        steps, container = await self._ready(), self._containers.get(id)
        if container is None:
            return
        async with container.lock:
            made = container.record
            if made is None or made.exit is not None or self._containers.get(id) is not container:
                return
            container.record = await self._workers.run(steps.settle, made)
            if container.record.exit is not None:
                container.end(container.record.exit)

    # --- what there is ----------------------------------------------------------------------

    def _get(self, id: str) -> Held:
        container = self._containers.get(id)
        if container is None:
            raise SwarmError(Code.NOT_FOUND, f"no container {id}")
        return container

    def _record_of(self, id: str) -> Record:
        made = self._get(id).record
        if made is None:
            raise SwarmError(Code.NOT_FOUND, f"container {id} is still being created")
        return made

    async def state(self, id: str) -> ContainerState:
        """See ContainerDriver."""
        return self._record_of(id).state()

    async def list(self) -> States:
        """See ContainerDriver."""
        records = [container.record for container in self._containers.values()]
        return [made.state() for made in records if made is not None]

    async def probe(self, id: str, command: Sequence[str], timeout: float) -> ProbeResult:
        """See ContainerDriver."""
        steps, container, made = await self._ready(), self._get(id), self._record_of(id)
        paths = self._layout.container(id)
        result = await self._probes.run(steps.runtime, paths, command, timeout)
        if made.process is not None and not pidfd.is_alive(made.process):
            await asyncio.shield(container.ended)
        return result

    async def stats(self, id: str) -> Stats:
        """See ContainerDriver."""
        steps, made = await self._ready(), self._record_of(id)
        if made.step != "running":
            raise SwarmError(Code.REFUSED, f"container {made.name} is not running")
        return await asyncio.to_thread(stats.read, steps.hierarchies, made.cgroup)

    async def logs(
        self, id: str, *, follow: bool, tail: int = -1, since: int = 0, until: int = 0
    ) -> AsyncIterator[LogLine]:
        """See ContainerDriver."""
        container, paths = self._get(id), self._layout.container(id)
        extent = log_follow.Extent(follow, tail, since, until)
        lines = log_follow.lines(paths, container.ended, extent, self._clock)
        async with contextlib.aclosing(lines):
            async for line in lines:
                yield line

    @contextlib.asynccontextmanager
    async def exec(self, id: str, request: ExecRequest) -> AsyncIterator[RunningCommand]:
        """See ContainerDriver."""
        steps, made = await self._ready(), self._record_of(id)
        async with running(self._workers.run(steps.spawn, made, request)) as command:
            yield command

    # --- beginning and end of the driver ----------------------------------------------------

    async def recover(self) -> States:
        """See ContainerDriver."""
        steps = await self._ready()
        found = await self._workers.run(steps.ids_on_disk)
        records = await asyncio.gather(
            *(self._workers.run(steps.recover, id) for id in found), return_exceptions=True
        )
        for id, made in zip(found, records, strict=True):
            if isinstance(made, BaseException):  # the others shall not suffer for it
                log.error("container %s cannot be recovered and is left as it is: %s", id, made)
                continue
            if made is None:
                continue
            container = self._containers[made.id] = Held()
            container.record = made
            if made.exit is not None:
                container.end(made.exit)
            self._watch(made)
        await self._workers.run(steps.sweep, set(found))
        await self._workers.run(end_orphans, set(found))
        return await self.list()

    async def close(self) -> None:
        """See ContainerDriver."""
        self._monitors.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        if self._steps is not None:
            await self._workers.run(self._steps.leave)
            self._steps = None
        await self._makers.close()
        await self._workers.close()

    def _running(self) -> Iterable[ContainerPaths]:
        return [
            self._layout.container(id)
            for id, container in self._containers.items()
            if container.record is not None and not container.ended.done()
        ]

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._finished)

    def _finished(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and task.exception() is not None:
            log.error("a container could not be settled", exc_info=task.exception())
