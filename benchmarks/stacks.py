"""Networks of the measured swarm: a network, tasks in it, and ways into their network stacks.

What is measured in them are sockets of this process, made inside the stacks that the daemons built
for real tasks. Measures nothing itself.
"""

import asyncio
import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from api import states
from api.v1 import control_pb2, objects_pb2, specs_pb2
from benchmarks.swarm import (
    LIMIT,
    Selector,
    Swarm,
    until_running,
    web_spec,
)
from hostkit import netns
from machine.drivers.lab.host import LabHost
from overlay_net.fabric.fabric import NAMESPACE
from overlay_net.fabric.sandboxes import PREFIX

NETWORK = "bench"
_STEP = 0.02


@dataclass(frozen=True)
class Stack:
    """A network namespace, and the address of who is in it."""

    path: Path
    address: str


@asynccontextmanager
async def network(swarm: Swarm) -> AsyncIterator[objects_pb2.Network]:
    """An overlay network, until the end of the block; its services have to be gone by then."""
    wished = control_pb2.CreateNetworkRequest(request_id=secrets.token_hex(8))
    wished.spec.annotations.name = NETWORK
    made = await swarm.control.CreateNetwork(wished, timeout=LIMIT)
    yield made
    gone = control_pb2.RemoveRequest(key=made.id, request_id=secrets.token_hex(8))
    await swarm.control.RemoveNetwork(gone, timeout=LIMIT)


def spec_on(host: str, replicas: int) -> specs_pb2.ServiceSpec:
    """Of web tasks in the network; `host`: where they have to be, or "" for anywhere."""
    spec = web_spec(replicas)
    spec.task.networks.add(target=NETWORK)
    if host:
        spec.task.placement.constraints.append(f"node.hostname=={host}")
    return spec


async def create(swarm: Swarm, spec: specs_pb2.ServiceSpec, tasks: int) -> objects_pb2.Service:
    """The service, once so many tasks of it run."""
    async with swarm.watch(Selector(kind=Selector.KIND_TASK)) as events:
        request = control_pb2.CreateServiceRequest(spec=spec, request_id=secrets.token_hex(8))
        service = await swarm.control.CreateService(request, timeout=LIMIT)
        if tasks:
            await until_running(events, tasks, where=lambda task: task.service_id == service.id)
    return service


async def running(swarm: Swarm, service_id: str) -> list[objects_pb2.Task]:
    """Its tasks that run and are to go on."""
    found = await swarm.tasks(control_pb2.ListTasksRequest(service_keys=[service_id]))
    return [task for task in found if task.status.state == states.RUNNING == task.desired_state]


async def until_left(swarm: Swarm, service_id: str, count: int) -> None:
    """Until all but so many of its tasks have ended: a new one does not start before its former."""
    listing = control_pb2.ListTasksRequest(service_keys=[service_id])
    async with asyncio.timeout(LIMIT):
        while True:
            found = await swarm.tasks(listing)
            if sum(task.status.state <= states.RUNNING for task in found) == count:
                return
            await asyncio.sleep(_STEP)


async def stack_on(swarm: Swarm, host: str, replicas: int = 1) -> tuple[objects_pb2.Service, Stack]:
    """A new service whose tasks are on a host, and the stack of one of them."""
    service = await create(swarm, spec_on(host, replicas), replicas)
    task = (await running(swarm, service.id))[0]
    return service, Stack(of_task(swarm.lab.host(host), task.id), address_of(task))


async def virtual_address(swarm: Swarm, service_id: str) -> str:
    """A service's own in the network; waits until it has one."""
    async with asyncio.timeout(LIMIT):
        while True:
            key = control_pb2.GetRequest(key=service_id)
            service = await swarm.control.GetService(key, timeout=LIMIT)
            for each in service.endpoint.virtual_ips:
                return bare(each.address)
            await asyncio.sleep(_STEP)


def address_of(task: objects_pb2.Task) -> str:
    """Its address in the network."""
    return bare(task.networks[0].addresses[0])


def bare(address: str) -> str:
    """Without prefix length."""
    return address.partition("/")[0]


def of_task(host: LabHost, task_id: str) -> Path:
    """The file of a task's network namespace, as it is called in the host."""
    return _in(host, PREFIX + task_id)


def of_fabric(host: LabHost) -> Path:
    """That of the host's tunnels."""
    return _in(host, NAMESPACE)


def of_host(host: LabHost) -> Stack:
    """The host's own."""
    return Stack(netns.path(host.paths.namespace), host.address)


def all_on(host: LabHost) -> list[Path]:
    """The files of all tasks' network namespaces on a host."""
    return list(_in(host, PREFIX).parent.glob(f"{PREFIX}*"))


def _in(host: LabHost, name: str) -> Path:
    return Path(f"/proc/{host.pid()}/root{netns.path(name)}")
