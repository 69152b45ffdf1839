"""Names that are answered while the rest of a daemon is loaded, from what the one before wrote."""

import asyncio
import contextlib
import sqlite3
import subprocess
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from api.v1 import network_pb2
from hostkit import clock
from overlay_net.fabric.sandboxes import Sandboxes
from overlay_net.nft import LibNft
from tests.support.encrypting import unused_encryption
from tests.support.fabric_hosts import FabricHost, underlay
from tests.support.told_networks import a_task, answers, message, told, written
from worker.data_path import DataPath
from worker.first_names import answer_first
from worker.names import Names
from worker.networks import KernelNetworks
from worker.standalone.storage import CONTAINERS_FILE, LocalStorage
from worker.storage import AGENT_FILE

HEAVY = {"grpc", "manager", "httpx", "cryptography.x509", "worker.networks"}


class Daemons:
    """Those of one host, one after another, with its folder."""

    def __init__(self, host: FabricHost, folder: Path) -> None:
        self.host, self.folder = host, folder
        self.prefix = f"{host.name}-net"

    def names(self) -> Names:
        return Names(LibNft(), clock.monotonic)

    def networks(self, names: Names) -> KernelNetworks:
        def data_path(node_id: str) -> DataPath:
            encryption = unused_encryption(names.nft, self.host)
            host = self.host.path
            return DataPath(node_id, names.nft, encryption, host=host, prefix=self.prefix)

        return KernelNetworks(names, clock.monotonic, data_path, host=self.host.path, look_every=0)

    async def first(self, names: Names) -> None:
        await answer_first(names, self.folder, Sandboxes(f"{self.prefix}-task-"))

    async def one_with_a_task(self) -> str:
        """A daemon starts a task, writes it down, and ends; the file of the task's sandbox."""
        networks = self.networks(self.names())
        await networks.restore(self.host.name, (), (), ())
        items = told(self.host)
        await networks.follow(message(items))
        joined = await networks.join(a_task())
        assert joined is not None
        await written(self.folder, items, [a_task()])
        await networks.close()
        return joined.path


def run(folder: Path, scenario: Callable[[Daemons], Awaitable[None]]) -> None:
    with underlay(1) as laid:
        asyncio.run(scenario(Daemons(laid.hosts[0], folder)))  # type: ignore[arg-type]


async def ask(path: str, name: str) -> list[str]:
    return await asyncio.to_thread(answers, path, name)


async def nobody_answers(path: str) -> None:
    with pytest.raises(OSError):  # noqa: PT011 - time-out or refusal
        await asyncio.to_thread(answers, path, "web", 1.0)


@pytest.mark.root
def test_names_are_answered_before_the_networks_are_known_again(tmp_path: Path) -> None:
    async def scenario(daemons: Daemons) -> None:
        path = await daemons.one_with_a_task()
        await nobody_answers(path)
        names = daemons.names()
        await daemons.first(names)
        assert await ask(path, "web") == ["10.0.1.2"]
        assert await ask(path, "tasks.web") == ["10.0.1.5"]
        networks = daemons.networks(names)
        await networks.restore(daemons.host.name, told(daemons.host), [a_task()], ())
        assert await ask(path, "web") == ["10.0.1.2"]
        await networks.close()

    run(tmp_path, scenario)


@pytest.mark.root
def test_what_is_known_afterwards_is_all_there_is(tmp_path: Path) -> None:
    async def scenario(daemons: Daemons) -> None:
        path = await daemons.one_with_a_task()
        names = daemons.names()
        await daemons.first(names)
        networks = daemons.networks(names)
        moved = network_pb2.NetworkService(
            network_id="front", service_id="web", name="web", virtual_ips=["10.0.1.3"]
        )
        front, peer, _, endpoint = told(daemons.host)
        await networks.restore(daemons.host.name, [front, peer, moved, endpoint], [a_task()], ())
        assert await ask(path, "web") == ["10.0.1.3"]
        await networks.restore(daemons.host.name, [front, peer], [a_task()], ())
        assert await ask(path, "web") == []
        await networks.restore(daemons.host.name, [front, peer], [], ["t1"])
        await nobody_answers(path)  # it is served no more
        await networks.close()

    run(tmp_path, scenario)


@pytest.mark.root
def test_a_damaged_file_is_the_affair_of_who_needs_it(tmp_path: Path) -> None:
    async def scenario(daemons: Daemons) -> None:
        path = await daemons.one_with_a_task()
        (tmp_path / AGENT_FILE).write_bytes(b"no database" * 100)
        names = daemons.names()
        await daemons.first(names)
        await nobody_answers(path)
        names.close()
        names.nft.close()

    run(tmp_path, scenario)


@pytest.mark.root
def test_a_damaged_file_hides_no_names_that_another_tells(tmp_path: Path) -> None:
    async def scenario(daemons: Daemons) -> None:
        path = await daemons.one_with_a_task()
        storage = LocalStorage(tmp_path / CONTAINERS_FILE)
        await storage.write([network_pb2.NetworkEndpoint(network_id="none", task_id="c")])
        await storage.close()
        with contextlib.closing(sqlite3.connect(tmp_path / CONTAINERS_FILE)) as file, file:
            file.execute("INSERT INTO kept VALUES ('network', 'odd', 7)")
        names = daemons.names()
        await daemons.first(names)
        assert await ask(path, "web") == ["10.0.1.2"]
        names.close()
        names.nft.close()

    run(tmp_path, scenario)


def test_what_answers_first_waits_for_little_of_the_program() -> None:
    code = "import sys, swarmctl.daemon; print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True).stdout
    assert not HEAVY & set(loaded.decode().split())
