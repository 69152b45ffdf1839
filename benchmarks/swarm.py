"""The swarm that figures are measured on: a lab of its own, and an open channel to its manager.

Whatever a former run left is taken down first, and all of it is taken down at the end, however
that comes. Measures nothing itself.
"""

import asyncio
import secrets
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import asynccontextmanager

import grpc
from google.protobuf.duration_pb2 import Duration

from api import states
from api.channel import unix_channel
from api.errors import Code, SwarmError
from api.pieces import gathered
from api.v1 import (
    control_pb2,
    control_pb2_grpc,
    host_pb2,
    host_pb2_grpc,
    objects_pb2,
    specs_pb2,
    types_pb2,
)
from machine.drivers.lab import images
from machine.drivers.lab.driver import LabDriver
from machine.drivers.lab.host import LabHost
from machine.drivers.lab.up import Shape, bring_up
from runtime.layout import Layout

LAB = "b1"
HEARTBEAT = 2.0
WEB = ("registry:5000/demo/web:1", "registry:5000/demo/web:2")
"""A shell that waits for busybox's httpd: two processes per task. It ends at once on SIGTERM."""
LIMIT = 120.0
"""Seconds after which a measurement is given up."""
_STEP = 0.01

Selector = control_pb2.WatchSelector
Event = control_pb2.WatchEvent
Task = objects_pb2.Task
Events = AsyncIterator[Event]


class Swarm:
    """So many managers, which work too, and so many workers. `control` speaks to the first."""

    def __init__(self, lab: LabDriver, channel: grpc.aio.Channel) -> None:
        self.lab = lab
        self.manager = lab.host("m1")
        self.control: control_pb2_grpc.ControlAsyncStub = control_pb2_grpc.ControlStub(channel)

    async def create(self, replicas: int) -> objects_pb2.Service:
        """A service of web tasks."""
        spec = web_spec(replicas)
        request = control_pb2.CreateServiceRequest(spec=spec, request_id=secrets.token_hex(8))
        return await self.control.CreateService(request, timeout=LIMIT)

    async def remove(self, service_id: str) -> None:
        """Orders the removal, and returns at once."""
        request = control_pb2.RemoveRequest(key=service_id, request_id=secrets.token_hex(8))
        await self.control.RemoveService(request, timeout=LIMIT)

    @asynccontextmanager
    async def watch(self, *selectors: Selector) -> AsyncIterator[Events]:
        """What happens from now on to what is selected; DEADLINE if all takes over LIMIT."""
        call = self.control.Watch(control_pb2.WatchRequest(selectors=selectors), timeout=LIMIT)

        async def events() -> Events:
            async for message in call:
                for event in message.events:
                    yield event

        try:
            await anext(aiter(call))  # the present state, which is of no interest
            yield events()
        finally:
            call.cancel()

    async def tasks(
        self, listing: control_pb2.ListTasksRequest, *, timeout: float = LIMIT
    ) -> Sequence[objects_pb2.Task]:
        """The tasks that match."""
        pieces = self.control.ListTasks(listing, timeout=timeout)
        return (await gathered(pieces, into=control_pb2.ListTasksResponse())).tasks

    async def until_gone(self, service_id: str) -> None:
        """Removes a service; returns when no task of it is known and no host holds a container."""
        async with self.watch(Selector(kind=Selector.KIND_TASK, service_id=service_id)) as events:
            listing = control_pb2.ListTasksRequest(service_keys=[service_id])
            tasks = {task.id for task in await self.tasks(listing)}
            await self.remove(service_id)
            await until_deleted(events, tasks)
        await until(lambda: tasks.isdisjoint(self._containers()), "a container is left")

    def _containers(self) -> Iterator[str]:
        for host in self.lab.hosts():
            held = Layout(host.paths.state / "containers", host.paths.run / "c").containers
            if held.is_dir():
                yield from (entry.name for entry in held.iterdir())


