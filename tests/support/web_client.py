"""Tasks that say who they are and who asks, and a client that asks from outside of the swarm."""

import contextlib
import socket
import threading

from hostkit import netns
from machine.drivers.lab import naming
from tests.support.cluster import Swarm

MANY = 100


class Client:
    """A host beside the swarm, which asks for port 8080 of its nodes."""

    def __init__(self, swarm: Swarm) -> None:
        self._targets = {host: swarm.host(host).address for host in swarm.hosts()}
        outside = swarm.host(naming.REGISTRY)
        self.address = outside.address
        self._namespace = netns.path(outside.paths.namespace)

    @property
    def hosts(self) -> list[str]:
        """Whom it asks."""
        return list(self._targets)

    def ask(self, host: str, port: int = 8080) -> tuple[str, str] | None:
        """Which task answers, and whom it sees; None: nobody answers."""
        made = netns.call_in(self._namespace, socket.socket)
        made.settimeout(5)
        with made, contextlib.suppress(OSError):
            made.connect((self._targets[host], port))
            made.sendall(b"GET /cgi-bin/who HTTP/1.0\r\n\r\n")
            answer = b""
            while piece := made.recv(4096):
                answer += piece
            name, seen = answer.decode().split()[-2:]
            return name, seen.removeprefix("[::ffff:").removeprefix("::ffff:").rstrip("]")
        return None


class Load:
    """One request after another to one node after another, until the end of the block."""

    def __init__(self, client: Client) -> None:
        self._client = client
        self._ends = threading.Event()
        self._thread = threading.Thread(target=self._run)
        self._more = threading.Semaphore(0)
        self.failed: list[str] = []

    def goes_on(self) -> None:
        """Returns after many more requests."""
        while self._more.acquire(blocking=False):
            pass
        for _ in range(MANY):
            assert self._more.acquire(timeout=30)

    def _run(self) -> None:
        while not self._ends.is_set():
            for host in self._client.hosts:
                if self._client.ask(host) is None:
                    self.failed.append(host)
                self._more.release()

    def __enter__(self) -> "Load":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ends.set()
        self._thread.join()
