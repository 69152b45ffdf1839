"""Keeps the keys on this manager's disk under the unlock key that the cluster has just now.

Every manager does this for itself, whoever leads: one that was away follows when it is back, and
until then is opened by the key that it last heard of. How keys are encrypted is not known here.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable

from api.errors import SwarmError
from api.v1 import objects_pb2
from manager.state.store import Store
from manager.state.watch import WatchHub, of

logger = logging.getLogger(__name__)

Relock = Callable[[bytes | None, int], bool]
"""Encrypts the keys under the unlock key (None: not at all), as the cluster object of this version
says; whether that changed anything. Blocks; OSError where the disk does not take it: the keys can
still be opened, call it again.
"""
RETRY = 5.0
"""Seconds until a disk that failed is tried again."""


class Locking:
    """Tells `relock` of the unlock key when this manager starts, and whenever it changes.

    `seal_anew` then begins to write the log under a data key that whoever has the former unlock
    key, and a copy of the disk, does not know.
    """

    def __init__(
        self,
        store: Store,
        hub: WatchHub,
        relock: Relock,
        seal_anew: Callable[[], Awaitable[None]],
        *,
        retry: float = RETRY,
    ) -> None:
        self._store = store
        self._hub = hub
        self._relock = relock
        self._seal_anew = seal_anew
        self._retry = retry

    async def run(self) -> None:
        """Runs until cancelled, and then returns once no thread of it touches the disk."""
        woken = asyncio.Event()
        subscription = self._hub.subscribe(woken.set, match=of(objects_pb2.Cluster))
        try:
            while True:
                await self._follow()
                await woken.wait()
                woken.clear()
                subscription.take()
        finally:
            self._hub.unsubscribe(subscription)

    async def _follow(self) -> None:
        while (cluster := next(self._store.all(objects_pb2.Cluster), None)) is not None:
            kek = cluster.unlock_key or None
            work = asyncio.create_task(asyncio.to_thread(self._relock, kek, cluster.meta.version))
            try:
                changed = await asyncio.shield(work)
            except OSError as error:
                logger.error(
                    "the keys on this disk do not follow the swarm's unlock key yet: %s", error
                )
                await asyncio.sleep(self._retry)
            except asyncio.CancelledError:
                await asyncio.gather(work, return_exceptions=True)
                raise
            else:
                if changed:
                    await self._seal()
                return

    async def _seal(self) -> None:
        try:
            await self._seal_anew()
        except SwarmError as error:
            logger.error("the log is still written under the former data key: %s", error)
