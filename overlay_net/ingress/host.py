"""A node's side of published ports, as one nftables table. Pure.

::1 is left alone: a local client's connection to it cannot be led elsewhere, for no route leads
back (docs/decisions/0017). Such a client is refused at once and tries 127.0.0.1, which works.
"""

import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from api.published import PROTOCOLS
from overlay_net import ruleset, spread
from overlay_net.ingress.ports import Mesh, Port
from overlay_net.ruleset import Base, Content

MARK = 0x4000_0000
TABLE = 4096  # of routes
PRIORITY = 100
"""What is led to a task has this bit in its mark, and is routed by a table of its own: the host's
routes stay as they are, though they may know other ways to the same addresses.
"""
_HEADERS4, _HEADERS6 = 40, 60  # IP and TCP without options


@dataclass(frozen=True, slots=True)
class Node:
    """This node. `leg`: its device in the ingress network, with that network's MTU and subnets; ""
    if it is in none, and publishes its own containers' ports alone.

    `bridges`: the devices by which its containers reach it. `ipv6`: whether it forwards IPv6.
    """

    id: str
    namespace: Path
    leg: str
    mtu: int
    pools: tuple[str, ...]
    bridges: tuple[str, ...] = ()
    ipv6: bool = False


def base(node: Node) -> Base:
    """The table without ports."""
    return Base(
        "inet",
        "swarm_ingress",
        _BODY.format(
            other=f'iifname != "{node.leg}" ' if node.leg else "",
            mark=MARK,
            unmarked=MARK ^ 0xFFFF_FFFF,
            way="".join(_WAY.format(f=f, pools=pools, mark=MARK) for f, pools in _inside(node)),
            own="".join(_OWN.format(f=f, pools=pools, mark=MARK) for f, pools in _inside(node)),
            hidden="".join(f"set hidden_{name} {{ type inet_service; }}\n" for name in _NAMES),
            hide="".join(_hide(node)) if node.leg else "",
            segments_out=_segments_out(node) if node.leg else "",
            segments_in="".join(_segments_in(node)) if node.leg else "",
        ),
        maps=("everywhere", "address4", "address6"),
        sets=("bridges", *(f"hidden_{name}" for name in _NAMES)),
    )


def content(node: Node, mesh: Mesh) -> Content:
    """Its ports. Nodes begin their turns at different tasks."""
    start = zlib.crc32(node.id.encode())
    chains: dict[str, str] = {}
    elements: dict[ruleset.Element, str] = {("bridges", name): "" for name in node.bridges}
    for port in mesh.ports:
        turn = 0 if port.sticky or not port.backends else start % len(port.backends)
        rules = spread.rules(
            port.backends, spread.Way(port.sticky, port.protocol, port.target, turn)
        )
        name = ruleset.chain(f"{port.protocol}-{port.published}", rules)
        chains[name] = rules
        elements[_key(port)] = f"goto {name}"
        if port.hidden:
            elements[f"hidden_{port.protocol}", str(port.published)] = ""
    return Content(chains, elements)


def sysctls(node: Node) -> Mapping[str, str]:
    """What the node's network stack has to allow, once the table with `guard` is there."""
    # A task that is led to itself would else be translated within its bridge, where no frame goes
    # out of the port that it came in by.
    wished = {f"bridge/bridge-nf-call-{each}tables": "0" for each in ("ip", "ip6")}
    wished["ipv4/ip_forward"] = "1"
    wished |= dict.fromkeys(_localnets(node), "1")
    if node.ipv6:
        wished["ipv6/conf/all/forwarding"] = "1"
    return wished


def closing(node: Node) -> Mapping[str, str]:
    """What it must allow no longer, before the table goes."""
    return dict.fromkeys(_localnets(node), "0")


def _localnets(node: Node) -> list[str]:
    devices = filter(None, (node.leg, *node.bridges))
    return [f"ipv4/conf/{device}/route_localnet" for device in devices]


