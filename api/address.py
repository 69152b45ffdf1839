"""Addresses of managers as users write them: `host`, `host:port`, `[v6]:port`.

Pure; resolves nothing.
"""

import ipaddress

from api.errors import SwarmError, invalid

CONTROL_PORT = 2377
"""Mutual TLS, for everything between nodes. The identity port is the next one."""
IDENTITY_PORT_OFFSET = 1
_HIGHEST_PORT = 65_535


def split_address(
    address: str, *, field: str = "managers", default_port: int = CONTROL_PORT
) -> tuple[str, int]:
    """Host (without brackets) and port; INVALID, blaming `field`, for anything else."""
    text = address.strip()
    host, port = text, ""
    if text.startswith("["):
        host, closed, rest = text[1:].partition("]")
        if not closed or (rest and not rest.startswith(":")):
            raise _malformed(field, address, default_port)
        port = rest.removeprefix(":")
    elif text.count(":") == 1:
        host, _, port = text.partition(":")
    elif ":" in text and not _is_v6(text):
        raise _malformed(field, address, default_port)
    if any(c.isspace() or c in "/@[]" for c in host) or not _may_be_asked_for(host):
        raise _malformed(field, address, default_port)
    if not port:
        return host, default_port
    if not port.isascii() or not port.isdigit() or not 0 < int(port) <= _HIGHEST_PORT:
        raise _malformed(field, address, default_port)
    return host, int(port)


def join_address(host: str, port: int) -> str:
    """`host:port`, with brackets around a v6 address."""
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def identity_address(address: str) -> str:
    """Where the manager whose control address this is hands out certificates."""
    host, port = split_address(address)
    if port == _HIGHEST_PORT:
        raise _malformed("managers", address, CONTROL_PORT)
    return join_address(host, port + IDENTITY_PORT_OFFSET)


def _may_be_asked_for(host: str) -> bool:
    """Whether a name server could be asked for it (RFC 1035, 2.3.4): Python's own way to it ends
    with a UnicodeError where not, as for 10.0..0.1.
    """
    try:
        return bool(host.encode("idna"))
    except UnicodeError:
        return False


def _is_v6(text: str) -> bool:
    try:
        return ipaddress.ip_address(text).version == 6  # noqa: PLR2004 - the name of a protocol
    except ValueError:
        return False


def _malformed(field: str, address: str, port: int) -> SwarmError:
    return invalid(
        field,
        f"{address!r} is no address",
        remedy=f"write it as host:port, as 10.0.0.1:{port}",
    )
