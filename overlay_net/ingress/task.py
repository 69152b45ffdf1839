"""A published task's side: each answer leaves by the node that its connection came by. Pure.

Nobody translates the client's address, so the task's routes would send answers elsewhere, where
nobody knows the connection. Instead (numbers stand for nodes):

- `zoning` keeps the connections of each node apart: one client may come to this task through two
  nodes with the same address and port. Where two such meet in the task, the kernel changes the
  port, the address stays; it does so in every namespace that has a chain of type nat.
- `marking` remembers the node with the connection, `reroute` gives it to answers, a routing rule
  sends those out of the leg, and `egress` addresses the frames to that node.
- `source` is that chain: a UDP server that is bound to any address answers from that of its
  default route, so that is the one it has to be asked at.
- `unknown` drops what a node sends that this task was not told of yet: the client tries again,
where
  an answer by another way would break its connection.
- `refuse`: a task without another way out has the leg as its default route, for answers alone.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from overlay_net.ruleset import Base, Content

MARK = 0x4000_0000
TABLE = 4096  # of routes
MARKED_PRIORITY, LAST_PRIORITY = 100, 33_000  # of rules; the main table's is 32766
GATEWAYS = ("169.254.255.254", "fe80::42")  # nobody has them: their frames go to a node
GATEWAY_MAC = "02:42:a9:fe:ff:fe"

_MOST_NODES = 0xFFFF  # zones have 16 bits, and 0 is for everything else


@dataclass(frozen=True, slots=True)
class Task:
    """A published task. `leg`: its device in the ingress network, with that network's subnets.

    `sources`: the addresses from which it reaches the world otherwise, at most one per family.
    """

    namespace: Path
    leg: str
    pools: tuple[str, ...]
    sources: tuple[str, ...] = ()


def numbers(macs: Iterable[str], held: Mapping[str, int]) -> Mapping[str, int]:
    """A number of 1 to 65535 for each node's hardware address. Whoever has one keeps it.

    Others get the last two bytes of their address if it is free, so that tasks mostly agree.
    """
    nodes = sorted(set(macs))[:_MOST_NODES]
    given = {mac: held[mac] for mac in nodes if mac in held}
    taken = set(given.values())
    for mac in nodes:
        if mac in given:
            continue
        number = int(mac[-5:].replace(":", ""), 16)
        while number in taken or number == 0:
            number = number % _MOST_NODES + 1
        given[mac] = number
        taken.add(number)
    return given


def base(task: Task) -> Base:
    """The table of the task's connections."""
    inside = {
        family: ", ".join(pool for pool in task.pools if _family(pool) == family)
        for family in sorted({_family(pool) for pool in task.pools})
    }
    sources = {_family(address): address for address in task.sources}
    body = _BODY.format(
        leg=task.leg,
        mark=MARK,
        unknown="".join(_UNKNOWN.format(leg=task.leg, f=f, pools=inside[f]) for f in inside),
        sources="".join(
            _SOURCE.format(leg=task.leg, f=f, pools=inside[f], address=sources[f])
            for f in inside.keys() & sources.keys()
        ),
        refuse="".join(
            _REFUSE.format(leg=task.leg, mark=MARK, f=f, near=f"{inside[f]}, {_NEAR[f]}")
            for f in inside
        ),
    )
    return Base("inet", "swarm_task", body, maps=("zones", "marks"))


def egress_base(task: Task) -> Base:
    """The table of the frames that leave."""
    return Base("netdev", "swarm_task", _EGRESS.format(leg=task.leg, mark=MARK), maps=("macs",))


def content(given: Mapping[str, int]) -> Content:
    """The elements of `base` for these nodes."""
    zones = {("zones", mac): str(number) for mac, number in given.items()}
    return Content({}, zones | {("marks", mac): str(MARK | n) for mac, n in given.items()})


def egress_content(given: Mapping[str, int]) -> Content:
    """The elements of `egress_base`."""
    return Content({}, {("macs", str(MARK | number)): mac for mac, number in given.items()})


def sysctls(task: Task) -> Mapping[str, str]:
    """Packets come in by the leg from addresses that are reached by other devices."""
    return {"ipv4/conf/all/rp_filter": "0", f"ipv4/conf/{task.leg}/rp_filter": "0"}


def _family(address: str) -> str:
    return "ip6" if ":" in address else "ip"


_UNKNOWN = 'iifname "{leg}" ct state new ct mark 0 {f} saddr != {{ {pools} }} drop\n'
_SOURCE = 'iifname "{leg}" meta l4proto udp {f} saddr != {{ {pools} }} dnat {f} to {address}\n'
_REFUSE = (
    'oifname "{leg}" ct mark & {mark} == 0 {f} daddr != {{ {near} }} reject with icmpx no-route\n'
)
# What never leaves a link, as the search for neighbours: link-local, and to many.
_NEAR = {"ip": "169.254.0.0/16, 224.0.0.0/4", "ip6": "fe80::/10, ff00::/8"}

_BODY = """\
map zones {{ typeof ether saddr : ct zone; }}
map marks {{ type ether_addr : mark; }}
chain zoning {{
type filter hook prerouting priority raw; policy accept;
iifname "{leg}" ct original zone set ether saddr map @zones
}}
chain marking {{
type filter hook prerouting priority mangle; policy accept;
iifname "{leg}" ct state new ct mark set ether saddr map @marks
{unknown}}}
chain source {{
type nat hook prerouting priority -100; policy accept;
{sources}}}
chain reroute {{
type route hook output priority mangle; policy accept;
ct direction reply ct mark & {mark} != 0 meta mark set ct mark
}}
chain refuse {{
type filter hook output priority filter; policy accept;
{refuse}}}
"""

_EGRESS = """\
map macs {{ type mark : ether_addr; }}
chain egress {{
type filter hook egress device "{leg}" priority 0; policy accept;
meta mark & {mark} != 0 ether daddr set meta mark map @macs
}}
"""
