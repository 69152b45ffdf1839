"""What the host's packet filter does for bridges: the way out, and none between them. Pure.

One nftables table of our own, always written whole in one transaction; connections that are under
way keep their translation, which is the connection tracker's.
"""

from collections.abc import Sequence
from dataclasses import dataclass

TABLE = "swarm-fabric"


@dataclass(frozen=True)
class Way:
    """A subnet behind a bridge; `internal`: it has no way out, and none in."""

    bridge: str
    subnet: str
    internal: bool


def text(ways: Sequence[Way]) -> str:
    """The commands for nft that make the table so, whatever it was; or that remove it."""
    anew = f"add table inet {TABLE}\ndelete table inet {TABLE}\n"
    if not ways:
        return anew
    bridges = list(dict.fromkeys(way.bridge for way in ways))
    internal = list(dict.fromkeys(way.bridge for way in ways if way.internal))
    own = ", ".join(f'"{bridge}"' for bridge in bridges)
    lines = [f"table inet {TABLE} {{", "  chain forward {"]
    lines.append("    type filter hook forward priority filter; policy accept;")
    for bridge in bridges:
        # Frames within one bridge come by here if the host filters bridged ones.
        lines.append(f'    iifname "{bridge}" oifname "{bridge}" accept')
    # A port that is published is so for everybody who reaches the host.
    between = f"iifname {{ {own} }} oifname {{ {own} }}"
    lines.append(f"    {between} ct status & dnat == 0 drop")
    for bridge in internal:
        lines.append(f'    iifname "{bridge}" drop')
        lines.append(f'    oifname "{bridge}" drop')
    # In from outside only what was published, or answers.
    lines.append(f"    oifname {{ {own} }} ct state new ct status & dnat == 0 drop")
    lines += ["  }", "  chain out {"]
    lines.append("    type nat hook postrouting priority srcnat; policy accept;")
    for way in ways:
        if not way.internal:
            family = "ip6" if ":" in way.subnet else "ip"
            lines.append(f'    {family} saddr {way.subnet} oifname != "{way.bridge}" masquerade')
    lines += ["  }", "}", ""]
    return anew + "\n".join(lines)