def web_spec(replicas: int, image: str = WEB[0]) -> specs_pb2.ServiceSpec:
    """A service of web tasks under a name of its own, updated without delay or monitoring."""
    spec = specs_pb2.ServiceSpec()
    spec.annotations.name = "bench-" + secrets.token_hex(4)
    spec.task.container.image = image
    spec.replicated.replicas = replicas
    spec.update.delay.CopyFrom(Duration())
    spec.update.monitor.CopyFrom(Duration())
    return spec


async def until_running(
    events: Events, count: int, *, where: Callable[[Task], bool] = lambda _: True
) -> None:
    """Until so many tasks that are to run do run."""
    running: set[str] = set()
    async for event in events:
        task = event.object.task
        wanted = task.desired_state == states.RUNNING and where(task)
        if event.action != Event.ACTION_DELETE and wanted and is_running(task):
            running.add(task.id)
        else:
            running.discard(task.id)
        if len(running) >= count:
            return
    raise _over("the tasks do not run")


async def until_deleted(events: Events, tasks: set[str]) -> None:
    """Until none of these tasks is known any more."""
    left = set(tasks)
    while left:
        event = await anext(events, None)
        if event is None:
            raise _over("tasks are left")
        if event.action == Event.ACTION_DELETE:
            left.discard(event.object.task.id)


async def until(fulfilled: Callable[[], bool], otherwise: str) -> None:
    """Looks again and again, a hundred times a second."""
    try:
        async with asyncio.timeout(LIMIT):
            while not fulfilled():  # noqa: ASYNC110 - others' processes and files send no event
                await asyncio.sleep(_STEP)
    except TimeoutError:
        raise _over(otherwise) from None


def is_running(task: Task) -> bool:
    """Whether its node says that it runs."""
    return task.status.state == states.RUNNING


@asynccontextmanager
async def running(managers: int, workers: int) -> AsyncIterator[Swarm]:
    """A swarm whose every node has the images; nothing is left of it afterwards."""
    await _take_down()
    try:
        shape = Shape(managers=managers, workers=workers)
        lab, _ = await bring_up(LAB, shape, heartbeat=HEARTBEAT, publish=images.publish_from)
        async with unix_channel(lab.host("m1").paths.swarm_socket) as channel:
            swarm = Swarm(lab, channel)
            await asyncio.gather(*(pull(host) for host in nodes(lab)))
            yield swarm
    finally:
        await asyncio.shield(_take_down())


def nodes(lab: LabDriver) -> list[LabHost]:
    """Its hosts that run a daemon of ours."""
    return [host for host in lab.hosts() if host.name != "registry"]


async def pull(host: LabHost) -> None:
    """Gets both images, so that no measurement waits for a registry."""
    async with unix_channel(host.paths.swarm_socket) as channel:
        stub: host_pb2_grpc.HostAsyncStub = host_pb2_grpc.HostStub(channel)
        for image in WEB:
            call = stub.PullImage(host_pb2.PullImageRequest(reference=image), timeout=LIMIT)
            async for _ in call:
                pass


async def all_ready(swarm: Swarm, count: int) -> None:
    """Until so many nodes are ready."""
    async with asyncio.timeout(LIMIT):
        while True:
            nodes = swarm.control.ListNodes(
                control_pb2.ListNodesRequest(), timeout=LIMIT, wait_for_ready=True
            )
            answer = await gathered(nodes, into=control_pb2.ListNodesResponse())
            found = [node.status.state for node in answer.nodes]
            if found.count(types_pb2.NODE_STATE_READY) == count:
                return
            await asyncio.sleep(_STEP)


async def _take_down() -> None:
    try:
        lab = LabDriver.open(LAB)
    except SwarmError as error:
        if error.code is Code.NOT_FOUND:
            return
        raise
    await lab.down()


def _over(what: str) -> SwarmError:
    return SwarmError(Code.DEADLINE, what, why=f"waited {LIMIT:g} s")
