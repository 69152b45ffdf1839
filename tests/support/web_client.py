"""A client that asks tasks from outside of the swarm."""

from machine.drivers.lab import naming
from tests.support.cluster import Swarm
from tests.support.traffic import get, outside


class Client:
    """A host beside the swarm, which asks for port 8080 of its nodes."""

    def __init__(self, swarm: Swarm) -> None:
        self._targets = {host: swarm.host(host).address for host in swarm.hosts()}
        self.address = swarm.host(naming.REGISTRY).address
        self._namespace = outside(swarm)

    @property
    def hosts(self) -> list[str]:
        """Whom it asks."""
        return list(self._targets)

    def get(self, host: str, port: int = 8080) -> tuple[str, str]:
        """Which task answers, and whom it sees. OSError if nobody answers."""
        return get(self._namespace, self._targets[host], port)

    def ask(self, host: str, port: int = 8080) -> tuple[str, str] | None:
        """The same; None: nobody answers."""
        try:
            return self.get(host, port)
        except OSError:
            return None
