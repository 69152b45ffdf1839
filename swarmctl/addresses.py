"""Which address of this host other nodes are told. Reads the host's addresses through netlink, which
blocks and needs a thread without an event loop. Changes nothing.
"""

import ipaddress
import socket

from pyroute2 import IPRoute

from api.address import CONTROL_PORT, join_address, split_address
from api.errors import invalid

DEFAULT_LISTEN = f"0.0.0.0:{CONTROL_PORT}"


def advertised(text: str, listen: str) -> str:
    """The address that other nodes are told, as host:port.

    `text` is an address, the name of an interface, or empty: then the host's only global address.
    INVALID, naming the choices, where several addresses would do (as Docker refuses to guess).
    """
    field = "advertise_address"
    listen_host, port = split_address(listen, field="listen_address")
    if text:
        host, port = split_address(text, field=field, default_port=port)
        return join_address(_of_interface(field, host) or host, port)
    if not ipaddress.ip_address(listen_host).is_unspecified:
        return join_address(listen_host, port)
    candidates = sorted({address for _, address in host_addresses()})
    if len(candidates) == 1:
        return join_address(candidates[0], port)
    raise invalid(
        field,
        "this host has no address that others could use"
        if not candidates
        else "this host has several addresses",
        why=", ".join(candidates),
        remedy="choose one with --advertise-addr",
    )


def host_addresses() -> list[tuple[str, str]]:
    """(interface, address) of every global address of this host; IPv6 only where no IPv4 is."""
    with IPRoute() as netlink:
        names = {link["index"]: link.get_attr("IFLA_IFNAME") for link in netlink.get_links()}
        found = [
            (names.get(each["index"], ""), each.get_attr("IFA_ADDRESS"), each["family"])
            for each in netlink.get_addr()
        ]
    usable = [
        (name, address, family)
        for name, address, family in found
        if not (ip := ipaddress.ip_address(address)).is_loopback and not ip.is_link_local
    ]
    four = [(name, address) for name, address, family in usable if family == socket.AF_INET]
    return four or [(name, address) for name, address, _ in usable]


def _of_interface(field: str, name: str) -> str | None:
    matches = [address for interface, address in host_addresses() if interface == name]
    if len(matches) > 1:
        raise invalid(
            field,
            f"interface {name} has several addresses",
            why=", ".join(matches),
            remedy="give the address itself",
        )
    return matches[0] if matches else None
