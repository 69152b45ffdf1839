"""What a new network needs before anything can be attached to it: subnets and, if it is an overlay,
a VNI. Pure.

Subnets are chosen from the pools of the cluster, and never such that a node's own address lies in
one: a task could not reach that node any more.
"""

import hashlib
import ipaddress
from collections.abc import Iterator
from dataclasses import dataclass, field

from api.networks import DEFAULT_POOL, DEFAULT_SUBNET_SIZE, OVERLAY, IpNetwork, driver_of, subnet_of
from api.v1 import objects_pb2, specs_pb2
from manager.allocator.ipam import IPV6_PREFIX, V4, V6, Room, choose, complete
from manager.allocator.vni import next_vni
from manager.state.changes import copy
from manager.state.store import View

Network = objects_pb2.Network

INGRESS_SIZE = 16
"""Length of the ingress network's prefix, where the pool has room for some of that size: it has an
address for every node and for every task that publishes a port.
"""
_ROOMY = 4
"""Such a subnet is at most one part in 2 ** _ROOMY of its pool."""
WARN_AT, WARN_UNTIL = 0.7, 0.6
"""Parts of the addresses that are held when the warning comes, and when it goes."""


def is_settled(network: Network) -> bool:
    """Whether tasks and services can be attached to the network."""
    return bool(network.pools) and (driver_of(network.spec) != OVERLAY or network.vni != 0)


def is_complete(network: Network) -> bool:
    """Whether the network has all that its spec asks for."""
    present = {pool.subnet for pool in network.pools}
    families = {subnet_of(pool).version for pool in network.pools}
    return (
        is_settled(network)
        and not network.pending
        and V4 in families
        and (V6 in families or not network.spec.ipv6)
        and all(pool.subnet in present for pool in network.spec.pools)
    )


@dataclass
class Settling:
    """What is given to networks in one decision, so that no two get the same."""

    view: View
    last_vni: int = 0
    taken: list[IpNetwork] = field(default_factory=list)
    used: set[int] = field(default_factory=set)

    @classmethod
    def begin(cls, view: View) -> "Settling":
        """From what is given already."""
        made = cls(
            view, last_vni=max((c.last_vni for c in view.all(objects_pb2.Cluster)), default=0)
        )
        for network in view.all(Network):
            made.used.add(network.vni)
            made.taken += [subnet_of(p) for p in (*network.pools, *network.spec.pools)]
        return made

    def settle(self, network: Network) -> Network | None:
        """The network with all that it needs, or with why it lacks it; None: nothing is new."""
        changed = copy(network)
        problem = self._subnets(changed)
        if not changed.vni and driver_of(changed.spec) == OVERLAY:
            vni = next_vni(self.last_vni, self.used)
            if vni is None:
                problem = "every VNI is in use"
            else:
                changed.vni = self.last_vni = vni
                self.used.add(vni)
        changed.pending = problem
        return None if changed == network else changed

    def _subnets(self, network: Network) -> str:
        present = {pool.subnet for pool in network.pools}
        network.pools.extend(complete(p) for p in network.spec.pools if p.subnet not in present)
        families = {subnet_of(pool).version for pool in network.pools}
        if V4 not in families and not self._choose(network, V4):
            return "no subnet is free in the address pools; name one with --subnet"
        if network.spec.ipv6 and V6 not in families and not self._choose(network, V6):
            return "no subnet of IPv6 is free; name one with --subnet"
        return ""

    def _choose(self, network: Network, family: int) -> bool:
        found = self.free_subnet(family, ingress=network.spec.ingress)
        if found is None:
            return False
        self.taken.append(found)
        network.pools.append(complete(specs_pb2.IpamConfig(subnet=str(found))))
        return True

    def free_subnet(self, family: int = V4, *, ingress: bool = False) -> IpNetwork | None:
        """What would be chosen next."""
        taken = [*self.taken, *_underlay(self.view)]
        if family == V6:
            return choose([_unique_local(self.view)], IPV6_PREFIX, taken)
        pools, size = address_pools(self.view)
        if ingress and pools[0].prefixlen + _ROOMY <= INGRESS_SIZE <= size:
            found = choose(pools[:1], INGRESS_SIZE, taken, last=True)
            if found is not None:
                return found
        return choose(pools, size, taken)


def address_pools(view: View) -> tuple[list[IpNetwork], int]:
    """Where subnets are chosen from, and the length of their prefixes."""
    spec = next((c.spec for c in view.all(objects_pb2.Cluster)), specs_pb2.ClusterSpec())
    pools = [ipaddress.ip_network(text) for text in spec.address_pools or (DEFAULT_POOL,)]
    return pools, spec.subnet_size or DEFAULT_SUBNET_SIZE


def warned(network: Network, room: Room) -> Network | None:
    """The network with or without the warning that its addresses run out; None: it is right."""
    held, size = room.usage()
    full = held / size if size else 0.0
    if full >= WARN_UNTIL if network.warning else full < WARN_AT:
        return None
    changed = copy(network)
    name = network.spec.annotations.name
    changed.warning = (
        ""
        if network.warning
        else f"more than {WARN_AT:.0%} of its {size} addresses are held: "
        f"swarmctl network update --add-subnet ... {name}"
    )
    return changed


def _underlay(view: View) -> Iterator[IpNetwork]:
    for node in view.all(objects_pb2.Node):
        for text in (node.status.address, node.description.data_path_address):
            try:
                yield ipaddress.ip_network(text)
            except ValueError:
                continue  # a host's name, or nothing is known yet


def _unique_local(view: View) -> IpNetwork:
    """A /48 of this cluster's own (RFC 4193, section 3.2.2)."""
    name = "".join(cluster.id for cluster in view.all(objects_pb2.Cluster))
    digest = hashlib.sha256(name.encode()).digest()
    return ipaddress.IPv6Network((b"\xfd" + digest[:5] + bytes(10), 48))
