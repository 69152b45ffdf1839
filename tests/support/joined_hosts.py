"""Hosts with the fabric, published ports and virtual addresses, each as the others left it room."""

import contextlib
from collections.abc import Collection, Iterator
from pathlib import Path

from api.v1 import network_pb2, specs_pb2
from hostkit import netns
from overlay_net.balance.shell import Balance, Sandbox
from overlay_net.balance.views import view
from overlay_net.fabric.hardware import GATEWAY_BRIDGE, hardware_address, shown
from overlay_net.ingress.host import Node
from overlay_net.ingress.ports import Port, mesh
from overlay_net.ingress.shell import Ingress
from overlay_net.ingress.task import Task
from overlay_net.nft import LibNft
from tests.support.backends import gathered
from tests.support.fabric_hosts import PREFIX, Underlay, look, underlay
from tests.support.wires import Wires

INGRESS_POOLS, FRONT_POOLS = ("10.255.0.0/16",), ("10.0.1.0/24",)
CLIENT = "10.99.0.200"
VIRTUAL = "10.0.1.2"
PUBLISHED, OWN = 8080, 9000
MTU = 1450


class JoinedHosts:
    """Three hosts at 10.99.0.N, a client beside them; tasks 22 and 33 on the second and third.

    Task N is 10.0.1.N in network front and 10.255.0.N in the ingress network, and serves. `asker`
    is a container of the first host in front. The second host publishes task 22 by itself at OWN.
    """

    def __init__(self, laid: Underlay, net: Wires, nft: LibNft) -> None:
        self.laid = laid
        self.ingress, self.balance = Ingress(nft), Balance(nft)
        laid.ingress()
        laid.network("front", 4097, FRONT_POOLS[0])
        self.tasks = {
            number: Path(
                laid.task(
                    f"t{number}",
                    laid.hosts[at],
                    ingress=f"10.255.0.{number}/16",
                    front=f"10.0.1.{number}/24",
                )
            )
            for number, at in ((22, 1), (33, 2))
        }
        self.asker = Path(laid.task("asker", laid.hosts[0], front="10.0.1.11/24"))
        laid.converge()
        self.client = net.namespace("client")
        net.plug(self.client, "eth0", netns.path(PREFIX + "wire"), f"{CLIENT}/24")
        for number, path in self.tasks.items():
            net.serve(path, f"t{number}")

    def host(self, number: int) -> Path:
        return Path(self.laid.hosts[number - 1].path)

    def tell(self, lost: Collection[str] = ()) -> None:
        """Everybody is told; `lost`: hosts, by name, that are down."""
        macs = [shown(hardware_address([f"10.255.0.{n}"])) for n in (1, 2, 3)]
        service = _service()
        own = Port("tcp", OWN, 80, (_way_out(self.tasks[22]),))
        published = mesh([service], gathered(self._endpoints("10.255.0"), lost).backends())
        for number, host in enumerate(self.laid.hosts, 1):
            if host.name in lost:
                continue
            if number - 1 in (1, 2):
                path = self.tasks[number * 11]
                task = Task(path, "ing0", INGRESS_POOLS, (_way_out(path),))
                self.ingress.apply_task(task, macs)
            node = Node(host.name, Path(host.path), "ing0", MTU, INGRESS_POOLS, (GATEWAY_BRIDGE,))
            ports = (*published.ports, own) if number == 2 else published.ports
            self.ingress.apply_node(node, type(published)(ports, published.living))
        front = view([service], gathered(self._endpoints("10.0.1"), lost).backends())
        self.balance.apply(Sandbox("asker", self.asker, ("front",), FRONT_POOLS), {"front": front})

    def _endpoints(self, prefix: str) -> list[network_pb2.NetworkEndpoint]:
        return [
            network_pb2.NetworkEndpoint(
                service_id="s",
                node_id=self.laid.hosts[number // 11 - 1].name,
                addresses=[f"{prefix}.{number}/16"],
                serving=True,
            )
            for number in self.tasks
        ]


@contextlib.contextmanager
def joined_hosts() -> Iterator[JoinedHosts]:
    """All ends with the test."""
    net = Wires()
    with underlay(3) as laid, contextlib.closing(LibNft()) as nft, contextlib.closing(net):
        yield JoinedHosts(laid, net, nft)


def _service() -> network_pb2.NetworkService:
    protocols = (specs_pb2.PortConfig.PROTOCOL_TCP, specs_pb2.PortConfig.PROTOCOL_UDP)
    return network_pb2.NetworkService(
        service_id="s",
        name="web",
        virtual_ips=[VIRTUAL],
        ports=[
            specs_pb2.PortConfig(protocol=each, target_port=80, published_port=PUBLISHED)
            for each in protocols
        ],
    )


def _way_out(sandbox: Path) -> str:
    """The address of a task at its host's gateway bridge."""
    fields = look(sandbox.name, "-br -4 addr show").split()
    return next(each for each in fields if each.startswith("172.18.")).partition("/")[0]
