"""The encryption of one host: makes it what it ought to be, and knows what it made. A thin shell.

It comes before the tunnels and goes after them: `prepare`, then the fabric, then `settle`. Nothing
of it ends with the daemon. Calls block, and must not come from two threads at once.
"""

import ipaddress
import logging
from dataclasses import dataclass

from api.errors import Code, SwarmError
from hostkit.netlink import Netlink
from overlay_net.encrypt import carriers
from overlay_net.encrypt.driver import Driver
from overlay_net.encrypt.ends import mtu_within
from overlay_net.encrypt.hands import Hands
from overlay_net.encrypt.key_ring import KeyRing
from overlay_net.encrypt.keys import KeyPair
from overlay_net.encrypt.operations import MakeDevice, WriteGuard
from overlay_net.encrypt.picture import Guard, Picture
from overlay_net.encrypt.plan import after, plan, widened
from overlay_net.encrypt.wanted import PORT, Told, Wish, wish
from overlay_net.fabric import observed
from overlay_net.fabric.networks import Ground
from overlay_net.nft import Nft

log = logging.getLogger(__name__)

DEVICE = "swarm-wg"
OWN_NAMESPACE = "/proc/self/ns/net"
_NOT_LOOKED = "nobody has looked yet by what it could"
_SMALLEST = 1280  # RFC 8200: below it a device has no IPv6


@dataclass(frozen=True)
class Options:
    """`device`: its name; `port`: where it listens; `host`: file of the host's network namespace;
    `group`: control group of wireguard-go, empty: the daemon's.
    """

    device: str = DEVICE
    port: int = PORT
    host: str = OWN_NAMESPACE
    group: str = ""


class Encryption:
    """Of one host, which may be able to or not; `missing` says."""

    def __init__(self, nft: Nft, ring: KeyRing, options: Options) -> None:
        self.options = options
        self._nft = nft
        self._ring = ring
        self._host: Netlink | None = None
        self._driver: Driver | None = None
        self._known: Picture | None = None
        self._written: Guard | None = None  # the last guard
        self._ground: Ground | None = None
        self._unreached: dict[str, str] = {}
        self._warned = False
        self.missing = _NOT_LOOKED
        """Why this host cannot encrypt; empty if it can."""

    @property
    def title(self) -> str:
        """What encrypts; empty if nothing does."""
        return "" if self._driver is None or self.missing else self._driver.title

    @property
    def public_key(self) -> bytes:
        """The one that others are to be told; empty if nothing encrypts."""
        return b"" if self.missing else self._ring.published

    @property
    def guarded(self) -> frozenset[int]:
        """The numbers of networks whose frames cannot be seen in clear."""
        known = self._known
        return frozenset() if known is None or known.guard is None else known.guard.vnis

    def open(self) -> None:
        """Finds out what this host can do; it may have changed. Never fails."""
        try:
            if self._driver is None:
                options = self.options
                self._driver = carriers.find(
                    self._socket(), options.host, options.device, options.group
                )
            self._ring.open()
            self.missing = ""
        except (OSError, SwarmError) as error:
            self.missing = str(error)

    def prepare(self, told: Told, *, look: bool = False) -> None:
        """Before the tunnels: what they need is there; nothing that may still be needed goes.

        `look`: believe the kernel, not the memory. SwarmError or OSError if it cannot be; `guarded`
        says which networks may be built all the same.
        """
        if not told.vnis and self._known == Picture() and not look:
            return
        known = self._look() if self._known is None or look else self._known
        made, own = self._wish(told)
        for node in made.unreached.keys() - self._unreached.keys():
            log.warning("no encrypted way to node %s: %s", node, made.unreached[node])
        self._unreached = made.unreached
        self._make(widened(made.picture, known), known, own)

    def settle(self, told: Told) -> None:
        """After them: what is needed no more goes. SwarmError or OSError if it cannot."""
        if self._known is not None:
            made, own = self._wish(told)
            self._make(made.picture, self._known, own)

    def rotate(self, round: int = 0) -> bool:
        """Makes another key if the present one is old, or of an earlier round; whether it did.
        OSError if it cannot.
        """
        return not self.missing and self._ring.rotate(round)

    def is_whole(self) -> bool:
        """Whether device and guard are there, if they are to be; SwarmError if nobody knows."""
        known = None if self._known is None else self._known.device
        if known is None or self._driver is None:
            return True
        found = self._driver.read()
        return found is not None and found.key == known.key and self._hands().has_guard()

    def remove(self) -> None:
        """Nothing of it is left on this host, nor its keys; the last call."""
        self.open()
        self._make(Picture(), self._look(), None)
        self._ring.forget()
        self.close()

    def close(self) -> None:
        """Lets go of the host, and changes nothing."""
        host, self._host, self._driver, self._known = self._host, None, None, None
        self.missing = _NOT_LOOKED
        if host is not None:
            host.close()

    # --- within -----------------------------------------------------------------------------

    def _socket(self) -> Netlink:
        if self._host is None:
            self._host = Netlink.inside(self.options.host)
        return self._host

    def _hands(self) -> Hands:
        options = self.options
        return Hands(self._socket(), options.host, options.device, self._nft, self._driver)

    def _look(self) -> Picture:
        self._ground = None
        return self._hands().look()

    def _wish(self, told: Told) -> tuple[Wish, KeyPair | None]:
        if not told.vnis:
            return Wish(Picture(), {}), None
        if self.missing:
            raise SwarmError(Code.REFUSED, "this node cannot encrypt", why=self.missing)
        own = self._ring.used(told.me.wireguard_key)
        options, mtu = self.options, self._mtu(told)
        made = wish(told, options.device, key=own.public, port=options.port, mtu=mtu)
        return made, own

    def _mtu(self, told: Told) -> int:
        """Of the device: what the underlay has room for, as of the last look."""
        address = told.me.data_path_address
        if self._ground is None or self._ground.data_path_address != address:
            self._ground = observed.ground(self._socket(), address, told.vxlan_port)
        mtu = mtu_within(self._ground.mtu, ipaddress.ip_address(address).version)
        if mtu < _SMALLEST:
            raise SwarmError(
                Code.REFUSED,
                "this node cannot encrypt",
                why=f"its underlay has room for packets of {mtu} bytes, and IPv6 needs {_SMALLEST}",
                remedy="raise the MTU of the interface that has the data-path address",
            )
        return mtu

    def _make(self, wished: Picture, known: Picture, own: KeyPair | None) -> None:
        self._known = known
        hands = self._hands()
        for operation in plan(wished, known):
            if isinstance(operation, MakeDevice):
                self._warn()
            hands.carry_out(operation, own)
            # A look does not know what the guard says, and writes it anew.
            is_old = isinstance(operation, WriteGuard) and operation.guard == self._written
            log.log(logging.DEBUG if is_old else logging.INFO, "encryption: %s", operation)
            if isinstance(operation, WriteGuard):
                self._written = operation.guard
            self._known = after(self._known, operation)
        self._known = wished

    def _warn(self) -> None:
        if self._driver is not None and self._driver.is_slow and not self._warned:
            self._warned = True
            log.warning(
                "networks are encrypted by %s, at a small part of the speed that they have in clear"
                " (a twentieth was measured); a kernel with the module wireguard is faster",
                self._driver.title,
            )
