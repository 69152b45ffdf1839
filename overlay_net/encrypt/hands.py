"""Reads what the encryption of a host is, and carries out operations on it. Decides nothing."""

import contextlib
import functools
import ipaddress
import socket
import time
from collections.abc import Iterator
from pathlib import Path

from api.errors import Code, SwarmError
from hostkit import netns
from hostkit.netlink import Netlink, is_missing
from overlay_net import sysctls
from overlay_net.encrypt import guard, kernel, operations, route
from overlay_net.encrypt.driver import Change, Driver
from overlay_net.encrypt.ends import PREFIX
from overlay_net.encrypt.keys import KeyPair
from overlay_net.encrypt.operations import Operation
from overlay_net.encrypt.picture import Device, Guard, Picture
from overlay_net.fabric import addresses, links
from overlay_net.nft import Nft

FOLLOW = 0.1
"""Seconds for which a node with a new key may hear of it later than others, and nothing is lost:
managers gather what they tell for so long at most. Of what waits meanwhile WireGuard keeps 128
packets for each peer.
"""
_FORMER_GUARD = Guard("", 0, frozenset())
"""A table is there, of which nobody knows what it holds: it is written anew, or removed."""


class Hands:
    """`host`: a socket in the host's namespace, whose file is `path`; `device`: its name; `driver`:
    None if there is nothing to carry one.
    """

    def __init__(
        self, host: Netlink, path: str, device: str, nft: Nft, driver: Driver | None
    ) -> None:
        self._host = host
        self._path = Path(path)
        self._device = device
        self._nft = nft
        self._driver = driver

    def look(self) -> Picture:
        """What is there. A device that has no key yet, or does not answer, is none."""
        barred = any(map(route.is_bar, self._host.dump(addresses.ask_routes())))
        there = _FORMER_GUARD if self.has_guard() else None
        found = self._driver.read() if self._driver is not None else None
        link = self._link()
        if found is None or link is None:
            return Picture(barred=barred, guard=there, remains=link is not None)
        given = [each for each in self._given(link.index) if _is_end(each)]
        address = given[0].partition("/")[0] if len(given) == 1 else ""
        device = Device(found.key, found.port, address, link.mtu, link.up)
        return Picture(device, found.peers, barred, there)

    def has_guard(self) -> bool:
        """Whether the packet filter's table is there, whatever it says."""
        tables = self._nft.ask(self._path, "list tables inet")
        return any(each.get("table", {}).get("name") == guard.TABLE for each in tables)

    @functools.singledispatchmethod
    def carry_out(self, operation: Operation, own: KeyPair | None) -> None:
        """OSError or SwarmError if it failed. `own`: the pair of the key that is to be used."""
        raise TypeError(f"{operation!r} is no operation")

    @carry_out.register
    def _(self, operation: operations.WriteGuard, own: KeyPair | None) -> None:
        self._nft.run(self._path, guard.text(operation.guard))

    @carry_out.register
    def _(self, operation: operations.Bar, own: KeyPair | None) -> None:
        if operation.barred:
            self._host.ask(route.put_bar())
            return
        with _missing_is_fine():
            self._host.ask(route.drop_bar())

    @carry_out.register
    def _(self, operation: operations.MakeDevice, own: KeyPair | None) -> None:
        carrier = self._carrier()
        kernel.delete(self._host, self._device)
        carrier.clear()
        netns.call_in(self._path, lambda: _check_free(operation.port))
        carrier.make()

    @carry_out.register
    def _(self, operation: operations.SetKey, own: KeyPair | None) -> None:
        self._carrier().configure(Change(own=own, port=operation.device.port))

    @carry_out.register
    def _(self, operation: operations.SetDevice, own: KeyPair | None) -> None:
        it = operation.device
        link = links.read_link(self._host.get(links.ask_link(self._device)))
        conf = f"ipv6/conf/{self._device}"
        sysctls.apply(self._path, {f"{conf}/disable_ipv6": "0", f"{conf}/accept_ra": "0"})
        wished = f"{it.address}/{PREFIX.prefixlen}"
        for extra in self._given(link.index):
            if extra != wished:
                with _missing_is_fine():
                    self._host.ask(addresses.drop_address(link.index, extra))
        self._host.ask(links.set_mtu(link.index, it.mtu))
        self._host.ask(*links.bring_up(link.index, link_local=False))
        self._host.ask(addresses.put_address(link.index, wished))

    @carry_out.register
    def _(self, operation: operations.LetGoFirst, own: KeyPair | None) -> None:
        time.sleep(FOLLOW)

    @carry_out.register
    def _(self, operation: operations.SetPeers, own: KeyPair | None) -> None:
        self._carrier().configure(
            Change(put=operation.put, drop=operation.drop, wake=operation.wake)
        )

    @carry_out.register
    def _(self, operation: operations.RemoveDevice, own: KeyPair | None) -> None:
        kernel.delete(self._host, self._device)
        if self._driver is not None:
            self._driver.clear()

    def _carrier(self) -> Driver:
        assert self._driver is not None  # noqa: S101 - nothing is wished of a host that has none
        return self._driver

    def _link(self) -> links.Link | None:
        try:
            return links.read_link(self._host.get(links.ask_link(self._device)))
        except OSError as error:
            if is_missing(error):
                return None
            raise

    def _given(self, index: int) -> list[str]:
        found = map(addresses.read_address, self._host.dump(addresses.ask_addresses()))
        return [each[1] for each in found if each is not None and each[0] == index]


def _check_free(port: int) -> None:
    """REFUSED if somebody has this UDP port. wireguard-go would not say so."""
    family = socket.AF_INET6 if socket.has_dualstack_ipv6() else socket.AF_INET
    with socket.socket(family, socket.SOCK_DGRAM) as probe:
        try:
            probe.bind(("", port))
        except OSError as error:
            raise SwarmError(
                Code.REFUSED,
                f"this node cannot listen on port {port}/udp for encrypted networks",
                why=error.strerror or str(error),
                remedy=f"find who does: ss -ulpn sport = :{port}; or give swarmd --wireguard-port",
            ) from error


def _is_end(address: str) -> bool:
    return ipaddress.ip_interface(address).ip in PREFIX


@contextlib.contextmanager
def _missing_is_fine() -> Iterator[None]:
    try:
        yield
    except OSError as error:
        if not is_missing(error):
            raise
