"""The way to a host, hop by hop: what the operator said, and what ~/.ssh/config adds. Pure."""

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from api.errors import invalid
from machine.ssh import proxy_command
from machine.target import Target

Lookup = Callable[[str], Mapping[str, Any]]
"""What ~/.ssh/config says of a host, keys in lower case, as paramiko.SSHConfig.lookup."""

SSH_PORT = 22
DEFAULTS = ("~/.ssh/id_ed25519", "~/.ssh/id_ecdsa", "~/.ssh/id_rsa")
"""Keys that ssh offers of itself."""
_HOP = re.compile(r"(?:(?P<user>[^@\s]+)@)?(?P<host>\[[^\]\s]+\]|[^\s:\[\]]+)(?::(?P<port>\d+))?")
_MOST_HOPS = 8


@dataclass(frozen=True)
class Hop:
    """One SSH server on the way; the last one is the host itself."""

    host: str  # what is dialled, from the hop before
    port: int
    user: str
    keys: tuple[str, ...] = ()  # files of private keys, offered in this order
    only_keys: bool = False  # nothing but these, or the default ones: no other one of the agent's
    named: bool = False  # the operator said which key it is: there has to be one in its file
    agent: bool = True
    agent_socket: str = ""  # "": the environment says
    alias: str = ""  # HostKeyAlias
    host_key: str = ""  # fingerprint that the operator gave
    via: str = ""  # what the hop before is known as; "": dialled from here
    command: str = ""  # ProxyCommand, filled in: a program of this machine that carries the bytes

    @property
    def known_as(self) -> str:
        """Its name in known_hosts. Behind different jump hosts one address is different hosts'."""
        if self.alias:
            return self.alias.lower()
        host = self.host.lower()
        name = host if self.port == SSH_PORT else f"[{host}]:{self.port}"
        return f"{name}_via_{self.via}" if self.via else name

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{self.user}@{host}:{self.port}"


@dataclass(frozen=True)
class _Place:
    """A host as it is written: [user@]host[:port]."""

    host: str
    user: str = ""
    port: int = 0


def route(target: Target, lookup: Lookup, *, local_user: str) -> tuple[Hop, ...]:
    """The hops, the first to be dialled first. INVALID or UNSUPPORTED if there is no such way.

    A jump host without a user is entered as `local_user`, as ssh does; the host itself as root.
    """
    said = lookup(target.host)
    place = _Place(target.host, target.user, target.port)
    keys = (target.key,) if target.key else ()
    last = _hop(place, said, target, keys=keys, only=bool(keys), user="root")
    jumps = target.jump or _jumps(said)
    if not jumps:
        return (_begun(last, place, said),)
    before = _before(jumps, lookup, target, local_user, depth=1)
    return chained((*before, last))


def chained(hops: Iterable[Hop]) -> tuple[Hop, ...]:
    """Each hop as it is known behind those before it."""
    chain: list[Hop] = []
    for hop in hops:
        chain.append(replace(hop, via=chain[-1].known_as if chain else ""))
    return tuple(chain)


def _before(
    jumps: tuple[str, ...], lookup: Lookup, target: Target, local_user: str, depth: int
) -> tuple[Hop, ...]:
    """The jump hosts; to the first of them may lead jump hosts of its own."""
    if depth + len(jumps) > _MOST_HOPS:
        raise invalid(
            "jump",
            f"more than {_MOST_HOPS} hops lead to {target.host}",
            why="or its jump hosts lead to one another in a circle",
            remedy="look at the lines ProxyJump in ~/.ssh/config",
        )
    places = [_place(jump) for jump in jumps]
    said = lookup(places[0].host)
    further = _jumps(said)
    own = _before(further, lookup, target, local_user, depth + len(jumps)) if further else ()
    keys = (target.key,) if target.key else ()
    plain = Target(target.host, agent=target.agent)  # the fingerprint is the host's alone
    hops = [
        _hop(place, lookup(place.host), plain, keys=keys, only=False, user=local_user)
        for place in places
    ]
    first = hops[0] if own else _begun(hops[0], places[0], said)
    return (*own, first, *hops[1:])


def _begun(hop: Hop, place: _Place, said: Mapping[str, Any]) -> Hop:
    """The hop that is reached from here: dialled, or by the command that is said for it."""
    said_first = _said_first(said)
    if said_first != "proxycommand" or not said[said_first]:
        return hop
    return replace(hop, command=proxy_command.filled(str(said[said_first]), hop, place.host))


def _hop(
    place: _Place,
    said: Mapping[str, Any],
    target: Target,
    *,
    keys: tuple[str, ...],
    only: bool,
    user: str,
) -> Hop:
    socket = str(said.get("identityagent") or "")
    configured = () if only else tuple(said.get("identityfile") or ())
    return Hop(
        host=str(said.get("hostname") or place.host),
        port=place.port or _port(str(said.get("port") or SSH_PORT)),
        user=place.user or str(said.get("user") or user),
        keys=(*keys, *configured),
        only_keys=only or _yes(said.get("identitiesonly")),
        named=only,
        agent=target.agent and socket.lower() != "none",
        agent_socket="" if socket.upper() in ("", "NONE", "SSH_AUTH_SOCK") else socket,
        alias=str(said.get("hostkeyalias") or ""),
        host_key=target.host_key,
    )


def _jumps(said: Mapping[str, Any]) -> tuple[str, ...]:
    jump = str(said["proxyjump"]) if _said_first(said) == "proxyjump" else "none"
    if jump.lower() == "none":
        return ()
    return tuple(word.strip().removeprefix("ssh://") for word in jump.split(","))


def _said_first(said: Mapping[str, Any]) -> str:
    """ProxyJump or ProxyCommand: the one that stands first counts, be it "none" (ssh_config(5))."""
    return next((key for key in said if key in ("proxyjump", "proxycommand")), "")


def _place(text: str) -> _Place:
    found = _HOP.fullmatch(text)
    if found is None:
        raise invalid("jump", f"{text!r} is no jump host", remedy="say [USER@]HOST[:PORT]")
    port = _port(found["port"]) if found["port"] else 0
    return _Place(found["host"].strip("[]"), found["user"] or "", port)


def _port(text: str) -> int:
    if not text.isdecimal() or not 0 < int(text) <= 65535:  # noqa: PLR2004 - TCP's
        raise invalid("port", f"{text!r} is no port", remedy="say 1 to 65535")
    return int(text)


def _yes(value: object) -> bool:
    return str(value).lower() in ("yes", "true")
