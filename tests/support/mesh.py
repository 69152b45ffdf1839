"""Nodes, tasks and a client behind a router, wired by hand, with the ingress network as one
bridge.
"""

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from pathlib import Path

from api.v1 import network_pb2, specs_pb2
from overlay_net.ingress.host import Node
from overlay_net.ingress.ports import Mesh, Port, mesh
from overlay_net.ingress.shell import Ingress
from overlay_net.ingress.task import Task
from overlay_net.nft import LibNft
from tests.support import wires
from tests.support.backends import gathered
from tests.support.wires import Wires

POOLS = ("10.255.0.0/16", "fd00:255::/64")
CLIENT, CLIENT6 = "10.98.0.5", "fd00:98::5"
MTU = 1450
PUBLISHED = 8080


@dataclass(frozen=True)
class Place:
    """Where a task is: its node, number and network namespace."""

    node: int
    number: int
    path: Path

    @property
    def label(self) -> str:
        return f"t{self.number}"


class MeshLab:
    """Tasks have numbers; `leg` is the address of one's leg, `address` that of a node.

    Hosts are strict about where packets come from, as many systems are from the start.
    """

    def __init__(
        self, net: Wires, nodes: Iterable[int], tasks: dict[int, int], *, tunnels: bool = False
    ) -> None:
        """`tasks`: the node of each. `tunnels`: the ingress network is VXLAN between the nodes."""
        self.net = net
        self.tunnels = tunnels
        self.nft = LibNft()
        self.ingress = Ingress(self.nft)
        self.middle = net.namespace("middle")
        net.bridge(self.middle)
        self.router = net.namespace("router", forward=True)
        net.bridge(self.router, "br0", "10.97.0.254/16", "fd00:97::fe/64")
        net.bridge(self.router, "br1", "10.98.0.254/24", "fd00:98::fe/64")
        self.client = net.namespace("client")
        net.plug(self.client, "eth0", self.router, f"{CLIENT}/24", f"{CLIENT6}/64", bridge="br1")
        net.ip(
            self.client, "route add default via 10.98.0.254", "route add default via fd00:98::fe"
        )
        self.fabrics: dict[int, Path] = {}
        self.legs: dict[int, int] = {}
        self.hosts: dict[int, Path] = {}
        self.tasks: dict[int, Place] = {}
        for number in nodes:
            self.add_node(number)
        for number, node in tasks.items():
            self.add_task(number, node)

    def add_node(self, number: int) -> None:
        host = self.hosts[number] = self.net.namespace(f"n{number}")
        self.net.plug(
            host, "eth0", self.router, f"{address(number)}/16", f"{address(number, six=True)}/64"
        )
        self.net.ip(host, "route add default via 10.97.0.254", "route add default via fd00:97::fe")
        self.net.bridge(host, "swb-gateway", "172.18.0.1/16")
        if self.tunnels:
            self._tunnel(number)
        self.add_leg(host, number, number)

    def _tunnel(self, node: int) -> None:
        """As the fabric makes it: a VXLAN device aside, on which legs stand as macvlan devices."""
        aside = self.fabrics[node] = self.net.namespace(f"f{node}")
        self.net.ip(
            self.hosts[node],
            f"link add vx type vxlan id 4096 local {address(node)} dstport 4789 nolearning proxy",
            f"link set vx netns {aside.name}",
        )
        self.net.ip(aside, f"link set vx mtu {MTU} up")
        for number, where in self.legs.items():
            self._reach(node, number, where)

    def _reach(self, node: int, number: int, where: int) -> None:
        """A node is told of a leg of another one."""
        entry = f"fdb add {mac(number)} dev vx dst {address(where)} self permanent"
        self.net.ip(self.fabrics[node], entry, command="bridge")
        self.net.ip(
            self.fabrics[node],
            *(
                f"neigh add {leg(number, six=six)} lladdr {mac(number)} dev vx nud permanent"
                for six in (False, True)
            ),
        )

    def add_task(self, number: int, node: int) -> None:
        place = Place(node, number, self.net.namespace(f"t{number}"))
        self.tasks[number] = place
        self.net.plug(
            place.path, "gw", self.hosts[node], f"172.18.0.{number}/16", bridge="swb-gateway"
        )
        self.net.ip(place.path, "route add default via 172.18.0.1")
        self.add_leg(place.path, number, node)
        self.net.serve(place.path, place.label)

    def add_leg(self, target: Path, number: int, node: int) -> None:
        wires.sysctl(target, "ipv4/conf/all/rp_filter", "1")
        addresses = (f"{leg(number)}/16", f"{leg(number, six=True)}/64")
        if not self.tunnels:
            self.net.plug(target, "ing0", self.middle, *addresses, mac=mac(number), mtu=MTU)
            return
        self.legs[number] = node
        self.net.ip(
            self.fabrics[node],
            f"link add link vx name m{number} address {mac(number)} type macvlan mode bridge",
            f"link set m{number} netns {target.name} name ing0",
        )
        self.net.ip(
            target,
            f"link set ing0 mtu {MTU} up",
            *(f"addr add {each} dev ing0{wires.nodad(each)}" for each in addresses),
        )
        for other in self.fabrics.keys() - {node}:
            self._reach(other, number, node)

    def node(self, number: int) -> Node:
        return Node(
            f"n{number}", self.hosts[number], "ing0", MTU, POOLS, ("swb-gateway",), ipv6=True
        )

    def task(self, number: int) -> Task:
        path = self.tasks[number].path
        return Task(path, "ing0", POOLS, (f"172.18.0.{number}",))

    def mesh(
        self,
        serving: Collection[int],
        stopping: Collection[int] = (),
        config: specs_pb2.PortConfig | None = None,
        own: Iterable[Port] = (),
        *,
        sticky: bool = False,
    ) -> Mesh:
        """What a node is told: one service, published by TCP and UDP unless `config` says else."""
        both = [
            specs_pb2.PortConfig(protocol=each, target_port=80, published_port=PUBLISHED)
            for each in (specs_pb2.PortConfig.PROTOCOL_TCP, specs_pb2.PortConfig.PROTOCOL_UDP)
        ]
        service = network_pb2.NetworkService(
            service_id="s", name="web", ports=[config] if config else both, sticky=sticky
        )
        endpoints = [
            network_pb2.NetworkEndpoint(
                service_id="s",
                task_id=f"t{number}",
                addresses=[f"{leg(number)}/16", f"{leg(number, six=True)}/64"],
                serving=number in serving,
            )
            for number in (*serving, *stopping)
        ]
        return mesh([service], gathered(endpoints).backends(), own=own)

    def tell(self, told: Mesh, *, look: bool = False) -> None:
        """Every node and task that is there is told."""
        legs = [mac(number) for number in self.hosts]
        for place in self.tasks.values():
            self.ingress.apply_task(self.task(place.number), legs, look=look)
        for number in self.hosts:
            self.ingress.apply_node(self.node(number), told, look=look)

    def lose_node(self, number: int) -> None:
        """A host loses its power, with its tasks."""
        for place in [place for place in self.tasks.values() if place.node == number]:
            self.net.remove(place.path)
            self.ingress.forget(place.path)
            del self.tasks[place.number]
        path = self.hosts.pop(number)
        self.net.remove(path)
        self.ingress.forget(path)

    def ask(self, node: int, *, udp: bool = False, six: bool = False) -> tuple[str, str]:
        """Who answers the client through a node, and whom it sees."""
        how = wires.ask_datagram if udp else wires.ask
        return how(self.client, address(node, six=six), PUBLISHED)


def mac(number: int) -> str:
    """Of a leg in the ingress network."""
    return f"02:42:0a:ff:{number // 256:02x}:{number % 256:02x}"


def leg(number: int, *, six: bool = False) -> str:
    return f"fd00:255::{number:x}" if six else f"10.255.{number // 256}.{number % 256}"


def address(number: int, *, six: bool = False) -> str:
    return f"fd00:97::{number:x}" if six else f"10.97.{number // 256}.{number % 256}"
