"""TCP to an SSH server; whatever stands in the way is named within seconds."""

import contextlib
import errno
import socket

from api.errors import Code, SwarmError

_REMEDIES = {
    errno.ECONNREFUSED: "start its SSH server (systemctl start ssh), or name the port it is on",
    errno.EHOSTUNREACH: "look whether the host is up and the address is right",
    errno.ENETUNREACH: "this machine has no route there: look at the address and at `ip route`",
}
_SILENT = "look whether the host is up, the address is right, and no firewall drops the port"


def dial(host: str, port: int, timeout: float) -> socket.socket:
    """A connection to the first of its addresses that answers, each within `timeout` seconds."""
    failures: list[OSError] = []
    for family, address in _addresses(host, port):
        caller = socket.socket(family, socket.SOCK_STREAM)
        try:
            caller.settimeout(timeout)
            caller.connect(address)
        except OSError as error:
            caller.close()
            failures.append(error)
        else:
            with contextlib.suppress(OSError):
                caller.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            return caller
    raise _unreachable(host, port, timeout, failures[-1])


def _addresses(host: str, port: int) -> list[tuple[int, tuple[object, ...]]]:
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except (socket.gaierror, UnicodeError) as error:
        raise SwarmError(
            Code.UNAVAILABLE,
            f"cannot reach {host}",
            why=f"its name leads to no address: {getattr(error, 'strerror', None) or error}",
            remedy="look at the name, or give the IP address",
        ) from None
    return [(family, address) for family, _, _, _, address in found]


def _unreachable(host: str, port: int, timeout: float, error: OSError) -> SwarmError:
    silent = isinstance(error, TimeoutError)
    return SwarmError(
        Code.UNAVAILABLE,
        f"cannot reach port {port} of {host}",
        why=f"no answer within {timeout:g} s" if silent else str(error.strerror or error).lower(),
        remedy=_REMEDIES.get(error.errno or 0, _SILENT),
    )
