"""Cuts in a lab's network: one host from all others, or two hosts from one another.

Frames are dropped at the bridge, by rules in the lab's own namespace: at once, in silence (no
carrier is lost, nobody is told), where nothing inside a host can see or undo them. Every frame is
dropped, ARP as well, as if a switch had failed. Matching by port needs no more of the kernel than
nf_tables for bridges. A host may also be cut one way: it is mute, or deaf. Rules outlive a host's
restart; host.py ends those of the host itself.
"""

import enum
import json
from dataclasses import dataclass

from hostkit import netns, process
from machine.drivers.lab import naming

_TABLE = """\
table bridge lab {
  set alone { type ifname; }
  set mute { type ifname; }
  set deaf { type ifname; }
  set parted { type ifname . ifname; }
  chain prerouting {
    type filter hook prerouting priority 0; policy accept;
    iifname @alone drop;
    iifname @mute drop;
  }
  chain forward {
    type filter hook forward priority 0; policy accept;
    iifname . oifname @parted drop;
  }
  chain postrouting {
    type filter hook postrouting priority 0; policy accept;
    oifname @alone drop;
    oifname @deaf drop;
  }
}
"""
_TIMEOUT = 10.0

Pair = tuple[str, str]


class Way(enum.Enum):
    """Which frames of a host are dropped; the value is the set of nft that does it."""

    BOTH = "alone"
    OUT = "mute"  # what it says
    IN = "deaf"  # what it is told


@dataclass(frozen=True)
class Cuts:
    """All cuts of a lab; the hosts of a pair are in order of names."""

    alone: frozenset[str] = frozenset()
    parted: frozenset[Pair] = frozenset()
    mute: frozenset[str] = frozenset()
    deaf: frozenset[str] = frozenset()

    @property
    def any_way(self) -> frozenset[str]:
        """The hosts whose link is cut, be it one way."""
        return self.alone | self.mute | self.deaf


async def cut(lab: str, host: str, way: Way = Way.BOTH) -> None:
    """Keep a host from all others, and from the forwarder; one way or both."""
    await _add(lab, way.value, f'"{host}"')


async def mend(lab: str, host: str) -> None:
    """End every `cut`; no error if there is none. Partitions stay."""
    now = await current(lab)
    found = {Way.BOTH: now.alone, Way.OUT: now.mute, Way.IN: now.deaf}
    ended = [way for way, hosts in found.items() if host in hosts]
    if ended:
        lines = (f'delete element bridge lab {way.value} {{ "{host}" }}\n' for way in ended)
        await _nft(lab, "".join(lines))


async def part(lab: str, first: str, second: str) -> None:
    """Keep two hosts from one another; all others reach both."""
    await _add(lab, "parted", _both_ways([(first, second)]))


async def rejoin(lab: str, host: str = "", other: str = "") -> None:
    """End every partition of `host`, only that from `other` if given, or all without a host."""
    wanted = {each for each in (host, other) if each}
    ended = [pair for pair in (await current(lab)).parted if wanted <= set(pair)]
    if ended:
        await _nft(lab, f"delete element bridge lab parted {{ {_both_ways(ended)} }}\n")


async def current(lab: str) -> Cuts:
    """What is cut now; nothing if the lab has no network."""
    if not netns.exists(naming.bridge_namespace(lab)):
        return Cuts()
    listing = await process.run(_argv(lab, ["-j", "list", "ruleset"]), timeout=_TIMEOUT)
    return parse(listing.text)


def parse(ruleset: str) -> Cuts:
    """The cuts in what `nft -j list ruleset` says."""
    sets = [each["set"] for each in json.loads(ruleset)["nftables"] if "set" in each]
    elements = {each["name"]: each.get("elem", []) for each in sets}
    pairs = (sorted(each["concat"]) for each in elements.get("parted", []))
    return Cuts(
        parted=frozenset((first, second) for first, second in pairs),
        **{way.value: frozenset(elements.get(way.value, [])) for way in Way},
    )


async def _add(lab: str, name: str, elements: str) -> None:
    """One transaction; the table, and elements that are there already, are no error to nft."""
    await _nft(lab, f"{_declaration()}add element bridge lab {name} {{ {elements} }}\n")


def _declaration() -> str:
    """The table, if it is not there; chains are emptied first, else their rules would pile up."""
    chains = ("prerouting", "forward", "postrouting")
    flushes = "".join(f"flush chain bridge lab {chain}\n" for chain in chains)
    return f"{_TABLE}{flushes}{_TABLE}"


def _both_ways(wanted: list[Pair]) -> str:
    both = [*wanted, *((second, first) for first, second in wanted)]
    return ", ".join(f'"{a}" . "{b}"' for a, b in both)


async def _nft(lab: str, script: str) -> None:
    await process.run(_argv(lab, ["-f", "-"]), timeout=_TIMEOUT, input=script.encode())


def _argv(lab: str, arguments: list[str]) -> list[str]:
    namespace = netns.path(naming.bridge_namespace(lab))
    return ["nsenter", f"--net={namespace}", "nft", *arguments]
