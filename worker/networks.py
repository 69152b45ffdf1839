"""The networks of this node: what the managers tell of them, and the network stacks of its tasks.

A thin shell. What blocks is done by one thread (`data_path`), names are answered on the event loop
(`overlay_net.dns`). Both end with the daemon; links, rules and flows do not.
"""

import asyncio
import logging
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import NoReturn, TypeVar

from api.errors import Code, SwarmError
from api.v1 import check_pb2, dispatcher_pb2, network_pb2, objects_pb2, specs_pb2
from hostkit.clock import Clock
from overlay_net.dns.resolv import container_text
from overlay_net.encrypt.encryption import Encryption, Options
from overlay_net.encrypt.key_ring import KeyRing
from overlay_net.fabric.fabric import OWN_NAMESPACE
from worker.checking import EVERY, NetworkChecks
from worker.data_path import DataPath
from worker.drains import Drains
from worker.executor import TemporaryError
from worker.names import Names
from worker.network_book import Item, Key, News, key_of
from worker.node_networks import DRIVERS, Joined, Means, NodeNetworks, NoNetworks
from worker.obstacle_watch import ObstacleWatch
from worker.task_place import Place, place_of

log = logging.getLogger(__name__)

T = TypeVar("T")
Task = objects_pb2.Task

TEND = 2.0
"""Seconds between looks whether what encrypts still does."""
RETRY = 5.0
"""Seconds after which what could not be carried out is tried again."""
HOST_RESOLV_CONF = Path("/etc/resolv.conf")


