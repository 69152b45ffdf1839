"""The one driver of every manager loop: watch, debounce, decide, propose, apply, watch.

A thin shell around manager.runner.Runner. One loop's proposal is settled before it decides again,
so a loop always sees its own last decision applied. A loop that fails is begun anew, later and
later, and says so in its health; the other duties of the manager go on (docs/decisions/0008).
"""

import asyncio
import contextlib
import logging
from collections.abc import Callable

from api.errors import SwarmError
from hostkit.clock import timer
from manager.decision import Loop
from manager.runner import Runner
from manager.state.proposer import Proposer
from manager.state.store import Store
from manager.state.watch import Subscription, WatchHub, of

logger = logging.getLogger(__name__)

LONGEST_SLEEP = 60.0
"""Seconds after which a loop that waits for a moment asks the clock again: it may be set back."""


class LoopTask:
    """Keeps one loop going until cancelled."""

    def __init__(
        self,
        loop: Loop,
        *,
        store: Store,
        hub: WatchHub,
        proposer: Proposer,
        clock: Callable[[], float],
    ) -> None:
        self._loop = loop
        self._runner = Runner(loop)
        self._kinds = loop.kinds
        self._store = store
        self._hub = hub
        self._proposer = proposer
        self._clock = clock

    async def run(self) -> None:
        """Runs while this manager leads."""
        woken = asyncio.Event()
        subscription = self._hub.subscribe(woken.set, match=of(*self._kinds))
        try:
            self._runner.reset(self._clock())
            while True:
                await self._wait(woken)
                woken.clear()
                await self._turn(subscription)
                # Other loops and calls get their turn even when this one is never done.
                await asyncio.sleep(0)
        finally:
            self._hub.unsubscribe(subscription)
            self._runner = Runner(self._loop)  # what failed is the next leader's to make good

    def complaint(self) -> str:
        """What is wrong with this loop, for the health service; empty if nothing is."""
        return self._runner.complaint

    async def _turn(self, subscription: Subscription) -> None:
        try:
            self._take(subscription)
            await self._step()
        except SwarmError as error:
            logger.warning("%s: a proposal failed: %s", self._runner.name, error)
            self._runner.failed(str(error), self._clock())
        except Exception as error:  # the outermost boundary of a duty: the others go on
            logger.exception("%s failed, and is begun anew", self._runner.name)
            self._runner.failed(f"a defect, see the log: {error!r}", self._clock())

    async def _wait(self, woken: asyncio.Event) -> None:
        due = self._runner.due()
        if due is None:
            await woken.wait()
            return
        delay = due - self._clock()
        if delay > 0.0:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(timer(min(delay, LONGEST_SLEEP))):
                    await woken.wait()

    def _take(self, subscription: Subscription) -> None:
        commits = subscription.take()
        now = self._clock()
        if commits is None:
            self._runner.reset(now)
            return
        for commit in commits:
            self._runner.observe(commit.events, now)

    async def _step(self) -> None:
        proposal = self._runner.step(self._store, self._clock())
        if not proposal:
            return
        applied = await self._proposer.propose(proposal)
        self._runner.settled(proposal, applied.results, self._clock())
