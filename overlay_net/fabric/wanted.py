"""What this host's fabric ought to be, from what the managers tell and the local sandboxes. Pure.

Told changes one at a time, it works only on what each one touches: an endpoint more costs the same
in a network of ten and of ten thousand. A complete answer of the managers makes a new `Wanted`.
"""

import ipaddress
from collections import defaultdict
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from api.errors import Code, SwarmError
from api.v1 import network_pb2
from overlay_net.encrypt.ends import end_of
from overlay_net.fabric.drawing import Drawing, Host
from overlay_net.fabric.hardware import GATEWAY_BRIDGE, of_packed, packed, tunnel_name
from overlay_net.fabric.networks import NetworkForm, form
from overlay_net.fabric.picture import Entries, Picture
from overlay_net.fabric.reach import Reach

EndpointKey = tuple[str, str]
"""Network and task."""


@dataclass(frozen=True)
class Sandbox:
    """The network stack of a task; `networks`: ids, in the order its interfaces are to have.

    `outward`: it gets a way out even if none of its networks gives it one. `endpoints`: by network,
    under whose id its endpoint there is told, where that is another than its own.
    """

    path: str
    networks: tuple[str, ...] = ()
    outward: bool = False
    endpoints: Mapping[str, str] = field(default_factory=dict)