class KernelNetworks:
    """NodeNetworks in the kernel of this host. One per daemon; close it.

    `names`: perhaps answered already; `data_path`: makes that of the node of an id; `host`: the
    file of the host's network namespace; `look_every`: seconds between looks at what the kernel
    has, 0 for never; `opens`: other firewalls are let forward for networks without being asked.
    """

    def __init__(
        self,
        names: Names,
        monotonic: Clock,
        data_path: Callable[[str], DataPath],
        *,
        host: str = OWN_NAMESPACE,
        look_every: float = EVERY,
        opens: bool = False,
    ) -> None:
        self._make = data_path
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="networks")
        self._names = names
        self._node_id = ""
        self._member = False  # of a swarm, whose agent restores what there was
        self._data_path: DataPath | None = None
        self._drains = Drains(monotonic)
        self._own: dict[Key, Item] = {}
        self._lone: dict[str, Place] = {}
        self._retry: asyncio.Task[None] | None = None
        self._devices: tuple[str, ...] | None = None
        self._look_every = look_every
        self._looking: asyncio.Task[NoReturn] | None = None
        self._tending: asyncio.Task[None] | None = None
        self._checks = NetworkChecks(
            self._in_thread,
            lambda: self._data_path,
            names.redirects,
            ObstacleWatch(names.nft, host, opens=opens),
            monotonic,
        )

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
        self._node_id, self._member = node_id, bool(node_id)
        data_path = self._data_path = self._make(node_id)
        places = [place for place in map(place_of, tasks) if place is not None]
        places += self._lone.values()
        own = [self._mine(item) for item in self._own.values()]
        news, living = await self._act(lambda: data_path.recall(list(items), places, kept, own))
        # Names first: they end with a daemon, all else goes on.
        await self._names.know(news.updated, living)
        self._drains.restore(node_id, news.updated)
        await self._act(lambda: data_path.converge(look=True))
        if self._looking is None:
            looking = self._checks.run(self._look_every)
            self._looking = asyncio.create_task(looking, name="looks at networks")
        if self._tending is None:
            self._tending = asyncio.create_task(self._tend(), name="networks are tended")

    async def follow(self, message: dispatcher_pb2.AssignmentsMessage) -> News:
        """See NodeNetworks."""
        data_path = self._here()
        news = await self._act(lambda: data_path.follow(message))
        if message.type == message.TYPE_COMPLETE:
            # What an earlier message changed may have been broken off before it was heard here.
            known = await self._in_thread(data_path.known)
            self._names.hear_all(known)
            self._drains.follow(self._node_id, News(known, news.removed), message)
        else:
            self._names.hear(news)
            self._drains.follow(self._node_id, news, message)
        return news

    def confirms(self) -> bool:
        """See NodeNetworks."""
        return self._data_path is None or not self._data_path.stale

    async def begin(
        self, items: Iterable[Item], containers: Iterable[Task], *, member: bool
    ) -> None:
        """See NodeNetworks."""
        self._member = member
        self._own = {key_of(item): item for item in items}
        found = (place_of(container) for container in containers)
        self._lone = {place.task_id: place for place in found if place is not None}
        if not member and (self._own or self._lone):
            await self.restore("", (), (), ())

    async def own(self, items: Iterable[Item], gone: Iterable[Key] = ()) -> None:
        """See NodeNetworks."""
        fresh, dropped = list(items), list(gone)
        for key in dropped:
            self._own.pop(key, None)
        self._own.update((key_of(item), item) for item in fresh)
        data_path = await self._ready()
        mine = [self._mine(item) for item in fresh]
        self._names.hear(await self._act(lambda: data_path.own(mine, dropped)))

    async def addresses(self, task_id: str) -> Mapping[str, Sequence[str]]:
        """See NodeNetworks."""
        data_path = self._data_path
        if data_path is None:
            return {}
        return await self._in_thread(lambda: data_path.addresses(task_id))

    async def grant(
        self, asked: Collection[specs_pb2.PortConfig]
    ) -> Collection[specs_pb2.PortConfig]:
        """See NodeNetworks."""
        data_path = await self._ready()
        return await self._in_thread(lambda: data_path.grant(asked))

    async def used_subnets(self) -> list[str]:
        """See NodeNetworks."""
        return await self._in_thread((await self._ready()).used_subnets)

    async def join(self, task: Task) -> Joined | None:
        """See NodeNetworks."""
        place = place_of(task)
        if place is None:
            return None
        data_path = await self._ready() if place.lone else self._here()
        made = await self._act(lambda: data_path.join(place))
        try:
            await self._names.serve(place, made.path)
        except BaseException:
            before = self._lone.get(task.id)
            if before is None:
                await self.leave(task.id)
            else:
                await self._act(lambda: data_path.join(before))
            raise
        if place.lone:
            self._lone[task.id] = place
        host = await asyncio.to_thread(_text_of, HOST_RESOLV_CONF)
        return Joined(made.path, made.addresses, container_text(task.spec.container.dns, host))

    async def ports(self, task_id: str) -> Collection[specs_pb2.PortConfig]:
        """See NodeNetworks."""
        data_path = self._here()
        return await self._in_thread(lambda: data_path.ports(task_id))

    async def drained(self, task: Task) -> None:
        """See NodeNetworks."""
        await self._drains.wait(task.id)

    async def leave(self, task_id: str) -> None:
        """See NodeNetworks."""
        self._names.forget(task_id)
        self._lone.pop(task_id, None)
        self._drains.forget(task_id)
        data_path = self._data_path
        if data_path is not None:
            await self._act(lambda: data_path.leave(task_id))

    def obstacles(self) -> Collection[objects_pb2.NetworkObstacle]:
        """See NodeNetworks."""
        return self._checks.obstacles()

    async def check(self, order: check_pb2.CheckOrder) -> check_pb2.CheckReportRequest:
        """See NodeNetworks."""
        return await self._checks.check(order)

    async def clear(self) -> None:
        """See NodeNetworks."""
        self._member = False
        if self._own or self._lone:
            self._drains.clear()
            await self.restore("", (), (), ())
            await self._in_thread(self._here().forget_keys)
            return
        self._names.forget_all()
        data_path = self._data_path or self._make("")
        self._data_path = None
        self._drains.clear()
        await self._in_thread(data_path.clear)

    async def close(self) -> None:
        """See NodeNetworks."""
        for task in filter(None, (self._retry, self._looking, self._tending)):
            task.cancel()
            await asyncio.wait({task})
        if self._data_path is not None:
            await self._in_thread(self._data_path.close)
        await asyncio.to_thread(self._thread.shutdown)
        self._names.close()
        self._names.nft.close()

    # --- within -----------------------------------------------------------------------------

    def _here(self) -> DataPath:
        if self._data_path is None:
            raise SwarmError(Code.UNAVAILABLE, "this node is in no swarm")
        return self._data_path

    async def _ready(self) -> DataPath:
        """Also on a host that is in no swarm, for what is its own."""
        if self._data_path is None:
            if self._member:
                what = "this node does not know yet what it has in networks"
                why = "its agent begins, or its keys are locked"
                raise TemporaryError(Code.UNAVAILABLE, what, why=why)
            await self.restore("", (), (), ())
        return self._here()

    def _mine(self, item: Item) -> Item:
        """An item of this host's own, as that of the node that it is now."""
        if not isinstance(item, network_pb2.NetworkEndpoint):
            return item
        mine = network_pb2.NetworkEndpoint()
        mine.CopyFrom(item)
        mine.node_id = self._node_id
        return mine

    async def _act(self, function: Callable[[], T]) -> T:
        """One step of the data path; what it leaves undone is tried again."""
        try:
            return await self._in_thread(function)
        finally:
            self._look_after()

    def _look_after(self) -> None:
        if self._data_path is None:
            return
        if self._devices != (devices := self._data_path.devices()):
            self._devices = devices
            self._checks.needs_more()
        if self._data_path.trouble is None:
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
                except Exception:  # the boundary of one turn: the next one is due all the same
                    log.exception("the looking after networks broke down")

    async def _in_thread(self, function: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._thread, function)


def open_networks(
    names: Names | None,
    monotonic: Clock,
    keys: KeyRing,
    encryption: Options,
    *,
    look_every: float = EVERY,
    opens: bool = False,
) -> NodeNetworks:
    """The networks of this host; without names it builds none. `keys`: of this node, by which
    networks are encrypted; `look_every`, `opens`: see KernelNetworks.
    """
    if names is None:
        return NoNetworks()
    nft = names.nft
    encrypts = Encryption(nft, keys, encryption)
    return KernelNetworks(
        names,
        monotonic,
        lambda node_id: DataPath(node_id, nft, encrypts),
        look_every=look_every,
        opens=opens,
    )


def _text_of(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""
