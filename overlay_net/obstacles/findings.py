"""From what a host shows to what an operator should know. Pure."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from overlay_net.obstacles import firewalls
from overlay_net.obstacles.firewalls import Finding, JsonObject


@dataclass(frozen=True, slots=True)
class Socket:
    """A TCP listener, or a UDP socket without a peer. `address`: "0.0.0.0" or "::" for any."""

    protocol: str
    port: int
    address: str = ""


@dataclass(frozen=True, slots=True)
class Tunnel:
    """A VXLAN device."""

    name: str
    vni: int
    port: int


@dataclass(frozen=True, slots=True)
class Host:
    """What is there. `legacy`: what `iptables-legacy -S` says, or ""."""

    ruleset: Sequence[JsonObject] = ()
    legacy: str = ""
    sockets: Collection[Socket] = ()
    tunnels: Collection[Tunnel] = ()


@dataclass(frozen=True, slots=True)
class Need:
    """What networks need. `devices`: between which packets have to be forwarded.

    `reached`: protocol and port at which other nodes have to reach this one; `opening`: those that
    it is about to open, and what for; `published`: those of services; `kept`: those of these that a
    container which is no task has on this host. `vnis`: the networks of this node, whose own
    tunnels are not among those of its host.
    """

    devices: Sequence[str] = ()
    reached: Collection[tuple[str, int]] = ()
    opening: Mapping[tuple[str, int], str] = field(default_factory=dict)
    published: Collection[tuple[str, int]] = ()
    kept: Collection[tuple[str, int]] = ()
    vnis: Mapping[int, str] = field(default_factory=dict)


def findings(host: Host, need: Need) -> list[Finding]:
    """All that stands in the way, the worst first."""
    passes = [*firewalls.devices(need.devices), *firewalls.ports(need.reached)]
    return [
        # One program's rules for both families are one thing to be done.
        *dict.fromkeys(firewalls.findings(host.ruleset, host.legacy, passes)),
        *_ports(host, need),
        *_tunnels(host, need),
        *_hidden_listeners(host, need),
        *_kept(need),
    ]


def _ports(host: Host, need: Need) -> Iterator[Finding]:
    tunnelled = {tunnel.port for tunnel in host.tunnels}
    bound = {(socket.protocol, socket.port) for socket in host.sockets}
    for (protocol, port), purpose in need.opening.items():
        if (protocol, port) not in bound or (protocol == "udp" and port in tunnelled):
            continue  # tunnels may share a port
        yield Finding(
            f"port {port}/{protocol} is taken",
            f"{purpose} needs it, and another program has it",
            "stop that program; if it is Docker Swarm's: docker swarm leave",
            f"ss -nlp {'-u' if protocol == 'udp' else '-t'} sport = :{port}",
        )


def _tunnels(host: Host, need: Need) -> Iterator[Finding]:
    for tunnel in host.tunnels:
        if (network := need.vnis.get(tunnel.vni)) is None:
            continue
        yield Finding(
            f"VXLAN number {tunnel.vni} is taken",
            f"network {network} has it, and so has device {tunnel.name}, which is not ours",
            "remove the device; what an ended Docker Swarm left is of no use to anybody",
            f"ip link del {tunnel.name}",
        )


def _hidden_listeners(host: Host, need: Need) -> Iterator[Finding]:
    bound = {(socket.protocol, socket.port): socket.address for socket in host.sockets}
    for protocol, port in sorted(need.published):
        if (protocol, port) in bound:
            yield Finding(
                f"port {port}/{protocol} is published, and a program of this host listens on it",
                "connections to it go to the service, the program gets none",
                "stop the program, or publish another port",
                f"ss -nlp {'-u' if protocol == 'udp' else '-t'} sport = :{port}",
                note=True,
            )


def _kept(need: Need) -> Iterator[Finding]:
    for protocol, port in sorted(need.kept):
        yield Finding(
            f"port {port}/{protocol} is published, and a container of this host has it",
            "here connections go to that container, which is no task; elsewhere to the service",
            "stop the container, or publish another port",
            "nft list table inet swarm_ingress",
            note=True,
        )
