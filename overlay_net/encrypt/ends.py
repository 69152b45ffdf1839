"""Where encrypted tunnels end: an address that follows from the node's id. Pure.

Nobody allots it, and nobody can claim another's: a node's id is what its certificate says, and a
peer that names another address than its own is not believed. It means something inside of the
WireGuard devices alone, so all swarms share the prefix.
"""

import hashlib
import ipaddress

from api.v1 import network_pb2

PREFIX = ipaddress.IPv6Network("fd53:7761:726d::/48")
"""Locally assigned (RFC 4193); its 40 bits spell "Swarm"."""
KEY_BYTES = 32
OVERHEAD = {4: 60, 6: 80}
"""What WireGuard adds, by the IP version of the underlay: IP, UDP, its header and its tag."""


def address_of(node_id: str) -> str:
    """The tunnel end of a node: 80 bits of a digest of its id under the prefix."""
    digest = hashlib.sha256(node_id.encode()).digest()[:10]
    return str(ipaddress.IPv6Address(PREFIX.network_address.packed[:6] + digest))


def end_of(peer: network_pb2.NetworkPeer) -> str:
    """Where a node's encrypted tunnels end; empty if nothing is to be sent there."""
    return "" if trouble_of(peer) else peer.wireguard_address


def trouble_of(peer: network_pb2.NetworkPeer) -> str:
    """Why there is no encrypted way to a node; empty if there is one."""
    if not peer.wireguard_key:
        return "it has no key: it cannot encrypt, as node inspect says there"
    if len(peer.wireguard_key) != KEY_BYTES:
        return "its key is none"
    if peer.wireguard_address != address_of(peer.node_id):
        return f"it claims {peer.wireguard_address or 'no address'}, which is not its own"
    return ""


def mtu_within(underlay: int, version: int) -> int:
    """The largest packet that WireGuard can carry over an underlay of this MTU and IP version."""
    return underlay - OVERHEAD[version]
