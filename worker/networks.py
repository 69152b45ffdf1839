"""The networks of this node: what the managers tell of them, and the network stacks of its tasks.

A thin shell. What blocks is done by one thread (`data_path`), names are answered on the event loop
(`overlay_net.dns`). Both end with the daemon; links, rules and flows do not.
"""

import asyncio
import logging
from collections.abc import Callable, Collection, Iterable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import TypeVar

from api.errors import Code, SwarmError
from api.v1 import dispatcher_pb2, network_pb2, objects_pb2
from hostkit.clock import Clock
from overlay_net.dns.resolv import container_text
from overlay_net.dns.server import DnsServer, Sandbox
from overlay_net.encrypt.encryption import Encryption, Options
from overlay_net.encrypt.key_ring import KeyRing
from overlay_net.nft import LibNft
from worker.data_path import DataPath
from worker.network_book import ENDPOINT, NETWORK, SERVICE, Item, Key, News
from worker.node_networks import DRIVERS, Joined, Means, NodeNetworks, NoNetworks
from worker.task_place import Place, place_of

log = logging.getLogger(__name__)

T = TypeVar("T")
Task = objects_pb2.Task

DRAIN = 0.5
"""Seconds between the word that a task serves no more and its stop: other nodes hear it in them."""
TEND = 2.0
"""Seconds between looks whether what is to be there still is."""
RETRY = 5.0
"""Seconds after which what could not be carried out is tried again."""
HOST_RESOLV_CONF = Path("/etc/resolv.conf")


