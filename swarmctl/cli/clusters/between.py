"""Whether the hosts of a cluster reach each other on the ports that nodes use. Changes nothing."""

import os
from dataclasses import dataclass

from api.errors import SwarmError
from machine.preflight import PORTS
from machine.reach import Port, Protocol, Station, closed
from swarmctl.cli.clusters.session import Session

REMEDY = "open it in the firewalls between them, and see that the address is the host's"


@dataclass(frozen=True)
class Obstacle:
    """What a host does not reach. `host` is empty if nothing can be told."""

    host: str
    what: str
    remedy: str = REMEDY

    def __str__(self) -> str:
        return f"{self.host} {self.what}: {self.remedy}".lstrip()


async def obstacles(session: Session) -> list[Obstacle]:
    """Of all hosts that were reached; takes some seconds."""
    stations = [
        Station(remote, _address(session, name)) for name, remote in session.remotes.items()
    ]
    if len(stations) < 2:  # noqa: PLR2004 - a host alone has nobody to reach
        return []
    ports = [Port(number, Protocol(protocol)) for protocol, number in PORTS]
    try:
        found = await closed(stations, ports, nonce=os.urandom(8).hex())
    except SwarmError as error:
        return [Obstacle("", "whether the hosts reach each other cannot be told", str(error))]
    return [Obstacle(e.source, f"does not reach {e.port} of {e.goal}: {e.why}") for e in found]


def _address(session: Session, name: str) -> str:
    """Where the others reach it: what they are told, if that is an address."""
    host = session.wanted.hosts[name]
    return host.advertise if host.advertise[:1].isdigit() else host.target.host
