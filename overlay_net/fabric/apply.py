"""Carries out operations over netlink, one at a time, and decides nothing.

What is to be removed and is not there any more is no failure.
"""

import contextlib
import errno
import functools
import os
import time
from collections.abc import Callable, Collection, Iterator

from api.errors import Code, SwarmError
from hostkit.netlink import Netlink, is_missing
from hostkit.netlink_message import Message
from overlay_net.fabric import addresses, bulk, links, operations
from overlay_net.fabric.hardware import port_name
from overlay_net.fabric.operations import Operation
from overlay_net.fabric.picture import Leg, LegKey, On

Filter = Callable[[str], None]
"""Runs commands of nft in the host's namespace, as one transaction."""

_SOCKETS_KEPT = 64
_STEP = 0.002
_STEPS = 500


class Hands:
    """Works with the host's and the fabric's sockets, and opens those of sandboxes when needed.

    A context manager: afterwards no sandbox is held on to.
    """

    def __init__(self, host: Netlink, fabric: Netlink, fabric_handle: int, filter: Filter) -> None:
        self._host = host
        self._fabric = fabric
        self._fabric_handle = fabric_handle
        self._filter = filter
        self._sandboxes: dict[str, Netlink] = {}

    def __enter__(self) -> "Hands":
        return self

    def __exit__(self, *ignored: object) -> None:
        for socket in self._sandboxes.values():
            socket.close()
        self._sandboxes.clear()

    @functools.singledispatchmethod
    def carry_out(self, operation: Operation) -> None:
        """OSError or SwarmError if it failed."""
        raise TypeError(f"{operation!r} is no operation")

    @carry_out.register
    def _(self, operation: operations.MakeTunnel) -> None:
        it = operation.tunnel
        self._host.ask(
            links.make_tunnel(it.name, it.vni, it.local, it.port, it.mtu, self._fabric_handle)
        )
        _bring_up(self._fabric, _index(self._fabric, it.name), link_local=False)

    @carry_out.register
    def _(self, operation: operations.SetTunnel) -> None:
        index = _index(self._fabric, operation.tunnel.name)
        self._fabric.ask(links.set_mtu(index, operation.tunnel.mtu))
        _bring_up(self._fabric, index, link_local=False)

    @carry_out.register
    def _(self, operation: operations.RemoveTunnel) -> None:
        _remove(self._fabric, operation.name)

    @carry_out.register
    def _(self, operation: operations.MakeBridge) -> None:
        it = operation.bridge
        self._host.ask(links.make_bridge(it.name, it.mtu))
        _equip(self._host, it.name, it.addresses)

    @carry_out.register
    def _(self, operation: operations.SetBridge) -> None:
        it = operation.bridge
        self._host.ask(links.set_mtu(_index(self._host, it.name), it.mtu))
        _equip(self._host, it.name, it.addresses, operation.extra)

    @carry_out.register
    def _(self, operation: operations.RemoveDevice) -> None:
        _remove(self._host, operation.name)

    @carry_out.register
    def _(self, operation: operations.MakeLeg) -> None:
        key, leg = operation.key, operation.leg
        inside = self._inside(key.sandbox)
        handle = os.open(key.sandbox, os.O_RDONLY | os.O_CLOEXEC)
        try:
            self._make_device(key, leg, handle)
        finally:
            os.close(handle)
        _equip(inside, leg.name, leg.addresses)
        if leg.on is On.BRIDGE:
            port = links.ask_link(port_name(key.sandbox, key.mac))
            # Since Linux 6.8 the question itself makes the bridge notice that both ends are up.
            _await(lambda: links.read_link(self._host.get(port)).forwarding)

    @carry_out.register
    def _(self, operation: operations.SetLeg) -> None:
        key, leg = operation.key, operation.leg
        inside = self._inside(key.sandbox)
        if leg.on is On.BRIDGE:
            port = _index(self._host, port_name(key.sandbox, key.mac))
            self._host.ask(links.set_mtu(port, leg.mtu))
            self._set_port(port, leg)
        inside.ask(links.set_mtu(_index(inside, leg.name), leg.mtu))
        _equip(inside, leg.name, leg.addresses, operation.extra)

    @carry_out.register
    def _(self, operation: operations.RemoveLeg) -> None:
        with _missing_is_fine():
            _remove(self._inside(operation.key.sandbox), operation.leg.name)

    @carry_out.register
    def _(self, operation: operations.SetRoute) -> None:
        self._inside(operation.sandbox).ask(addresses.put_default(operation.gateway))

    @carry_out.register
    def _(self, operation: operations.RemoveRoute) -> None:
        with _missing_is_fine():
            self._inside(operation.sandbox).ask(addresses.drop_default(operation.gateway))

    @carry_out.register
    def _(self, operation: operations.PutEntries) -> None:
        index = _index(self._fabric, operation.tunnel)
        self._all(list(bulk.put(index, operation.entries)))

    @carry_out.register
    def _(self, operation: operations.DropEntries) -> None:
        index = _index(self._fabric, operation.tunnel)
        self._all(list(bulk.drop(index, operation.entries)), missing_is_fine=True)

    @carry_out.register
    def _(self, operation: operations.WriteRules) -> None:
        self._filter(operation.text)

    def _make_device(self, key: LegKey, leg: Leg, sandbox: int) -> None:
        if leg.on is On.BRIDGE:
            port = port_name(key.sandbox, key.mac)
            bridge = _index(self._host, leg.parent)
            self._host.ask(links.make_pair(port, bridge, leg.name, key.mac, leg.mtu, sandbox))
            self._set_port(_index(self._host, port), leg)
            return
        below = self._fabric if leg.on is On.TUNNEL else self._host
        lower = _index(below, leg.parent)
        below.ask(links.make_macvlan(leg.name, lower, key.mac, leg.mtu, sandbox))

    def _set_port(self, port: int, leg: Leg) -> None:
        self._host.ask(links.set_port(port, leg.isolated))
        _bring_up(self._host, port, link_local=False)

    def _inside(self, sandbox: str) -> Netlink:
        found = self._sandboxes.get(sandbox)
        if found is None:
            if len(self._sandboxes) >= _SOCKETS_KEPT:
                self.__exit__()
            found = self._sandboxes[sandbox] = Netlink.inside(sandbox)
        return found

    def _all(self, messages: list[Message], *, missing_is_fine: bool = False) -> None:
        """All entries, whatever becomes of one; OSError for the first that was refused."""
        for refusal in self._fabric.send(messages):
            if not (missing_is_fine and is_missing(refusal.error())):
                raise refusal.error()


