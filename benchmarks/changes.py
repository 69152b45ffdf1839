"""change_1k and join_1k: what a node's daemon does when a task elsewhere changes, and for a new one
of its own, in a network of a thousand endpoints in a hundred services.

All that the daemon does for networks below names, as the managers' messages make it do so: tunnels,
ports, and the virtual addresses of each container. CPU of this process, the kernel's work for it
included. Needs no lab: a namespace stands for the host; all go afterwards.
"""

import contextlib
import os
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

from api.v1 import dispatcher_pb2, network_pb2
from benchmarks.fabric import a_host
from benchmarks.figure import Measured
from hostkit import clock, netns
from overlay_net.encrypt.encryption import Encryption, Options
from overlay_net.encrypt.key_file import KeyFile
from overlay_net.encrypt.key_ring import KeyRing
from overlay_net.nft import LibNft
from worker.data_path import DataPath
from worker.network_book import Item, change_of
from worker.task_place import Place

HERE = 50
"""Containers of the node that are in the network."""
RUNS = 9
_CHANGES = 10
_ENDPOINTS, _PER_SERVICE = 1000, 10
_NODES = ("me", "other")

Message = dispatcher_pb2.AssignmentsMessage


class Node:
    """A node in a network of so many endpoints, of which the first HERE may be its own."""

    def __init__(self, data_path: DataPath, endpoints: int, per_service: int) -> None:
        self._data_path = data_path
        self._endpoints = endpoints
        self._per_service = per_service
        told: list[Item] = [_network()]
        for number, node in enumerate(_NODES, 1):
            told.append(
                network_pb2.NetworkPeer(node_id=node, data_path_address=f"10.99.0.{number}")
            )
        told += (self._service(number) for number in range(endpoints // per_service))
        told += (self._endpoint(number) for number in range(endpoints))
        self._tell(Message.TYPE_COMPLETE, *told)

    def join(self, number: int) -> None:
        """One of its tasks gets its network stack."""
        self._data_path.join(Place(f"t{number}", ("front",)))

    def change(self, number: int) -> None:
        """A task elsewhere serves no more, or again."""
        last = self._endpoint(self._endpoints - 1, serving=number % 2 == 1)
        self._tell(Message.TYPE_INCREMENTAL, last)

    def _tell(self, kind: Message.Type.ValueType, *told: Item) -> None:
        self._data_path.follow(Message(type=kind, changes=map(change_of, told)))
        assert self._data_path.trouble is None, self._data_path.trouble

    def _endpoint(self, number: int, *, serving: bool = True) -> network_pb2.NetworkEndpoint:
        return network_pb2.NetworkEndpoint(
            network_id="front",
            task_id=f"t{number}",
            name=f"task.{number}",
            service_id=f"s{number // self._per_service}",
            addresses=[f"10.64.{number // 250 + 1}.{number % 250 + 2}/10"],
            node_id=_NODES[number >= HERE],
            serving=serving,
        )

    @staticmethod
    def _service(number: int) -> network_pb2.NetworkService:
        return network_pb2.NetworkService(
            network_id="front",
            service_id=f"s{number}",
            name=f"s{number}",
            virtual_ips=[f"10.64.200.{number + 1}"],
        )


def measure_changes() -> Measured:
    """change_1k; beside it the same in a smaller network, and in a service of all endpoints."""
    return Measured(
        _changes(_ENDPOINTS, _PER_SERVICE),
        {
            "of_100_endpoints": statistics.median(_changes(_ENDPOINTS // 10, _PER_SERVICE)),
            "of_one_service": statistics.median(_changes(_ENDPOINTS, _ENDPOINTS)),
        },
    )


def measure_joins() -> Measured:
    """join_1k; beside it the same in a smaller network."""
    return Measured(
        _joins(_ENDPOINTS),
        {"of_100_endpoints": statistics.median(_joins(_ENDPOINTS // 10))},
    )


MEASURES: Mapping[str, Callable[[], Measured]] = {
    "change_1k": measure_changes,
    "join_1k": measure_joins,
}


def _changes(endpoints: int, per_service: int) -> list[float]:
    """Milliseconds per container."""
    with _node(endpoints, per_service) as node:
        for number in range(HERE):
            node.join(number)
        runs = []
        for _ in range(RUNS):
            begun = time.process_time()
            for number in range(_CHANGES):
                node.change(number)
            runs.append(1000 * (time.process_time() - begun) / _CHANGES / HERE)
    return runs


def _joins(endpoints: int) -> list[float]:
    """Milliseconds each; the first ones, which also make what all share, do not count."""
    runs = []
    with _node(endpoints, _PER_SERVICE) as node:
        for number in range(HERE):
            begun = time.process_time()
            node.join(number)
            runs.append(1000 * (time.process_time() - begun))
    return runs[-HERE // 2 :]


@contextlib.contextmanager
def _node(endpoints: int, per_service: int) -> Iterator[Node]:
    name = f"bench-changes-{os.getpid()}"
    with (
        a_host(name),
        contextlib.closing(LibNft()) as nft,
        tempfile.TemporaryDirectory() as folder,
    ):
        host = str(netns.path(name))
        ring = KeyRing(KeyFile(Path(folder, "keys.json")), clock.wall, lambda: 0.0)
        encrypts = Encryption(nft, ring, Options(host=host))
        data_path = DataPath("me", nft, encrypts, host=host, prefix=f"{name}-net")
        try:
            yield Node(data_path, endpoints, per_service)
        finally:
            data_path.clear()


def _network() -> network_pb2.NodeNetwork:
    made = network_pb2.NodeNetwork(id="front", name="front", driver="overlay", vni=4097)
    made.pools.add(subnet="10.64.0.0/10")
    return made
