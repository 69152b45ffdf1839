"""change_1k and join_1k: what a node's daemon does when a task elsewhere changes, and for a new one
of its own, in a network of a thousand endpoints in a hundred services.

All that the daemon does for networks below names, as the managers' messages make it do so: tunnels,
ports, and the virtual addresses of each container. CPU of this process, the kernel's work for it
included. Needs no lab: a namespace stands for the host; all go afterwards.
"""

import contextlib
import os
import resource
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
from worker.redirects import Redirects
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

    def __init__(
        self, data_path: DataPath, redirects: Redirects, endpoints: int, per_service: int
    ) -> None:
        self._data_path = data_path
        self._redirects = redirects
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
        made = self._data_path.join(Place(f"t{number}", ("front",)))
        self._redirects.lead(Path(made.path), 40_000, 40_000)

    def change(self, number: int) -> None:
        """A task elsewhere serves no more, or again."""
        last = self._endpoint(self._endpoints - 1, serving=number % 2 == 1)
        self._tell(Message.TYPE_INCREMENTAL, last)

    def look(self) -> None:
        """What the daemon does every half minute."""
        self._data_path.heal()
        self._redirects.mend()

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
    """change_1k; beside it the same in a smaller network, and in a service of all endpoints, and
    what the next look costs the node.
    """
    runs, look = _changes(_ENDPOINTS, _PER_SERVICE)
    smaller, _ = _changes(_ENDPOINTS // 10, _PER_SERVICE)
    one, _ = _changes(_ENDPOINTS, _ENDPOINTS)
    beside = {
        "of_100_endpoints": statistics.median(smaller),
        "of_one_service": statistics.median(one),
        "look_ms": look,
    }
    return Measured(runs, beside)


def measure_joins() -> Measured:
    """join_1k; beside it the same in a smaller network, and what this process grew by for each."""
    smaller, _ = _joins(_ENDPOINTS // 10)
    joins, grown = _joins(_ENDPOINTS)
    return Measured(joins, {"of_100_endpoints": statistics.median(smaller), "rss_kib": grown})


MEASURES: Mapping[str, Callable[[], Measured]] = {
    "change_1k": measure_changes,
    "join_1k": measure_joins,
}


def _changes(endpoints: int, per_service: int) -> tuple[list[float], float]:
    """Milliseconds per container, and those of a look at all afterwards."""
    with _node(endpoints, per_service) as node:
        for number in range(HERE):
            node.join(number)
        runs = []
        for _ in range(RUNS):
            begun = time.process_time()
            for number in range(_CHANGES):
                node.change(number)
            runs.append(1000 * (time.process_time() - begun) / _CHANGES / HERE)
        begun = time.process_time()
        node.look()
        return runs, 1000 * (time.process_time() - begun)


def _joins(endpoints: int) -> tuple[list[float], float]:
    """Milliseconds each, and KiB; the first ones, which also make what all share, do not count."""
    first, runs = HERE // 2, []
    with _node(endpoints, _PER_SERVICE) as node:
        for number in range(HERE):
            if number == first:
                before = _resident()
            begun = time.process_time()
            node.join(number)
            runs.append(1000 * (time.process_time() - begun))
        grown = (_resident() - before) / (HERE - first)
    return runs[first:], grown


def _resident() -> int:
    """KiB of this process."""
    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    return pages * resource.getpagesize() // 1024


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
            yield Node(data_path, Redirects(nft), endpoints, per_service)
        finally:
            data_path.clear()


def _network() -> network_pb2.NodeNetwork:
    made = network_pb2.NodeNetwork(id="front", name="front", driver="overlay", vni=4097)
    made.pools.add(subnet="10.64.0.0/10")
    return made