def _equip(
    socket: Netlink, name: str, wanted: Collection[str], extra: Collection[str] = ()
) -> None:
    """A device's addresses, and up. IPv6 it has only if it is given some of it."""
    index = _index(socket, name)
    six = any(":" in address for address in wanted)
    with _missing_is_fine():
        socket.ask(*(addresses.drop_address(index, address) for address in extra))
    _bring_up(socket, index, link_local=six)
    socket.ask(*(addresses.put_address(index, address) for address in sorted(wanted)))
    for address in wanted:
        if ":" in address:
            _await(functools.partial(_is_own, socket, address))


def _bring_up(socket: Netlink, index: int, *, link_local: bool) -> None:
    """Up. A device may have no IPv6 at all: the kernel has none, or its frames are too small."""
    for refusal in socket.send(links.bring_up(index, link_local=link_local)):
        if refusal.number != errno.EAFNOSUPPORT:
            raise refusal.error()


def _is_own(socket: Netlink, address: str) -> bool:
    """Whether what is sent to an address is taken: that begins a little after it was given."""
    try:
        return addresses.is_own(socket.get(addresses.ask_route_to(address)))
    except OSError:  # there is no way to it at all yet
        return False


def _await(done: Callable[[], bool]) -> None:
    """Until the kernel has done what it does a little later, lest the first frame be lost, which
    costs whoever sent it a second. After as long it is not waited for.
    """
    for _ in range(_STEPS):
        if done():
            return
        time.sleep(_STEP)


def _index(socket: Netlink, name: str) -> int:
    return links.read_index(socket.get(links.ask_link(name)))


def _remove(socket: Netlink, name: str) -> None:
    with _missing_is_fine():
        socket.ask(links.delete_link(_index(socket, name)))


@contextlib.contextmanager
def _missing_is_fine() -> Iterator[None]:
    try:
        yield
    except OSError as error:
        if not is_missing(error):
            raise
    except SwarmError as error:
        if error.code is not Code.NOT_FOUND:
            raise
