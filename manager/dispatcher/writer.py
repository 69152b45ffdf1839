"""Gathers what is to be written, writes it in few proposals, and answers whoever waits for it.

One write at a time, so that what is gathered meanwhile shares the next one, and so that what was
said later is also written later. A stale version is decided again from the fresh object. The rules
of what is written are in the Outbox; this is the thin shell around it.
"""

import asyncio
import logging
from collections.abc import Iterable
from typing import Generic, Protocol, TypeVar

from api.errors import Code, SwarmError
from hostkit.clock import Clock
from manager.state.changes import Batch, proposals
from manager.state.proposer import Proposer
from manager.state.store import View
from manager.waiting import until_due

logger = logging.getLogger(__name__)
T = TypeVar("T")

ATTEMPTS = 10
RETRY_DELAY = 0.5
"""Seconds to wait after a proposal that failed as a whole."""


class Outbox(Protocol[T]):
    """What is yet to be written, and how."""

    def due(self, now: float) -> float | None:
        """When to write, in monotonic seconds; None while there is nothing to write."""

    def take(self, now: float) -> T:
        """Everything that there is to write."""

    def restore(self, taken: T) -> None:
        """What was taken could not be written, and should be tried again if it matters still."""

    def batches(self, view: View, taken: T) -> Iterable[Batch]:
        """What of `taken` is not in the store yet; read piece by piece while writing goes on."""


class Writer(Generic[T]):
    """Writes one outbox. Works while `run` runs, once."""

    def __init__(
        self, name: str, outbox: Outbox[T], *, view: View, proposer: Proposer, monotonic: Clock
    ) -> None:
        self._name = name
        self._outbox = outbox
        self._view = view
        self._proposer = proposer
        self._monotonic = monotonic
        self._woken = asyncio.Event()
        self._waiting: list[asyncio.Future[None]] = []
        self._ended = False

    def wake(self) -> None:
        """Something was put into the outbox."""
        self._woken.set()

    async def durable(self) -> None:
        """Returns when what is in the outbox now is durable; SwarmError if it cannot be written."""
        if self._ended:
            raise _stopped(self._name)
        if self._outbox.due(self._monotonic()) is None:
            return
        done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append(done)
        self.wake()
        await done

    async def run(self) -> None:
        """Writes whatever comes, until cancelled."""
        try:
            while True:
                await until_due(
                    self._woken, lambda: self._outbox.due(self._monotonic()), self._monotonic
                )
                await self._write()
        finally:
            self._ended = True
            _answer(self._waiting, _stopped(self._name))

    async def _write(self) -> None:
        taken = self._outbox.take(self._monotonic())
        waiting, self._waiting = self._waiting, []
        failure: SwarmError | None = _stopped(self._name)
        try:
            await self._settle(taken)
            failure = None
        except SwarmError as error:
            failure = error
            self._outbox.restore(taken)
        finally:
            _answer(waiting, failure)
        if failure is not None:
            logger.warning("%s could not be written: %s", self._name, failure)
            await asyncio.sleep(RETRY_DELAY)

    async def _settle(self, taken: T) -> None:
        for _ in range(ATTEMPTS):
            stale = False
            for proposal in proposals(self._outbox.batches(self._view, taken)):
                applied = await self._proposer.propose(proposal)
                stale |= any(applied.results)
            if not stale:
                return
        raise SwarmError(
            Code.UNAVAILABLE,
            f"{self._name} could not be written",
            why=f"something else changed the same objects {ATTEMPTS} times in a row",
            remedy="try again",
        )


def _answer(waiting: Iterable[asyncio.Future[None]], failure: SwarmError | None) -> None:
    for done in waiting:
        if done.done():
            continue
        if failure is None:
            done.set_result(None)
        else:
            done.set_exception(failure)


def _stopped(name: str) -> SwarmError:
    return SwarmError(
        Code.UNAVAILABLE,
        f"{name} could not be written",
        why="this manager does not lead any more",
        remedy="connect to the leader and try again",
    )
