"""Names in the networks of this node: what the managers tell of them, to the name servers of its
tasks. Names end with the daemon; what leads questions to them does not.
"""

import logging
from collections.abc import Collection
from dataclasses import replace
from pathlib import Path

from api.errors import SwarmError
from api.v1 import network_pb2
from hostkit.clock import Clock
from overlay_net.dns.server import DnsServer, Sandbox
from overlay_net.nft import LibNft
from worker.network_book import ENDPOINT, NETWORK, SERVICE, Item, Key, News
from worker.redirects import Redirects
from worker.task_place import Place

log = logging.getLogger(__name__)


class Names:
    """`nft`: by which the questions of tasks are led here; it stays its maker's."""

    def __init__(self, nft: LibNft, monotonic: Clock) -> None:
        self.nft = nft
        self.redirects = Redirects(nft)
        self._dns = DnsServer(self.redirects, monotonic)
        self._served: dict[str, Path] = {}

    async def know(self, items: Collection[Item], living: Collection[tuple[Place, str]]) -> None:
        """From now on there is this and nothing else, and nobody is served but the living, each
        with the file of its sandbox. Whoever was served already is answered meanwhile.
        """
        for task_id in self._served.keys() - {place.task_id for place, _ in living}:
            self.forget(task_id)
        self.hear_all(items)
        known = {item.id for item in items if isinstance(item, network_pb2.NodeNetwork)}
        for place, path in living:
            # What is no task may be in networks of a swarm that this host has left.
            there = tuple(network_id for network_id in place.networks if network_id in known)
            try:
                await self.serve(replace(place, networks=there), path)
            except SwarmError as error:
                log.warning("task %s finds no names: %s", place.task_id, error)

    def hear_all(self, items: Collection[Item]) -> None:
        """From now on there are these names and no others."""
        self._dns.directory.sync(
            [item for item in items if isinstance(item, network_pb2.NodeNetwork)],
            [item for item in items if isinstance(item, network_pb2.NetworkEndpoint)],
            [item for item in items if isinstance(item, network_pb2.NetworkService)],
        )

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
            self.redirects.forget(served)
        self._dns.detach(task_id)

    def forget_all(self) -> None:
        """No name is known, and nobody served."""
        for task_id in list(self._served):
            self.forget(task_id)
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
