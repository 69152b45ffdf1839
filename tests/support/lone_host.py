"""A host in a namespace of its own that runs containers which are no tasks, for real."""

import asyncio
import dataclasses
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from api.new_ids import new_id
from api.v1 import containers_pb2
from hostkit import clock
from overlay_net.nft import LibNft
from runtime.conmon_driver import ConmonDriver
from runtime.image.registry import RegistryOptions
from runtime.image.store import ImageStore
from tests.support.encrypting import device_name, encryption
from tests.support.fabric_hosts import FabricHost, underlay
from tests.support.task_host import Host
from worker.attachments import Attachments
from worker.container import ContainerExecutor
from worker.container_request import CONTAINER_ID_LABEL
from worker.data_path import DataPath
from worker.names import Names
from worker.networks import KernelNetworks
from worker.standalone.containers import Containers
from worker.standalone.stacks import Stacks
from worker.standalone.storage import LocalStorage

SLEEPS = ("sh", "-c", "trap 'exit 0' TERM; while :; do sleep 0.01; done")


@dataclasses.dataclass
class Lone:
    """What one daemon of the host has. `wire`: a namespace beside the host, which reaches it."""

    reference: str
    driver: ConmonDriver
    at: FabricHost
    outside: FabricHost
    networks: KernelNetworks
    containers: Containers
    tasks: ContainerExecutor

    async def run(self, name: str, *networks: str, **fields: Any) -> containers_pb2.Container:
        """A container of this name that runs."""
        made = await self.containers.create(self.spec(name, *networks, **fields))
        return await self.containers.start(made.id)

    def spec(self, name: str, *networks: str, **fields: Any) -> containers_pb2.StandaloneSpec:
        spec = containers_pb2.StandaloneSpec(**fields)
        spec.annotations.name = name
        spec.container.image = self.reference
        spec.container.command.extend(SLEEPS)
        for network in networks:
            spec.networks.add(target=network)
        return spec


Scenario = Callable[[Callable[[], Any]], Awaitable[None]]


def run(host: Host, scenario: Scenario) -> None:
    """`scenario` is given what begins a daemon, an asynchronous context manager of a Lone."""
    folder = Path(tempfile.mkdtemp(dir=host.box.run_dir.parent))

    async def whole(driver: ConmonDriver, at: FabricHost, outside: FabricHost) -> None:
        nft = LibNft()
        device = device_name()

        @asynccontextmanager
        async def daemon() -> AsyncIterator[Lone]:
            def data_path(node_id: str) -> DataPath:
                encrypts = encryption(nft, folder, at, device)
                return DataPath(node_id, nft, encrypts, host=at.path, prefix=f"{at.name}-net")

            networks = KernelNetworks(Names(nft, clock.monotonic), clock.monotonic, data_path)
            images = ImageStore(host.images, options=RegistryOptions(), clock=clock.wall)
            stacks = Stacks(networks, lambda: containers.host)

            def executor(**more: Any) -> ContainerExecutor:
                return ContainerExecutor(driver, images, version="1", networks=stacks, **more)

            containers = Containers(
                driver,
                executor(files=host.files / "c", id_label=CONTAINER_ID_LABEL),
                networks,
                stacks,
                Attachments(),
                LocalStorage(folder / "local.db"),
                ids=new_id,
                wall=clock.wall,
            )
            tasks = executor(files=host.files / "t")
            await containers.recover(member=False)
            try:
                yield Lone(host.reference, driver, at, outside, networks, containers, tasks)
            finally:
                await containers.close()
                await networks.close()

        await scenario(daemon)
        async with daemon() as last:
            for each in await last.containers.every(stopped=True):
                await last.containers.remove(each.id, force=True)

    with underlay(2) as laid:
        host.box.run(lambda driver: whole(driver, *laid.hosts))


def inside(container: containers_pb2.Container) -> str:
    """The file of its network namespace."""
    return f"/proc/{container.pid}/ns/net"


def address(container: containers_pb2.Container, network: str) -> str:
    """Its own in a network."""
    place = next(each for each in container.networks if each.name == network)
    return place.addresses[0].partition("/")[0]


async def blocking(function: Callable[..., Any], *arguments: Any) -> Any:
    """What would hold the event loop up, on which name servers answer."""
    return await asyncio.to_thread(function, *arguments)