def _hide(node: Node) -> Iterator[str]:
    """Of what leaves by the leg: whom tasks may not see."""
    yield f'oifname "{node.leg}" ip saddr 127.0.0.0/8 masquerade\n'
    yield f'oifname "{node.leg}" iifname @bridges masquerade\n'
    for name in _NAMES:
        hidden = f"meta l4proto {name} ct original proto-dst @hidden_{name}"
        yield f'oifname "{node.leg}" {hidden} masquerade\n'


def _segments_out(node: Node) -> str:
    """TCP's segments as large as the ingress network lets them be."""
    return f'oifname "{node.leg}" tcp flags syn tcp option maxseg size set rt mtu\n'


def _segments_in(node: Node) -> Iterator[str]:
    for family, headers in (("ipv4", _HEADERS4), ("ipv6", _HEADERS6)):
        syn = f"meta nfproto {family} tcp flags syn"
        yield f'iifname "{node.leg}" {syn} tcp option maxseg size set {node.mtu - headers}\n'


def _inside(node: Node) -> list[tuple[str, str]]:
    """The subnets of the ingress network by nftables' word for their family."""
    found: dict[str, list[str]] = {}
    for pool in node.pools:
        found.setdefault("ip6" if ":" in pool else "ip", []).append(pool)
    return [(family, ", ".join(found[family])) for family in sorted(found)]


def _key(port: Port) -> ruleset.Element:
    if not port.host_ip:
        return "everywhere", f"{port.protocol} . {port.published}"
    table = "address6" if ":" in port.host_ip else "address4"
    return table, f"{port.host_ip} . {port.protocol} . {port.published}"


_NAMES = tuple(PROTOCOLS.values())

_OWN = (
    "ct status & dnat != 0 ct reply {f} saddr {{ {pools} }} meta mark set meta mark | {mark:#x}\n"
)

_WAY = "ct status & dnat != 0 {f} daddr {{ {pools} }} meta mark set meta mark | {mark:#x}\n"

# Before other translations (priority -100), so that Docker's and ours never both apply. Lookups are
# made for the first packet of a connection only. guard: with route_localnet a neighbour could else
# send to what listens on 127.0.0.1 alone (CVE-2020-8558). post: 127.0.0.1 means nothing elsewhere;
# and a local container's answers would come to it by another way than it asked.
# own: what programs of this host send is given its way at once as it is translated, and dropped if
# there is none; so it carries the mark before, the first packet of a connection by the rule in out.
# segments: a task takes the size of its way out for that of its answers' way.
_BODY = """\
map everywhere {{ type inet_proto . inet_service : verdict; }}
map address4 {{ type ipv4_addr . inet_proto . inet_service : verdict; }}
map address6 {{ type ipv6_addr . inet_proto . inet_service : verdict; }}
set bridges {{ type ifname; }}
{hidden}chain guard {{
type filter hook prerouting priority raw; policy accept;
{other}iifname != @bridges accept
ip daddr 127.0.0.0/8 drop
ip saddr 127.0.0.0/8 drop
}}
chain pre {{
type nat hook prerouting priority -110; policy accept;
ct state new fib daddr type != local accept
ip daddr . meta l4proto . th dport vmap @address4
ip6 daddr . meta l4proto . th dport vmap @address6
meta l4proto . th dport vmap @everywhere
}}
chain out {{
type nat hook output priority -110; policy accept;
ct state new fib daddr type != local accept
ip6 daddr ::1 accept
meta mark set meta mark | {mark:#x}
ip daddr . meta l4proto . th dport vmap @address4
ip6 daddr . meta l4proto . th dport vmap @address6
meta l4proto . th dport vmap @everywhere
meta mark set meta mark & {unmarked:#x}
}}
chain way {{
type filter hook prerouting priority -90; policy accept;
{way}}}
chain own {{
type filter hook output priority mangle; policy accept;
{own}}}
chain post {{
type nat hook postrouting priority 90; policy accept;
ct status & dnat == 0 accept
{hide}oifname @bridges ip saddr 127.0.0.0/8 masquerade
oifname @bridges iifname @bridges masquerade
}}
chain segments_out {{
type filter hook postrouting priority mangle; policy accept;
{segments_out}}}
chain segments_in {{
type filter hook prerouting priority mangle; policy accept;
{segments_in}}}
"""
