"""Every certificate that a cluster depends on, and when each ends: of nodes, of hosts' APIs, of the
root, of operators. Looks at hosts; changes nothing but the root.
"""

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

from api.errors import SwarmError
from machine.certs.authority import expiry_of
from machine.certs.host_papers import CERTIFICATE
from machine.certs.renewal import DAY, WARNED
from machine.remote import Remote
from machine.swarm.answers import operators_of
from machine.swarm.managers import Managers
from machine.swarm.seen import Seen

NODE, API, ROOT, OPERATOR = "node", "host API", "root", "operator"


@dataclass(frozen=True)
class Paper:
    """One certificate. `expires`: seconds since 1970; `renews`: its owner replaces it in time."""

    of: str
    kind: str
    expires: float
    renews: bool = False

    def remark(self, now: float) -> str:
        """What to say of it; empty if it is good for long."""
        left = self.expires - now
        if left <= 0:
            return "expired"
        if left >= WARNED or self.renews:
            return ""
        return f"expires in {int(left / DAY)} days"


async def papers(seen: Seen, remotes: Mapping[str, Remote], managers: Managers) -> list[Paper]:
    """All that can be seen. Raises what the asking of managers does."""
    found = [
        Paper(name, NODE, moment(host.expires_at), renews=True)
        for name, host in seen.hosts.items()
        if host.expires_at
    ]
    apis = await asyncio.gather(*(each.read(CERTIFICATE) for each in remotes.values()))
    found += [
        Paper(name, API, expiry_of(pem)) for name, pem in zip(remotes, apis, strict=True) if pem
    ]
    if not seen.cluster_id:
        return found
    root, operators = await asyncio.gather(
        managers.call("swarm", "ca", "-q"),
        managers.call("swarm", "client-cert", "--ls", "--format", "json"),
    )
    found.append(Paper("the swarm", ROOT, expiry_of(root.encode())))
    people = operators_of(operators)
    return found + [Paper(name, OPERATOR, moment(expires)) for name, expires in people]


def moment(text: str) -> float:
    """Seconds since 1970 of a moment in RFC 3339."""
    return datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp()


async def rotate_root(managers: Managers, tell: Callable[[str], None], timeout: float) -> None:
    """Puts another root in the place of the swarm's; returns when every node that is up has
    followed. Both are trusted meanwhile, and no connection ends.
    """
    tell("another root takes the place of the present one")
    words = ("swarm", "ca", "--rotate", "--quiet", "--wait-timeout", f"{timeout:.0f}s")
    try:
        await managers.call(*words, timeout=timeout + 60.0)
    except SwarmError as error:
        raise SwarmError(
            error.code,
            "the rotation of the root goes on, and has not come to its end",
            why=error.why or error.what,
            remedy="see how far it is, on a manager: swarmctl swarm ca",
        ) from error
