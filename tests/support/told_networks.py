"""One small network as managers tell it, a task in it, and what that is told of names."""

import socket
import struct
from pathlib import Path
from typing import NamedTuple, Protocol

from api.v1 import dispatcher_pb2, network_pb2, objects_pb2
from hostkit import netns
from worker.network_book import Item, News, change_of
from worker.storage import AGENT_FILE, Storage

Message = dispatcher_pb2.AssignmentsMessage


class Placed(Protocol):
    """A node: its id, and where its tunnels end."""

    @property
    def name(self) -> str: ...

    @property
    def address(self) -> str: ...


class Ground(NamedTuple):
    """One that is not there."""

    name: str
    address: str


def told(host: Placed, *, serving: bool = True) -> list[Item]:
    """A network with one service, whose one task is on this host."""
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
    """As a manager tells a node all of it."""
    return Message(type=Message.TYPE_COMPLETE, changes=map(change_of, items))


def a_task(task_id: str = "t1") -> objects_pb2.Task:
    """That task; under another id it is in the network, and nobody finds it there."""
    task = objects_pb2.Task(id=task_id)
    task.spec.networks.add(target="front", id="front")
    task.networks.add(network_id="front", addresses=["10.0.1.5/24"])
    task.spec.container.dns.search.append("example.org")
    return task


def answers(path: str, name: str, patience: float = 20.0) -> list[str]:
    """The addresses that a container finds; TimeoutError after so many seconds without a word."""
    with netns.call_in(path, lambda: socket.socket(socket.AF_INET, socket.SOCK_DGRAM)) as asker:
        asker.settimeout(patience)
        labels = b"".join(bytes((len(part),)) + part.encode() for part in name.split("."))
        header = struct.pack("!HHHHHH", 7, 0x0100, 1, 0, 0, 0)
        asker.sendto(header + labels + b"\0\0\1\0\1", ("127.0.0.11", 53))
        answer = asker.recv(512)
    count = answer[7]
    return [socket.inet_ntoa(answer[len(answer) - 16 * n :][12:16]) for n in range(count, 0, -1)]


async def written(state_dir: Path, items: list[Item], tasks: list[objects_pb2.Task]) -> None:
    """Leaves behind what an agent would have."""
    storage = await Storage.open(state_dir / AGENT_FILE)
    await storage.keep_networks(News(tuple(items)))
    await storage.assign(tasks, ())
    await storage.close()