class KernelNetworks:
    """NodeNetworks in the kernel of this host. One per daemon; close it.

    `data_path`: makes that of the node of an id.
    """

    def __init__(self, nft: LibNft, monotonic: Clock, data_path: Callable[[str], DataPath]) -> None:
        self._nft = nft
        self._make = data_path
        self._monotonic = monotonic
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="networks")
        self._dns = DnsServer(nft, monotonic)
        self._node_id = ""
        self._data_path: DataPath | None = None
        self._told_at: dict[str, float] = {}
        self._retry: asyncio.Task[None] | None = None
        self._tending: asyncio.Task[None] | None = None

    def drivers(self) -> Collection[str]:
        """See NodeNetworks."""
        return DRIVERS

    async def means(self) -> Means:
        """See NodeNetworks."""
        data_path = self._here()
        return await self._in_thread(data_path.means)

    async def renew_key(self, round: int) -> bool:
        """See NodeNetworks."""
        data_path = self._here()
        return await self._in_thread(lambda: data_path.renew_key(round))

    async def restore(
        self, node_id: str, items: Iterable[Item], tasks: Iterable[Task], kept: Collection[str]
    ) -> None:
        """See NodeNetworks."""
        if self._data_path is not None:
            await self._in_thread(self._data_path.close)
        self._node_id = node_id
        data_path = self._data_path = self._make(node_id)
        self._dns.close()
        self._dns.directory.sync((), (), ())
        places = [place for place in map(place_of, tasks) if place is not None]
        news, living = await self._act(lambda: data_path.restore(list(items), places, kept))
        self._name(news)
        for place, path in living:
            try:
                await self._serve_names(place, path)
            except SwarmError as error:
                log.warning("task %s finds no names: %s", place.task_id, error)
        if self._tending is None:
            self._tending = asyncio.create_task(self._tend(), name="networks are tended")

    async def follow(self, message: dispatcher_pb2.AssignmentsMessage) -> News:
        """See NodeNetworks."""
        data_path = self._here()
        news = await self._act(lambda: data_path.follow(message))
        self._name(news)
        return news

    def confirms(self) -> bool:
        """See NodeNetworks."""
        return self._data_path is None or not self._data_path.stale

    async def join(self, task: Task) -> Joined | None:
        """See NodeNetworks."""
        place = place_of(task)
        if place is None:
            return None
        data_path = self._here()
        made = await self._act(lambda: data_path.join(place))
        try:
            await self._serve_names(place, made.path)
        except BaseException:
            await self.leave(task.id)
            raise
        host = await asyncio.to_thread(_text_of, HOST_RESOLV_CONF)
        return Joined(made.path, made.addresses, container_text(task.spec.container.dns, host))

    async def drained(self, task: Task) -> None:
        """See NodeNetworks."""
        told_at = self._told_at.get(task.id)
        if told_at is not None:
            await asyncio.sleep(told_at + DRAIN - self._monotonic())

    async def leave(self, task_id: str) -> None:
        """See NodeNetworks."""
        self._dns.detach(task_id)
        self._told_at.pop(task_id, None)
        data_path = self._data_path
        if data_path is not None:
            await self._act(lambda: data_path.leave(task_id))

    async def clear(self) -> None:
        """See NodeNetworks."""
        self._dns.close()
        self._dns.directory.sync((), (), ())
        data_path = self._data_path or self._make("")
        self._data_path = None
        self._told_at.clear()
        await self._in_thread(data_path.clear)

    async def close(self) -> None:
        """See NodeNetworks."""
        for task in filter(None, (self._retry, self._tending)):
            task.cancel()
            await asyncio.wait({task})
        self._dns.close()
        if self._data_path is not None:
            await self._in_thread(self._data_path.close)
        await asyncio.to_thread(self._thread.shutdown)
        self._nft.close()

    # --- within -----------------------------------------------------------------------------

    def _here(self) -> DataPath:
        if self._data_path is None:
            raise SwarmError(Code.UNAVAILABLE, "this node is in no swarm")
        return self._data_path

    def _name(self, news: News) -> None:
        """Tells the name servers, in the order in which things come and go."""
        directory = self._dns.directory
        for key in news.removed:
            self._forget_names(key)
        for item in news.updated:
            match item:
                case network_pb2.NodeNetwork():
                    directory.put_network(item)
                case network_pb2.NetworkService():
                    directory.put_service(item)
                case network_pb2.NetworkEndpoint():
                    directory.put_endpoint(item)
                    self._note(item)

    def _forget_names(self, key: Key) -> None:
        if key.kind == NETWORK:
            self._dns.directory.remove_network(key.id)
        elif key.kind == SERVICE:
            self._dns.directory.remove_service(key.network_id, key.id)
        elif key.kind == ENDPOINT:
            self._dns.directory.remove_endpoint(key.network_id, key.id)

    def _note(self, endpoint: network_pb2.NetworkEndpoint) -> None:
        """When a task of this node was said to serve no more; nothing of one that does."""
        if endpoint.node_id != self._node_id:
            return
        if endpoint.serving:
            self._told_at.pop(endpoint.task_id, None)
        else:
            self._told_at.setdefault(endpoint.task_id, self._monotonic())

    async def _serve_names(self, place: Place, path: str) -> None:
        sandbox = Sandbox(place.task_id, Path(path), place.networks, place.name_servers)
        await self._dns.attach(sandbox)

    async def _act(self, function: Callable[[], T]) -> T:
        """One step of the data path; what it leaves undone is tried again."""
        try:
            return await self._in_thread(function)
        finally:
            self._look_after()

    def _look_after(self) -> None:
        if self._data_path is None or self._data_path.trouble is None:
            return
        if self._retry is None or self._retry.done():
            log.warning("networks are not as they ought to be: %s", self._data_path.trouble)
            self._retry = asyncio.create_task(self._try_again(), name="networks")

    async def _try_again(self) -> None:
        while True:
            await asyncio.sleep(RETRY)
            data_path = self._data_path
            if data_path is None:
                return
            await self._in_thread(partial(data_path.converge, look=True))
            if data_path.trouble is None:
                log.info("networks are as they ought to be")
                return

    async def _tend(self) -> None:
        while True:
            await asyncio.sleep(TEND)
            data_path = self._data_path
            if data_path is not None:
                try:
                    await self._act(data_path.tend)
                except (SwarmError, OSError) as error:
                    log.warning("networks were not looked after: %s", error)

    async def _in_thread(self, function: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._thread, function)


def open_networks(monotonic: Clock, keys: KeyRing, encryption: Options) -> NodeNetworks:
    """The networks of this host, as far as it can build any. `keys`: of this node, by which
    networks are encrypted.
    """
    try:
        nft = LibNft()
        encrypts = Encryption(nft, keys, encryption)
        return KernelNetworks(nft, monotonic, lambda node_id: DataPath(node_id, nft, encrypts))
    except SwarmError as error:
        log.warning("tasks here have no networks but the host's: %s", error)
        return NoNetworks()


def _text_of(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""
