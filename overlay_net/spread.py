"""Rules that spread new connections over addresses. Pure text, for balance and ingress alike.

Connections that exist are not touched by them: where those go stands in the kernel's connection
table.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from hashlib import blake2b
from typing import TypeVar

T = TypeVar("T")

FAMILIES = ("ip", "ip6")
STICKY_SLOTS = 256
STICKY_MOST = 64

_PROTOCOL = {"ip": "ipv4", "ip6": "ipv6"}
_SEED = "0x5eed"
_MIX = 0x9E3779B97F4A7C15
_WORD = (1 << 64) - 1


@dataclass(frozen=True, slots=True)
class Way:
    """How to spread: in turn, or by the client's address; to which port, if not the one that was
    asked for.

    `start`: which address is first. Rules that many hosts make must not all begin with the same
    one.
    """

    sticky: bool = False
    protocol: str = ""  # tcp, udp, sctp: of `port`
    port: int = 0
    start: int = 0


def rules(addresses: Iterable[str], way: Way, coming: Iterable[str] = FAMILIES) -> str:
    """A chain's rules. A family in which nobody has an address is refused at once, not left to
    wait. `coming`: families of those who are led to the chain at all.
    """
    families = by_family(addresses, coming)
    lines = [_line(family, found, way) for family, found in families.items() if found]
    if len(lines) < len(families):
        lines += ["meta l4proto tcp reject with tcp reset", "reject with icmpx port-unreachable"]
    return "".join(f"{line}\n" for line in lines)


def by_family(addresses: Iterable[str], coming: Iterable[str] = FAMILIES) -> dict[str, list[str]]:
    """Sorted, by family; those that come are all there, and no others."""
    families: dict[str, list[str]] = {family: [] for family in coming}
    for address in sorted(set(addresses)):
        if (found := families.get(family_of(address))) is not None:
            found.append(address)
    return families


def family_of(address: str) -> str:
    """nftables' word for it."""
    return "ip6" if ":" in address else "ip"


def turned(addresses: Sequence[T], start: int) -> Sequence[T]:
    """Beginning at another one."""
    first = start % len(addresses) if addresses else 0
    return [*addresses[first:], *addresses[:first]]


def _line(family: str, addresses: Sequence[str], way: Way) -> str:
    suffix = f" . {way.port}" if way.port else ""
    match = f"meta l4proto {way.protocol} " if way.port else ""
    chosen = _by_client(family, addresses) if way.sticky else _in_turn(addresses, way.start)
    entries = ", ".join(f"{slots} : {address}{suffix}" for slots, address in chosen.entries)
    choice = f"{chosen.number} map {{ {entries} }}"
    return f"meta nfproto {_PROTOCOL[family]} {match}dnat {family} to {choice}"


@dataclass(frozen=True, slots=True)
class _Choice:
    number: str  # the expression of nftables that yields a slot
    entries: list[tuple[str, str]]  # slot, or a range of them, and whose it is


def _in_turn(addresses: Sequence[str], start: int) -> _Choice:
    entries = [(str(slot), each) for slot, each in enumerate(turned(addresses, start))]
    return _Choice(f"numgen inc mod {len(entries)}", entries)


def _by_client(family: str, addresses: Sequence[str]) -> _Choice:
    """Slots go to addresses by rendezvous hashing, so that one that comes or goes moves only its
    own clients.

    Beyond STICKY_MOST addresses there would be too few slots for each: then a change may move any
    client.
    """
    if len(addresses) > STICKY_MOST:
        owners = list(addresses)
    else:
        keys = [(_key(address), address) for address in addresses]
        owners = [max(keys, key=lambda k: _weight(k[0], slot))[1] for slot in range(STICKY_SLOTS)]
    number = f"jhash {family} saddr mod {len(owners)} seed {_SEED}"
    return _Choice(number, [(str(slot), owner) for slot, owner in enumerate(owners)])


def _key(address: str) -> int:
    return int.from_bytes(blake2b(address.encode(), digest_size=8).digest())


def _weight(key: int, slot: int) -> int:
    """A number that both arguments scatter (the finalizer of MurmurHash3)."""
    mixed = key ^ ((slot + 1) * _MIX & _WORD)
    mixed = (mixed ^ mixed >> 33) * 0xFF51AFD7ED558CCD & _WORD
    mixed = (mixed ^ mixed >> 33) * 0xC4CEB9FE1A85EC53 & _WORD
    return mixed ^ mixed >> 33
