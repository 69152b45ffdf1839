"""Networks of this host alone, and who has which address in them. Pure.

They are bridges, as of Docker's driver of that name: the default one, which every host has once it
is used and in which nobody has a name, and those that an operator made. Where no subnet is asked
for, one is chosen that meets nothing this host reaches: 172.17.0.0/16 first.
"""

import ipaddress
from collections.abc import Iterable, Iterator

from api import networks as rules
from api.errors import Code, SwarmError, invalid
from api.networks import IpNetwork
from api.v1 import network_pb2, objects_pb2, specs_pb2
from overlay_net.fabric import gateway
from worker.network_book import Item, Key, key_of
from worker.task_place import BRIDGE

Network = objects_pb2.Network
Endpoint = network_pb2.NetworkEndpoint

_CANDIDATES = (ipaddress.IPv4Network("172.17.0.0/16"), *gateway.CANDIDATES)
_UNIQUE_LOCAL = ipaddress.IPv6Network("fd73:7761:726d::/48")
_V6_SIZE = 64


class LocalNetworks:
    """All of one host. What it answers with is to be kept, and told to the host's networks.

    An endpoint in a network that is not there is none: it is left out.
    """

    def __init__(
        self, networks: Iterable[Network] = (), endpoints: Iterable[Endpoint] = ()
    ) -> None:
        self.networks = {network.id: network for network in networks}
        self.endpoints = {
            (each.network_id, each.task_id): each
            for each in endpoints
            if each.network_id in self.networks
        }

    def find(self, key: str) -> Network | None:
        """By name, by id, or by the beginning of one."""
        for network in self.networks.values():
            if key in (network.id, network.spec.annotations.name):
                return network
        found = [network for network in self.networks.values() if network.id.startswith(key)]
        return found[0] if key and len(found) == 1 else None

    def items(self) -> Iterator[Item]:
        """What the host builds: networks that somebody is in, and who is."""
        for network_id in sorted({each.network_id for each in self.endpoints.values()}):
            yield _told(self.networks[network_id])
        yield from self.endpoints.values()

    def create(self, network_id: str, spec: specs_pb2.NetworkSpec, used: Iterable[str]) -> Network:
        """A network; as `check`, and REFUSED or EXHAUSTED if it has no subnet of its own.

        `used`: subnets that it must not meet, beside those of the other networks here.
        """
        self.check(spec)
        return self._add(network_id, spec, used)

    def check(self, spec: specs_pb2.NetworkSpec) -> None:
        """INVALID or EXISTS if this can be no network here."""
        rules.check(spec)
        if rules.driver_of(spec) != rules.BRIDGE or rules.scope_of(spec) != rules.LOCAL:
            raise invalid("driver", "a network of one host alone is a bridge, of scope local")
        if self.find(spec.annotations.name) is not None:
            raise SwarmError(
                Code.EXISTS, f"this host has a network {spec.annotations.name} already"
            )

    def bridge(self, used: Iterable[str]) -> Network:
        """The default bridge, made if it was not there."""
        there = self.networks.get(BRIDGE)
        if there is not None:
            return there
        spec = specs_pb2.NetworkSpec(driver=rules.BRIDGE, scope=rules.LOCAL)
        spec.annotations.name = BRIDGE
        return self._add(BRIDGE, spec, used)

    def remove(self, key: str) -> Network:
        """The network that is gone; NOT_FOUND, or REFUSED while somebody is in it."""
        network = self.find(key)
        if network is None or network.id == BRIDGE:
            raise SwarmError(
                Code.NOT_FOUND, f"there is no network {key!r} of this host that could be removed"
            )
        users = [each.name for each in self.endpoints.values() if each.network_id == network.id]
        if users:
            raise SwarmError(
                Code.REFUSED,
                f"network {network.spec.annotations.name} is in use",
                why=f"by {', '.join(users[:5])}",
                remedy="stop them, or disconnect them: swarmctl network disconnect",
            )
        return self.networks.pop(network.id)

    def give(self, network: Network, endpoint: Endpoint, asked: Iterable[str] = ()) -> list[Item]:
        """Puts somebody into the network, with the addresses asked for and others where none were;
        what the host is to be told. REFUSED or EXHAUSTED if they cannot be had.
        """
        wanted = list(asked)
        rules.check_asked("addresses", wanted, network.pools)
        made = Endpoint()
        made.CopyFrom(endpoint)
        made.network_id = network.id
        taken = set(self._taken(network.id))
        by_version = {ipaddress.ip_address(text).version: text for text in wanted}
        for version in sorted({rules.subnet_of(pool).version for pool in network.pools}):
            pools = [pool for pool in network.pools if rules.subnet_of(pool).version == version]
            made.addresses.append(_address(network, pools, taken, by_version.get(version, "")))
        self.endpoints[network.id, made.task_id] = made
        return [_told(network), made]

    def places(self, owner: str, network_id: str = "") -> list[Endpoint]:
        """What somebody has in one network, or in all."""
        return [
            each
            for each in self.endpoints.values()
            if each.task_id == owner and network_id in ("", each.network_id)
        ]

    def take_back(self, owner: str, network_id: str = "") -> list[Key]:
        """Who leaves one network, or all; what the host is to forget, networks nobody is in too."""
        keys = []
        for each in self.places(owner, network_id):
            del self.endpoints[each.network_id, owner]
            keys.append(key_of(each))
            if all(other.network_id != each.network_id for other in self.endpoints.values()):
                keys.append(key_of(_told(self.networks[each.network_id])))
        return keys

    def _taken(self, network_id: str) -> Iterator[str]:
        for each in self.endpoints.values():
            if each.network_id == network_id:
                yield from (address.partition("/")[0] for address in each.addresses)

    def _add(self, network_id: str, spec: specs_pb2.NetworkSpec, used: Iterable[str]) -> Network:
        network = Network(id=network_id, spec=spec)
        network.pools.extend(spec.pools)
        taken = [ipaddress.ip_network(text, strict=False) for text in used]
        taken += [rules.subnet_of(pool) for each in self.networks.values() for pool in each.pools]
        for pool in network.pools:
            _refuse_overlap(rules.subnet_of(pool), taken)
        versions = {rules.subnet_of(pool).version for pool in network.pools}
        if 4 not in versions:  # noqa: PLR2004 - the family
            network.pools.add(subnet=str(_free(_CANDIDATES, taken)))
        if spec.ipv6 and 6 not in versions:  # noqa: PLR2004
            network.pools.add(subnet=str(_free(_UNIQUE_LOCAL.subnets(new_prefix=_V6_SIZE), taken)))
        for pool in network.pools:
            if not pool.gateway:
                pool.gateway = _host(pool, set(pool.aux_addresses.values()))
        self.networks[network_id] = network
        return network


