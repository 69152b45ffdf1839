"""Names in the networks of this node: what the managers tell of them, to the name servers of its
tasks. Names end with the daemon; what leads questions to them does not.
"""

from pathlib import Path

from api.v1 import network_pb2
from hostkit.clock import Clock
from overlay_net.dns.server import DnsServer, Sandbox
from worker.network_book import ENDPOINT, NETWORK, SERVICE, Key, News
from worker.redirects import Redirects
from worker.task_place import Place


class Names:
    """`redirects`: what leads the questions of tasks here."""

    def __init__(self, redirects: Redirects, monotonic: Clock) -> None:
        self._redirects = redirects
        self._dns = DnsServer(redirects, monotonic)
        self._served: dict[str, Path] = {}

    def hear(self, news: News) -> None:
        """Names come and go in the order in which things do."""
        directory = self._dns.directory
        for key in news.removed:
            self._drop(key)
        for item in news.updated:
            match item:
                case network_pb2.NodeNetwork():
                    directory.put_network(item)
                case network_pb2.NetworkService():
                    directory.put_service(item)
                case network_pb2.NetworkEndpoint():
                    directory.put_endpoint(item)

    async def serve(self, place: Place, path: str) -> None:
        """The task whose sandbox is this file finds the names of its networks from now on."""
        sandbox = Sandbox(place.task_id, Path(path), place.networks, place.name_servers)
        self._served[place.task_id] = sandbox.netns
        await self._dns.attach(sandbox)

    def forget(self, task_id: str) -> None:
        """The task has ended; nothing happens if it was not served."""
        if (served := self._served.pop(task_id, None)) is not None:
            self._redirects.forget(served)
        self._dns.detach(task_id)

    def forget_all(self) -> None:
        """No name is known, and nobody served."""
        self._dns.close()
        self._dns.directory.sync((), (), ())

    def close(self) -> None:
        """Nobody is served any more."""
        self._dns.close()

    def _drop(self, key: Key) -> None:
        if key.kind == NETWORK:
            self._dns.directory.remove_network(key.id)
        elif key.kind == SERVICE:
            self._dns.directory.remove_service(key.network_id, key.id)
        elif key.kind == ENDPOINT:
            self._dns.directory.remove_endpoint(key.network_id, key.id)
