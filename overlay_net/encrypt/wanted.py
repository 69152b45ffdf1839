"""What the encryption of this host ought to be, from what the managers tell. Pure."""

import ipaddress
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

from api.v1 import network_pb2
from overlay_net.encrypt.ends import address_of, trouble_of
from overlay_net.encrypt.picture import Device, Guard, Peer, Picture

PORT = 51820
"""WireGuard's, by custom; a peer that names none has this one."""


@dataclass(frozen=True)
class Told:
    """What the managers tell of encrypted networks: their numbers, the port of VXLAN, this node,
    and the nodes that are in one of them with it.
    """

    vnis: frozenset[int]
    vxlan_port: int
    me: network_pb2.NetworkPeer
    others: tuple[network_pb2.NetworkPeer, ...] = ()


@dataclass(frozen=True)
class Wish:
    """`unreached`: nodes to which there is no encrypted way, and why, by id."""

    picture: Picture
    unreached: dict[str, str]


def wish(told: Told, device: str, *, key: bytes, port: int, mtu: int) -> Wish:
    """`device`: its name, `key`: the public one that it is to use, `port`: where it is to listen,
    `mtu`: of the largest packet that it can carry. Without encrypted networks nothing is wanted.
    """
    if not told.vnis:
        return Wish(Picture(), {})
    unreached = _unreached(told)
    peers = {
        each.wireguard_key: Peer(
            each.wireguard_key,
            (str(ipaddress.ip_address(each.data_path_address)), each.wireguard_port or PORT),
            each.wireguard_address,
        )
        for each in told.others
        if each.node_id not in unreached
    }
    picture = Picture(
        device=Device(key, port, address_of(told.me.node_id), mtu),
        peers=peers,
        barred=True,
        guard=Guard(device, told.vxlan_port, told.vnis),
    )
    return Wish(picture, unreached)


def _unreached(told: Told) -> dict[str, str]:
    keys = Counter(each.wireguard_key for each in (*told.others, told.me))
    ends = Counter(each.wireguard_address for each in (*told.others, told.me))
    return {each.node_id: why for each in told.others if (why := _why(each, keys, ends))}


def _why(peer: network_pb2.NetworkPeer, keys: Counter[bytes], ends: Counter[str]) -> str:
    if why := trouble_of(peer):
        return why
    if keys[peer.wireguard_key] > 1:
        return "another node has the same key"
    if ends[peer.wireguard_address] > 1:
        return "another node has the same address"
    return ""


def nodes_of(
    networks: Iterable[network_pb2.NodeNetwork],
    endpoints: Iterable[network_pb2.NetworkEndpoint],
    peers: Iterable[network_pb2.NetworkPeer],
) -> frozenset[str]:
    """Ids of the nodes that are in one of these networks: by a task, or by themselves in the
    ingress network.
    """
    found = {each.node_id for each in endpoints}
    if any(each.ingress for each in networks):
        found.update(each.node_id for each in peers if each.ingress_addresses)
    return frozenset(found)