class Wanted:
    """Everything told so far to the node of this id."""

    def __init__(self, node_id: str) -> None:
        self.node_id = node_id
        self.refused: Mapping[str, SwarmError] = {}
        """Networks that cannot be built on this host, and why, by id; under the gateway bridge's
        name, why there is no way out of overlays. As of the last picture.
        """
        self.guarded: Collection[int] = ()
        """Numbers of encrypted networks that cannot be seen in clear: no others are built."""
        self.stands_in_ingress = True
        """Whether the host itself is in the ingress network: it needs that for published ports."""
        self._networks: dict[str, network_pb2.NodeNetwork] = {}
        self._endpoints: dict[EndpointKey, network_pb2.NetworkEndpoint] = {}
        self._on_node: defaultdict[str, set[EndpointKey]] = defaultdict(set)
        self._peers: dict[str, network_pb2.NetworkPeer] = {}
        self._sandboxes: dict[str, Sandbox] = {}
        self._reach: defaultdict[str, Reach] = defaultdict(Reach)
        self._all_changed = True

    def put_network(self, network: network_pb2.NodeNetwork) -> None:
        """A network that is new or has changed. INVALID if its subnets are none."""
        for pool in network.pools:
            _check(f"network {network.name}", ipaddress.ip_network, pool.subnet)
        if self._networks.get(network.id) == network:
            return
        self._all_changed = True
        self._networks[network.id] = network
        for key in self._endpoints:
            if key[0] == network.id:
                self._reach_endpoint(key)
        for node in self._peers:
            self._reach_ingress(network, node)

    def drop_network(self, network_id: str) -> None:
        """A network that has no task here any more; its endpoints are forgotten with it."""
        if self._networks.pop(network_id, None) is None:
            return
        self._all_changed = True
        self._reach.pop(network_id, None)
        for key in [key for key in self._endpoints if key[0] == network_id]:
            self._forget(key)

    def put_endpoint(self, endpoint: network_pb2.NetworkEndpoint) -> None:
        """An endpoint that is new, has changed, or has moved. INVALID if its addresses are none."""
        for address in endpoint.addresses:
            _check(f"an endpoint of task {endpoint.task_id}", packed, address)
        key = (endpoint.network_id, endpoint.task_id)
        self._forget(key)
        self._endpoints[key] = endpoint
        self._on_node[endpoint.node_id].add(key)
        self._reach_endpoint(key)

    def drop_endpoint(self, network_id: str, task_id: str) -> None:
        """An endpoint that is gone."""
        key = (network_id, task_id)
        self._forget(key)
        self._reach_endpoint(key)

    def put_peer(self, peer: network_pb2.NetworkPeer) -> None:
        """A node, this one among them, that is new or is reached otherwise.

        INVALID if its addresses are none.
        """
        ends = filter(None, (peer.data_path_address, peer.wireguard_address))
        for address in (*ends, *peer.ingress_addresses):
            _check(f"node {peer.node_id}", packed, address)
        self._peers[peer.node_id] = peer
        self._reach_node(peer.node_id)

    def drop_peer(self, node_id: str) -> None:
        """A node that is down or removed: nothing is sent there any more."""
        self._peers.pop(node_id, None)
        self._reach_node(node_id)

    def put_sandbox(self, task_id: str, sandbox: Sandbox) -> None:
        """A task of this node has a network stack."""
        self._sandboxes[task_id] = sandbox

    def drop_sandbox(self, task_id: str) -> None:
        """It has none any more."""
        self._sandboxes.pop(task_id, None)

    def sandboxes(self) -> list[str]:
        """The files of all."""
        return [sandbox.path for sandbox in self._sandboxes.values()]

    def subnets(self) -> list[str]:
        """Of all networks; the gateway bridge must meet none of them."""
        return [pool.subnet for network in self._networks.values() for pool in network.pools]

    def take_changed(self) -> dict[str, set[bytes]] | None:
        """Keys of entries that may have changed since the last call, by tunnel; None: any may."""
        all_changed, self._all_changed = self._all_changed, False
        changed = {
            tunnel_name(self._networks[network_id].vni): reach.take_changed()
            for network_id, reach in self._reach.items()
        }
        return None if all_changed else changed

    def picture(self, host: Host) -> Picture:
        """What ought to be. Its entries are ours and change with us; all else is a copy."""
        me = self._peers.get(self.node_id, network_pb2.NetworkPeer())
        forms, refused = self._forms(host, me)
        drawing = Drawing(host, forms.values())
        for network in forms.values():
            if network.ingress and self.stands_in_ingress and me.ingress_addresses:
                drawing.stand_itself(network, me.ingress_addresses)
        for task_id, sandbox in self._sandboxes.items():
            joined = self._joined(task_id, sandbox)
            drawing.stand(
                sandbox.path,
                [(forms[id], addresses) for id, addresses in joined if id in forms],
                outward=sandbox.outward,
            )
        no_way_out = drawing.lead_out()
        if no_way_out is not None:
            refused[GATEWAY_BRIDGE] = no_way_out
        self.refused = refused
        overlays = {id: each.tunnel for id, each in forms.items() if each.tunnel}
        return Picture(
            tunnels={tunnel.name: tunnel for tunnel in overlays.values()},
            bridges=drawing.bridges,
            legs=drawing.legs,
            routes=drawing.routes,
            entries={tunnel.name: self._reach[id].entries for id, tunnel in overlays.items()},
            rules=drawing.rules,
        )

    def _forms(
        self, host: Host, me: network_pb2.NetworkPeer
    ) -> tuple[dict[str, NetworkForm], dict[str, SwarmError]]:
        """Networks that can be built on this host, and those that cannot."""
        forms, refused = {}, {}
        for network in self._networks.values():
            try:
                if network.encrypted and network.vni not in self.guarded:
                    raise _in_clear(network)
                forms[network.id] = form(network, host.ground, me)
            except SwarmError as error:
                refused[network.id] = error
        return forms, refused

    def _joined(self, task_id: str, sandbox: Sandbox) -> Iterator[tuple[str, Sequence[str]]]:
        """A local task's networks and addresses, in the order its interfaces are to have."""
        rest = sorted(set(self._networks) - set(sandbox.networks))
        for network_id in (*sandbox.networks, *rest):
            owner = sandbox.endpoints.get(network_id, task_id)
            endpoint = self._endpoints.get((network_id, owner))
            if endpoint is not None and endpoint.node_id == self.node_id and endpoint.addresses:
                yield network_id, endpoint.addresses

    def _forget(self, key: EndpointKey) -> None:
        endpoint = self._endpoints.pop(key, None)
        if endpoint is None:
            return
        there = self._on_node[endpoint.node_id]
        there.discard(key)
        if not there:
            del self._on_node[endpoint.node_id]

    def _reach_node(self, node_id: str) -> None:
        for key in self._on_node.get(node_id, ()):
            self._reach_endpoint(key)
        for network in self._networks.values():
            self._reach_ingress(network, node_id)

    def _reach_endpoint(self, key: EndpointKey) -> None:
        endpoint = self._endpoints.get(key)
        network = self._networks.get(key[0])
        if network is None:
            return
        if endpoint is None:
            self._reach[key[0]].drop(key)
        else:
            there = self._entries(network, endpoint.node_id, endpoint.addresses)
            self._reach[key[0]].put(key, there)

    def _reach_ingress(self, network: network_pb2.NodeNetwork, node_id: str) -> None:
        """A node's own leg in an ingress network."""
        if network.ingress:
            peer = self._peers.get(node_id, network_pb2.NetworkPeer())
            there = self._entries(network, node_id, peer.ingress_addresses)
            self._reach[network.id].put(node_id, there)

    def _entries(
        self, network: network_pb2.NodeNetwork, node_id: str, addresses: Sequence[str]
    ) -> Entries:
        """Of an endpoint elsewhere: where its frames go, and which addresses are answered for."""
        peer = self._peers.get(node_id)
        if peer is None or node_id == self.node_id or not addresses or not network.vni:
            return {}
        end = end_of(peer) if network.encrypted else peer.data_path_address
        if not end:
            return {}
        ips = [packed(address) for address in addresses]
        mac = of_packed(ips)
        return {mac: packed(end), **dict.fromkeys(ips, mac)}


def _in_clear(network: network_pb2.NodeNetwork) -> SwarmError:
    return SwarmError(
        Code.REFUSED,
        f"network {network.name} cannot be built on this node",
        why="it is encrypted, and might be seen in clear",
        remedy="see swarmctl node inspect, and the daemon's log",
    )


def _check(whose: str, read: Callable[[str], object], address: str) -> None:
    try:
        read(address)
    except ValueError as error:
        raise SwarmError(
            Code.INVALID, f"{whose} has an address that is none", why=str(error)
        ) from None
