"""Who is in networks of the host while its disk refuses, and while a call is broken off."""

import asyncio
import threading
from collections.abc import Awaitable, Callable, Iterable
from pathlib import Path

import pytest

from api.errors import Code, SwarmError
from api.v1 import network_pb2, objects_pb2, specs_pb2
from worker.network_book import Item, Key, key_of
from worker.node_networks import NoNetworks
from worker.standalone.host_networks import HostNetworks
from worker.standalone.local_networks import LocalNetworks
from worker.standalone.storage import LocalStorage


class Told(NoNetworks):
    """Networks that know what they were told, and build nothing."""

    def __init__(self) -> None:
        self.keys: set[Key] = set()

    def drivers(self) -> tuple[str, ...]:
        return ("bridge",)

    async def own(self, items: Iterable[Item], gone: Iterable[Key] = ()) -> None:
        self.keys.difference_update(gone)
        self.keys.update(map(key_of, items))


class Host:
    """One with a network that holds one address."""

    def __init__(self, folder: Path) -> None:
        self.storage = LocalStorage(folder / "local.db")
        self.told = Told()
        self.networks = HostNetworks(LocalNetworks(), self.storage, self.told, lambda: "front")

    async def create(self) -> objects_pb2.Network:
        spec = specs_pb2.NetworkSpec(driver="bridge")
        spec.annotations.name = "front"
        spec.pools.add(subnet="10.7.0.0/30")
        return await self.networks.create(spec)

    async def give(self, network: objects_pb2.Network, owner: str) -> None:
        await self.networks.give(network, network_pb2.NetworkEndpoint(task_id=owner, name=owner))

    def disk(self, *, refuses: bool) -> None:
        assert self.storage._db is not None
        self.storage._db.execute(f"PRAGMA query_only = {int(refuses)}")


def run(folder: Path, scenario: Callable[[Host], Awaitable[None]]) -> None:
    async def whole() -> None:
        host = Host(folder)
        try:
            await scenario(host)
        finally:
            await host.storage.close()

    asyncio.run(whole())


async def refused(call: Awaitable[object]) -> Code:
    with pytest.raises(SwarmError) as caught:
        await call
    return caught.value.code


def test_who_leaves_while_the_disk_refuses_leaves_with_the_next_call(tmp_path: Path) -> None:
    async def scenario(host: Host) -> None:
        front = await host.create()
        await host.give(front, "web")
        host.disk(refuses=True)
        assert await refused(host.networks.take_back("web")) is Code.UNAVAILABLE
        assert await refused(host.give(front, "other")) is Code.EXHAUSTED
        host.disk(refuses=False)
        assert await refused(host.networks.remove("front")) is Code.REFUSED
        await host.networks.take_back("web")
        assert host.told.keys == set()
        await host.networks.remove("front")
        saved = await host.storage.load()
        assert (saved.networks, saved.endpoints) == ([], [])

    run(tmp_path, scenario)


def test_a_network_is_there_until_the_disk_lets_it_go(tmp_path: Path) -> None:
    async def scenario(host: Host) -> None:
        await host.create()
        host.disk(refuses=True)
        assert await refused(host.networks.remove("front")) is Code.UNAVAILABLE
        host.disk(refuses=False)
        assert await host.networks.remove("front") == "front"

    run(tmp_path, scenario)


def test_who_cannot_be_written_down_takes_nobodys_place(tmp_path: Path) -> None:
    async def scenario(host: Host) -> None:
        front = await host.create()
        host.disk(refuses=True)
        assert await refused(host.give(front, "web")) is Code.UNAVAILABLE
        host.disk(refuses=False)
        await host.give(front, "other")

    run(tmp_path, scenario)


def test_who_leaves_has_left_though_the_call_is_broken_off(tmp_path: Path) -> None:
    async def scenario(host: Host) -> None:
        front = await host.create()
        await host.give(front, "web")
        goes_on = threading.Event()
        host.storage._thread.submit(goes_on.wait)
        leaving = asyncio.create_task(host.networks.take_back("web"))
        for _ in range(3):
            await asyncio.sleep(0)
        leaving.cancel()
        goes_on.set()
        await asyncio.wait({leaving})
        assert leaving.cancelled()
        assert host.told.keys == set()
        await host.give(front, "other")
        assert {key.id for key in host.told.keys} == {"front", "other"}

    run(tmp_path, scenario)
