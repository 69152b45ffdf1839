"""Addresses that users give to `swarm init` and `swarm join`, made complete. Reads the host's own
addresses through netlink; changes nothing.
"""

import ipaddress
import socket

from pyroute2 import IPRoute

from api.errors import invalid

DEFAULT_PORT = 2377
DEFAULT_LISTEN = f"0.0.0.0:{DEFAULT_PORT}"


def split(field: str, text: str, default_port: int = DEFAULT_PORT) -> tuple[str, int]:
    """Host and port of `host`, `host:port`, `[v6]` or `[v6]:port`; INVALID with `field`."""
    host, port = text, str(default_port)
    if text.startswith("["):
        host, _, rest = text[1:].partition("]")
        port = rest.removeprefix(":") or port
    elif text.count(":") == 1:
        host, port = text.split(":")
    if not host or not port.isdigit() or not 0 < int(port) < 65535:  # noqa: PLR2004
        raise invalid(field, f"{text!r} is no address", remedy="use HOST or HOST:PORT")
    return host, int(port)


def join(host: str, port: int) -> str:
    """`host:port`, with brackets around an IPv6 address."""
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def advertised(text: str, listen: str) -> str:
    """The address that other nodes are told, as host:port.

    `text` is an address, the name of an interface, or empty: then the host's only global address.
    INVALID, naming the choices, where several addresses would do (as Docker refuses to guess).
    """
    field = "advertise_address"
    listen_host, port = split("listen_address", listen)
    if text:
        host, port = split(field, text, port)
        return join(_of_interface(field, host) or host, port)
    if not ipaddress.ip_address(listen_host).is_unspecified:
        return join(listen_host, port)
    candidates = sorted({address for _, address in host_addresses()})
    if len(candidates) == 1:
        return join(candidates[0], port)
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
