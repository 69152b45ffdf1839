"""The packet filter's part in encryption: what must not be seen in clear is dropped. Pure.

Frames of encrypted networks go through the WireGuard device or nowhere, both ways, and the device
carries nothing else. A frame's network number (VNI) is its bytes 12 to 14 behind the UDP header's
start (RFC 7348). That whoever sends frames in clear to a host is not heard closes what was
CVE-2023-28840 and -28841 in Docker; that nothing leaves in clear, CVE-2023-28842.
"""

from overlay_net.encrypt.ends import PREFIX
from overlay_net.encrypt.picture import Guard

TABLE = "swarm-encrypt"
_VNI = "@th,96,24"


def text(guard: Guard | None) -> str:
    """The commands for nft that make the table so, whatever it was; or that remove it."""
    anew = f"add table inet {TABLE}\ndelete table inet {TABLE}\n"
    if guard is None:
        return anew
    own, vxlan = f'"{guard.device}"', f"udp dport {guard.port}"
    numbers = ", ".join(map(str, sorted(guard.vnis)))
    lines = [
        f"table inet {TABLE} {{",
        "  chain in {",
        "    type filter hook input priority raw; policy accept;",
        f"    iifname {own} ip6 saddr {PREFIX} {vxlan} {_VNI} {{ {numbers} }} accept",
        f"    iifname {own} ip6 saddr {PREFIX} meta l4proto ipv6-icmp accept",
        f"    iifname {own} drop",
        f'    iifname != "lo" ip6 daddr {PREFIX} drop',
        f"    {vxlan} {_VNI} {{ {numbers} }} drop",
        # The number of a frame in pieces may be in the second one. Nobody has to send such frames.
        f"    frag more-fragments 1 {vxlan} drop",
        "  }",
        "  chain transit {",
        "    type filter hook forward priority raw; policy accept;",
        f"    iifname {own} drop",
        f"    oifname {own} drop",
        "  }",
        "  chain out {",
        # Behind everything that might send it elsewhere.
        "    type filter hook postrouting priority 300; policy accept;",
        f"    oifname {own} {vxlan} {_VNI} {{ {numbers} }} accept",
        f"    oifname {own} meta l4proto ipv6-icmp accept",
        f"    oifname {own} drop",
        f'    oifname != "lo" ip6 saddr {PREFIX} drop',
        f'    oifname != "lo" ip6 daddr {PREFIX} drop',
        f"    {vxlan} {_VNI} {{ {numbers} }} fib saddr type local drop",
        "  }",
        "}",
        "",
    ]
    return anew + "\n".join(lines)
