"""What a node finds when it looks at its networks, told in words; and whom it is to ask. Pure."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from api.errors import SwarmError
from api.network_digest import digest
from overlay_net.check import links, names, reach
from overlay_net.check.finding import FIX, RESYNC, Finding, shown
from overlay_net.check.names import Answers, Told
from overlay_net.check.reach import Station, Target, Whom
from overlay_net.fabric.hardware import GATEWAY_BRIDGE, bridge_name, tunnel_name
from overlay_net.fabric.networks import VXLAN_PORT
from overlay_net.fabric.picture import Leg, On
from overlay_net.fabric.plan import Look
from overlay_net.ingress.host import MARK
from overlay_net.ingress.ports import is_taken, key_of
from overlay_net.obstacles.findings import Need
from worker.network_book import Book, Network
from worker.task_place import Place

MOST_NAMES = 50
"""Names that are asked of one task's name server."""
MOST_ASKED = 20
"""Tasks whose name servers are asked; of more a part."""
_MOST_DIFFERENCES = 8
UNDERLAY = ""
"""In the place of a network's id: what belongs to all."""


class Questions(NamedTuple):
    """For a name server: whose it is in words, the file of his namespace, and what is right."""

    whose: str
    path: str
    answers: Answers


@dataclass(frozen=True)
class Survey:
    """One look. `host`: the file of the host's namespace; `look`: None while nothing is built.

    `differences`: of rules, settings and routes, in words, by the file of a namespace; `refused`:
    networks that cannot be built here, by id.
    """

    node_id: str
    host: str
    book: Book
    places: Sequence[tuple[Place, str]]
    look: Look | None
    differences: Mapping[str, Sequence[str]]
    refused: Mapping[str, SwarmError] = field(default_factory=dict)

    def findings(self, networks: Collection[str], lost: Iterable[Path] = ()) -> list[Finding]:
        """What is wrong with these networks, by id, or with the host; with no ids: with any.

        `lost`: namespaces that lack the rules which lead to their name servers.
        """
        found = [*self._refusals(), *self._links(), *self._rules(lost)]
        return [each for each in found if not networks or each.network in ("", *networks)]

    def targets(self, networks: Collection[str]) -> list[Target]:
        """Whom this node ought to reach."""
        if self.look is None:
            return []
        found = list(self._underlay(self.look))
        for network in self.book.networks.values():
            if networks and network.id not in networks:
                continue
            if (station := self._station(network, self.look)) is not None:
                others = self._others(network)
                found += reach.targets(network.id, *station, others, self.node_id)
        return found

    def questions(self, networks: Collection[str]) -> list[Questions]:
        """Whose name servers are to be asked."""
        asked: list[Questions] = []
        for place, path in sorted(self.places, key=lambda each: each[0].task_id):
            told = [self._told(id) for id in place.networks if id in self.book.networks]
            if networks and not any(each.network.id in networks for each in told):
                continue
            if wished := names.expected(told, MOST_NAMES):
                asked.append(Questions(self._whose(path), path, wished))
        return asked[:MOST_ASKED]

    def called(self) -> dict[str, str]:
        """The names of networks by id."""
        return {network.id: network.name for network in self.book.networks.values()}

    def _told(self, network_id: str) -> Told:
        return Told(
            self.book.networks[network_id],
            list(self.book.services(network_id).values()),
            list(self.book.endpoints(network_id).values()),
        )

    def _refusals(self) -> list[Finding]:
        return [
            Finding(
                error.what,
                "" if network_id == GATEWAY_BRIDGE else network_id,
                why=error.why,
                remedy=error.remedy,
            )
            for network_id, error in self.refused.items()
        ]

    def _links(self) -> list[Finding]:
        if self.look is None:
            return []
        parents = {}
        for network in self.book.networks.values():
            parent = tunnel_name(network.vni) if network.vni else bridge_name(network.id)
            parents[parent] = network.id
        whose = {path: self._whose(path) for path in (self.host, *(p for _, p in self.places))}
        return links.findings(self.look.operations, self.look.observed, links.Names(parents, whose))

    def _rules(self, lost: Iterable[Path]) -> list[Finding]:
        settings = () if self.look is None else self.look.settings
        told = {self.host: [*settings]}
        for path, differences in self.differences.items():
            told.setdefault(path, []).extend(differences)
        for target in lost:
            told.setdefault(str(target), []).append("what leads to the name server is not there")
        return [
            Finding(
                f"rules, routes or settings of {self._whose(path)} are not as they ought to be",
                self._one_network(path),
                "as swarmd left them",
                shown(dict.fromkeys(found), _MOST_DIFFERENCES),
                "somebody flushed them (nft flush ruleset, a restart of nftables), or set them back"
                " (sysctl)",
                RESYNC,
                FIX,
            )
            for path, found in told.items()
            if found
        ]

    def _one_network(self, path: str) -> str:
        """The network of a task that is in one alone, or of the node's ports; "" else."""
        if path == self.host:
            return ""
        joined = next((place.networks for place, there in self.places if there == path), ())
        return joined[0] if len(joined) == 1 else ""

    def _whose(self, path: str) -> str:
        if path == self.host:
            return "this host"
        task_id = next((place.task_id for place, there in self.places if there == path), "")
        for network_id in self.book.networks:
            if (endpoint := self.book.endpoints(network_id).get(task_id)) is not None:
                return f"task {endpoint.name.removesuffix(f'.{task_id}')}"
        return f"task {task_id}" if task_id else path

    def _underlay(self, look: Look) -> list[Target]:
        me = self.book.peers.get(self.node_id)
        if me is None:
            return []
        station = Station(self.host, source=me.data_path_address)
        others = [
            Whom(peer.node_id, peer.data_path_address)
            for peer in self.book.peers.values()
            if peer.node_id != self.node_id
        ]
        return reach.targets(UNDERLAY, station, look.ground.mtu, others, self.node_id)

    def _station(self, network: Network, look: Look) -> tuple[Station, int] | None:
        """From where others are asked within a network, and how large its packets are."""
        parent = tunnel_name(network.vni)
        legs = {key.sandbox: leg for key, leg in look.observed.legs.items() if leg.parent == parent}
        if network.ingress and (leg := legs.get(self.host)) is not None:
            return Station(self.host, leg.name, MARK), leg.mtu
        path = next((path for place, path in self.places if network.id in place.networks), "")
        found: Leg | None = legs.get(path)
        if not network.vni or found is None or found.on is not On.TUNNEL:
            return None
        return Station(path), found.mtu

    def _others(self, network: Network) -> list[Whom]:
        endpoints = self.book.endpoints(network.id).values()
        return [
            Whom(each.node_id, address.partition("/")[0])
            for each in sorted(endpoints, key=lambda each: (not each.serving, each.task_id))
            if each.node_id != self.node_id and each.node_id in self.book.peers and each.serving
            for address in each.addresses[:1]
        ]


def digests(book: Book) -> dict[str, bytes]:
    """A digest of all that was told, by network; managers make the same of what they mean."""
    keys = (UNDERLAY, *book.networks) if book.peers else tuple(book.networks)
    return {key: digest(book.items(key)) for key in keys}


def needed(
    book: Book, devices: Sequence[str], port: int, places: Iterable[Place], *, is_built: bool
) -> Need:
    """What the networks that were told need of other programs on the host. `places`: its own."""
    tunnels = ("udp", port or VXLAN_PORT)
    ingress = book.ingress()
    services = () if ingress is None else book.services(ingress.id).values()
    ports = [key_of(each) for service in services for each in service.ports]
    held = [key_of(each) for place in places if place.lone for each in place.ports]
    return Need(
        devices=devices,
        reached=(tunnels,),
        opening={} if is_built else {tunnels: "tunnels between nodes"},
        published={key[:2] for key in ports},
        kept={key[:2] for key in ports if is_taken(key, held)},
        vnis={network.vni: network.name for network in book.networks.values() if network.vni},
    )
