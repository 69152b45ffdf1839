"""The networks of a node as its agent and executor see them: names, order, ends."""

import asyncio
import socket
import struct
from collections.abc import Awaitable, Callable

import pytest

from api.v1 import dispatcher_pb2, network_pb2, objects_pb2
from hostkit import clock, netns
from overlay_net.nft import LibNft
from tests.support.encrypting import unused_encryption
from tests.support.fabric_hosts import FabricHost, underlay
from worker import networks
from worker.data_path import DataPath
from worker.executor import TemporaryError
from worker.network_book import Item, News, change_of
from worker.networks import KernelNetworks

pytestmark = pytest.mark.root

Message = dispatcher_pb2.AssignmentsMessage


def told(host: FabricHost, *, serving: bool = True) -> list[Item]:
    front = network_pb2.NodeNetwork(id="front", name="front", driver="overlay", vni=4097)
    front.pools.add(subnet="10.0.1.0/24")
    peer = network_pb2.NetworkPeer(node_id=host.name, data_path_address=host.address)
    service = network_pb2.NetworkService(
        network_id="front", service_id="web", name="web", virtual_ips=["10.0.1.2"]
    )
    endpoint = network_pb2.NetworkEndpoint(
        network_id="front",
        task_id="t1",
        name="web.1.t1",
        service_id="web",
        addresses=["10.0.1.5/24"],
        node_id=host.name,
        serving=serving,
    )
    return [front, peer, service, endpoint]


def message(items: list[Item]) -> Message:
    return Message(type=Message.TYPE_COMPLETE, changes=map(change_of, items))


def a_task() -> objects_pb2.Task:
    task = objects_pb2.Task(id="t1")
    task.spec.networks.add(target="front", id="front")
    task.networks.add(network_id="front", addresses=["10.0.1.5/24"])
    task.spec.container.dns.search.append("example.org")
    return task


def answers(path: str, name: str) -> list[str]:
    """The addresses that a container finds; blocks for a second at most if there is nobody."""
    with netns.call_in(path, lambda: socket.socket(socket.AF_INET, socket.SOCK_DGRAM)) as asker:
        asker.settimeout(1.0)
        labels = b"".join(bytes((len(part),)) + part.encode() for part in name.split("."))
        header = struct.pack("!HHHHHH", 7, 0x0100, 1, 0, 0, 0)
        asker.sendto(header + labels + b"\0\0\1\0\1", ("127.0.0.11", 53))
        answer = asker.recv(512)
    count = answer[7]
    return [socket.inet_ntoa(answer[len(answer) - 16 * n :][12:16]) for n in range(count, 0, -1)]


def run(scenario: Callable[[KernelNetworks, FabricHost], Awaitable[None]]) -> None:
    async def whole(host: FabricHost) -> None:
        nft = LibNft()

        def data_path(node_id: str) -> DataPath:
            return DataPath(
                node_id,
                nft,
                unused_encryption(nft, host),
                host=host.path,
                prefix=f"{host.name}-net",
            )

        made = KernelNetworks(nft, clock.monotonic, data_path)
        try:
            await made.restore(host.name, (), (), ())
            await scenario(made, host)
        finally:
            await made.close()

    with underlay(1) as laid:
        asyncio.run(whole(laid.hosts[0]))


def test_a_task_finds_names_in_its_networks_until_it_leaves() -> None:
    async def scenario(made: KernelNetworks, host: FabricHost) -> None:
        with pytest.raises(TemporaryError):
            await made.join(a_task())
        assert await made.follow(message(told(host))) == News(tuple(told(host)))
        joined = await made.join(a_task())
        assert joined is not None
        assert joined.addresses == ("10.0.1.5",)
        assert "nameserver 127.0.0.11\nsearch example.org\n" in joined.resolv_conf
        assert await asyncio.to_thread(answers, joined.path, "web") == ["10.0.1.2"]
        assert await asyncio.to_thread(answers, joined.path, "tasks.web") == ["10.0.1.5"]
        assert made.confirms()
        await made.leave("t1")
        assert not netns.exists(joined.path.rpartition("/")[2])

    run(scenario)


def test_another_daemon_answers_again() -> None:
    async def scenario(made: KernelNetworks, host: FabricHost) -> None:
        await made.follow(message(told(host)))
        joined = await made.join(a_task())
        assert joined is not None
        await made.restore(host.name, told(host), [a_task()], ())
        assert await asyncio.to_thread(answers, joined.path, "web") == ["10.0.1.2"]
        await made.restore(host.name, told(host), [], ["t1"])
        assert netns.exists(joined.path.rpartition("/")[2])
        await made.restore(host.name, told(host), [], ())
        assert not netns.exists(joined.path.rpartition("/")[2])

    run(scenario)


def test_who_stops_waits_until_others_have_heard_of_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(networks, "DRAIN", 3600.0)

    async def scenario(made: KernelNetworks, host: FabricHost) -> None:
        await made.follow(message(told(host)))
        await made.drained(a_task())
        await made.follow(message(told(host, serving=False)))
        waits = asyncio.ensure_future(made.drained(a_task()))
        done, _ = await asyncio.wait({waits}, timeout=0.05)
        assert not done
        waits.cancel()

    run(scenario)


def test_a_task_without_networks_needs_none() -> None:
    async def scenario(made: KernelNetworks, _: FabricHost) -> None:
        assert await made.join(objects_pb2.Task(id="t2")) is None
        hosts = objects_pb2.Task(id="t3")
        hosts.spec.networks.add(target="host")
        hosts.host_ports.add(target_port=80, published_port=80)
        assert await made.join(hosts) is None

    run(scenario)
