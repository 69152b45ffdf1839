"""Where this host listens, and which of its addresses other nodes are told. Reads the host's
addresses through netlink, which blocks for a moment. Changes nothing.
"""

import ipaddress
from collections.abc import Iterable, Iterator, Mapping, Sequence

from api.address import CONTROL_PORT, join_address, split_address
from api.errors import SwarmError, invalid
from hostkit.netlink import ROUTE, Netlink, open_socket
from overlay_net.fabric import links
from overlay_net.fabric.addresses import ask_addresses, read_address
from overlay_net.fabric.hardware import BRIDGE_PREFIX

DEFAULT_LISTEN = f"0.0.0.0:{CONTROL_PORT}"
_ADVERTISE = ("advertise_address", "--advertise-addr")
_LISTEN = ("listen_address", "--listen-addr")
_DATA_PATH = ("data_path_address", "--data-path-addr")
"""A field of requests, and the flag that people know."""

Own = Mapping[str, Sequence[str]]
"""The addresses of each interface of a host, without link-local ones."""


def addresses(advertise: str, listen: str) -> tuple[str, str]:
    """What other nodes are told, and where this host listens, each host:port; see `choose`."""
    return choose(advertise, listen, host_addresses())


def choose(advertise: str, listen: str, own: Own) -> tuple[str, str]:
    """The address that other nodes are told, and the one to listen on, as host:port. Pure.

    Both may name an interface. Without `advertise` it is the host's only address that others can
    reach; those of our own bridges, which local containers have, are none. INVALID, naming the
    choices, where several would do (as Docker refuses to guess), and for an address that stands for
    all of a host's, which each host takes for its own.
    """
    listen_host, port = _resolved(listen, CONTROL_PORT, own, *_LISTEN)
    listening = join_address(listen_host, port)
    if advertise:
        host, port = _resolved(advertise, port, own, *_ADVERTISE)
        _refuse_unspecified(host, *_ADVERTISE)
        return join_address(host, port), listening
    if not _is_unspecified(listen_host):
        return listening, listening
    field, flag = _ADVERTISE
    four, six = _families(_reachable(own))
    candidates = four or six
    if len(candidates) == 1:
        return join_address(candidates[0], port), listening
    if candidates:
        raise _several(field, flag, "this host has several addresses", candidates)
    raise invalid(
        field,
        "this host has no address that others could use",
        remedy=f"give it one, or name one with {flag}",
    )


def _resolved(text: str, default_port: int, own: Own, field: str, flag: str) -> tuple[str, int]:
    """Host and port; of an interface its address, by Docker's rules: IPv4 before IPv6."""
    host, port = split_address(text, field=field, default_port=default_port)
    if host not in own:
        return host, port
    return _of_interface(own[host], host, field, flag), port


def _of_interface(its: Sequence[str], name: str, field: str, flag: str) -> str:
    """An interface's address, by Docker's rules: IPv4 before IPv6."""
    four, six = _families(its)
    if max(len(four), len(six)) > 1:
        raise _several(field, flag, f"interface {name} has several addresses", four + six)
    if not four and not six:
        raise invalid(
            field,
            f"interface {name} has no address",
            remedy=f"give it one, or name an address with {flag}",
        )
    return (four or six)[0]


def data_path(text: str, own: Own) -> str:
    """The address at which this node's tunnels end: `text` is one, an interface's name, or empty.

    Pure. INVALID for what is neither, for an interface with several addresses, and for 0.0.0.0.
    """
    if not text:
        return ""
    address = _of_interface(own[text], text, *_DATA_PATH) if text in own else text
    try:
        found = str(ipaddress.ip_address(address))
    except ValueError:
        raise invalid(
            _DATA_PATH[0],
            f"{text!r} is neither an address nor an interface with one",
            remedy="see: ip address",
        ) from None
    _refuse_unspecified(found, *_DATA_PATH)
    return found


def host_addresses() -> Own:
    """The addresses of this host."""
    with Netlink(open_socket(ROUTE)) as netlink:
        found = map(links.read_link, netlink.dump(links.ask_links()))
        names = {link.index: link.name for link in found}
        own: dict[str, list[str]] = {name: [] for name in names.values()}
        for each in filter(None, map(read_address, netlink.dump(ask_addresses()))):
            index, text = each
            address = ipaddress.ip_interface(text).ip
            if not address.is_link_local:
                own.setdefault(names.get(index, ""), []).append(str(address))
    return own


def _families(found: Iterable[str]) -> tuple[list[str], list[str]]:
    """Addresses of IPv4 and of IPv6, each once."""
    each = sorted(set(found))
    return [a for a in each if ":" not in a], [a for a in each if ":" in a]


def _is_unspecified(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_unspecified
    except ValueError:
        return False


def _reachable(own: Own) -> Iterator[str]:
    for name, found in own.items():
        if not name.startswith(BRIDGE_PREFIX):
            yield from (each for each in found if not ipaddress.ip_address(each).is_loopback)


def _refuse_unspecified(host: str, field: str, flag: str) -> None:
    if _is_unspecified(host):
        raise invalid(
            field,
            f"other nodes cannot reach this one at {host}",
            why="it stands for every address of the host that reads it",
            remedy=f"name one address of this host, or an interface, with {flag}",
        )


def _several(field: str, flag: str, what: str, found: Sequence[str]) -> SwarmError:
    return invalid(field, what, why=", ".join(found), remedy=f"choose one with {flag}")
