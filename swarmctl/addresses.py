"""Which address of this host other nodes are told. Reads the host's addresses through netlink,
which blocks and needs a thread without an event loop. Changes nothing.
"""

import ipaddress
import socket
from collections.abc import Sequence

from api.address import CONTROL_PORT, join_address, split_address
from api.errors import SwarmError, invalid

DEFAULT_LISTEN = f"0.0.0.0:{CONTROL_PORT}"
_FIELD = "advertise_address"
_DATA_PATH = "data_path_address"
_FLAGS = {_FIELD: "--advertise-addr", _DATA_PATH: "--data-path-addr"}

Own = Sequence[tuple[str, str]]
"""(interface, address) of a host's global addresses."""


def advertised(text: str, listen: str) -> str:
    """The address of this host that other nodes are told; see `choose`."""
    return choose(text, listen, host_addresses())


def choose(text: str, listen: str, own: Own) -> str:
    """The address that other nodes are told, as host:port. Pure.

    `text` is an address, the name of an interface, or empty: then the host's only global address.
    INVALID, naming the choices, where several addresses would do (as Docker refuses to guess).
    """
    listen_host, port = split_address(listen, field="listen_address")
    if text:
        host, port = split_address(text, field=_FIELD, default_port=port)
        of_interface = sorted({address for name, address in own if name == host})
        if len(of_interface) > 1:
            raise _several(f"interface {host} has several addresses", of_interface)
        return join_address(of_interface[0] if of_interface else host, port)
    if not _is_unspecified(listen_host):
        return join_address(listen_host, port)
    candidates = sorted({address for _, address in own})
    if len(candidates) == 1:
        return join_address(candidates[0], port)
    if candidates:
        raise _several("this host has several addresses", candidates)
    raise invalid(
        _FIELD,
        "this host has no address that others could use",
        remedy="give it one, or name one with --advertise-addr",
    )


def data_path(text: str, own: Own) -> str:
    """The address at which this node's tunnels end: `text` is one, an interface's name, or empty.

    Pure. INVALID for what is neither, and for an interface with several addresses.
    """
    of_interface = sorted({address for name, address in own if name == text})
    if len(of_interface) > 1:
        raise _several(f"interface {text} has several addresses", of_interface, _DATA_PATH)
    address = of_interface[0] if of_interface else text
    try:
        return str(ipaddress.ip_address(address)) if address else ""
    except ValueError:
        raise invalid(
            _DATA_PATH,
            f"{text!r} is neither an address nor an interface with one",
            remedy="see: ip address",
        ) from None


def host_addresses() -> Own:
    """This host's global addresses; those of IPv6 only where there is none of IPv4."""
    # Needed once in a node's life, and 10 MB of modules.
    from pyroute2 import IPRoute  # noqa: PLC0415

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


def _is_unspecified(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_unspecified
    except ValueError:
        return False


def _several(what: str, addresses: Sequence[str], field: str = _FIELD) -> SwarmError:
    remedy = f"choose one with {_FLAGS[field]}"
    return invalid(field, what, why=", ".join(addresses), remedy=remedy)
