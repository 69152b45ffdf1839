"""The links and tunnels of this host, on the ground that they stand on: where its tunnels end, and
on which port. Blocks.

On another ground all of them are made anew. What they ought to be is `wanted`'s to say.
"""

import logging
from collections.abc import Sequence
from pathlib import Path

from api.errors import SwarmError
from hostkit import netns
from overlay_net.fabric import rules
from overlay_net.fabric.fabric import Done, Fabric
from overlay_net.fabric.picture import Leg
from overlay_net.fabric.plan import Look
from overlay_net.fabric.wanted import Wanted
from overlay_net.nft import LibNft
from overlay_net.written import Written
from worker.network_book import ENDPOINT, NETWORK, PEER, Endpoint, Item, Network, News, Peer

log = logging.getLogger(__name__)

FILTER = f"inet {rules.TABLE}"


class HostFabric:
    """`host`: the file of the host's network namespace; `namespace`: the name of that in which
    tunnels are.
    """

    def __init__(self, nft: LibNft, wanted: Wanted, *, host: str, namespace: str) -> None:
        self._written = Written(nft)
        self._wanted = wanted
        self._host = host
        self._namespace = namespace
        self._fabric: Fabric | None = None
        self.address, self.port = "", 0
        """The ground; no address: tunnels have no end yet, or it is not told where."""

    @property
    def is_built(self) -> bool:
        """Whether there is any ground yet."""
        return self._fabric is not None

    def hear(self, news: News) -> None:
        """What was told, and taken back, counts as wanted from now on."""
        for key in news.removed:
            if key.kind == NETWORK:
                self._wanted.drop_network(key.id)
            elif key.kind == PEER:
                self._wanted.drop_peer(key.id)
            elif key.kind == ENDPOINT:
                self._wanted.drop_endpoint(key.network_id, key.id)
        for item in news.updated:
            try:
                self._want(item)
            except SwarmError as error:
                log.warning("the managers told what cannot be: %s", error)

    def stand_on(self, address: str, port: int) -> None:
        """From now on this is the ground."""
        if self._fabric is None or (address, port) != (self.address, self.port):
            self.close()
            self._fabric = Fabric(
                self._filter,
                address,
                port=port,
                namespace=self._namespace,
                host=self._host,
                holds=self._holds,
            )
            self.address, self.port = address, port

    def converge(self, *, look: bool) -> Done | None:
        """Makes links and tunnels what is wanted; None without a ground. `look`: believe the
        kernel, not the memory.
        """
        return None if self._fabric is None else self._fabric.converge(self._wanted, fresh=look)

    def look(self) -> Look | None:
        """What there is, and what would be made of it; nothing is changed."""
        return None if self._fabric is None else self._fabric.look(self._wanted)

    def legs(self, path: str) -> Sequence[Leg]:
        """Those of a network stack, or of the host, by its file."""
        return () if self._fabric is None else self._fabric.legs(path)

    def bridges(self) -> list[str]:
        """The host's, by which its containers reach it."""
        return [] if self._fabric is None else self._fabric.bridges()

    def devices(self) -> tuple[str, ...]:
        """The host's own, between which packets of networks are forwarded."""
        return (*(leg.name for leg in self.legs(self._host)), *self.bridges())

    def forget(self, path: str) -> None:
        """A network stack is about to end by itself, and its legs with it."""
        if self._fabric is not None:
            self._fabric.forget(path)

    def remove(self) -> None:
        """Nothing is left of what an earlier daemon or this one made."""
        if self._fabric is None and netns.exists(self._namespace):
            self._fabric = Fabric(self._filter, "", namespace=self._namespace, host=self._host)
        if self._fabric is not None:
            self._fabric.converge(Wanted(""), fresh=True)
            self.close()
            netns.delete(self._namespace)

    def close(self) -> None:
        """Lets go of the kernel, and changes nothing."""
        if self._fabric is not None:
            self._fabric.close()
        self._fabric = None
        self.address, self.port = "", 0

    def _want(self, item: Item) -> None:
        match item:
            case Network():
                self._wanted.put_network(item)
            case Peer():
                self._wanted.put_peer(item)
            case Endpoint():
                self._wanted.put_endpoint(item)

    def _filter(self, text: str) -> None:
        self._written.write(Path(self._host), FILTER, text)

    def _holds(self, text: str) -> bool:
        return self._written.stands(Path(self._host), FILTER, text)