def _told(network: Network) -> network_pb2.NodeNetwork:
    return network_pb2.NodeNetwork(
        id=network.id,
        name=network.spec.annotations.name,
        driver=rules.BRIDGE,
        pools=network.pools,
        internal=network.spec.internal,
        mtu=rules.mtu_of(network.spec),
        attachable=True,
        driver_options=network.spec.driver_options,
        nameless=network.id == BRIDGE,
    )


def _refuse_overlap(subnet: IpNetwork, taken: Iterable[IpNetwork]) -> None:
    for other in taken:
        if rules.overlap(str(subnet), str(other)):
            raise SwarmError(
                Code.REFUSED,
                f"subnet {subnet} overlaps with {other}",
                why="this host reaches that already, or another network has it",
                remedy="choose another one, or leave out --subnet",
                field="pools",
            )


def _free(candidates: Iterable[IpNetwork], taken: list[IpNetwork]) -> IpNetwork:
    for candidate in candidates:
        if not any(rules.overlap(str(candidate), str(other)) for other in taken):
            return candidate
    raise SwarmError(
        Code.EXHAUSTED,
        "no subnet is free for a network of this host",
        why="all that could be chosen is reached otherwise",
        remedy="name one with --subnet",
    )


def _address(
    network: Network, pools: list[specs_pb2.IpamConfig], taken: set[str], asked: str
) -> str:
    """One that is free, with prefix length."""
    name = network.spec.annotations.name
    for pool in pools:
        subnet, never = rules.subnet_of(pool), {pool.gateway, *pool.aux_addresses.values()}
        if not asked:
            found = _host(pool, taken | never)
        elif ipaddress.ip_address(asked) in subnet:
            found = str(ipaddress.ip_address(asked))
            if found in taken | never:
                raise SwarmError(
                    Code.REFUSED, f"network {name}: {asked} cannot be had", why="somebody has it"
                )
        else:
            found = ""
        if found:
            return f"{found}/{subnet.prefixlen}"
    subnets = " and ".join(map(rules.handed_out, pools))
    raise SwarmError(Code.EXHAUSTED, f"network {name}: {subnets} has no free address")


def _host(pool: specs_pb2.IpamConfig, taken: set[str]) -> str:
    """The first host's address of the part that is handed out which is not taken, or nothing."""
    subnet = rules.subnet_of(pool)
    part = ipaddress.ip_network(pool.ip_range) if pool.ip_range else subnet
    ends = {subnet.network_address, subnet.broadcast_address}
    for address in part:
        if address not in ends and str(address) not in taken:
            return str(address)
    return ""
