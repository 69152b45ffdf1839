"""One other member: what waits for it, and the links to it, one after another."""

import asyncio
import logging
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass

from api.errors import Code, SwarmError
from api.v1.raft_pb2 import Member, RaftGreeting, RaftMessage
from manager.raft.core.config import Chance
from manager.raft.transport.delivery import Deliveries
from manager.raft.transport.link import Link
from manager.raft.transport.outbox import Outbox, is_urgent
from manager.raft.transport.receiver import Connect, Receiver, SnapshotData
from manager.raft.transport.retry import Retry

logger = logging.getLogger(__name__)

URGENT_MESSAGES, URGENT_BYTES = 512, 1 << 20
BULK_MESSAGES, BULK_BYTES = 4096, 32 << 20
"""What may wait for one member. A core keeps less than that under way to one that answers."""


@dataclass(frozen=True)
class Surroundings:
    """What all peers of a transport have in common."""

    receiver: Receiver
    connect: Connect
    snapshot_data: SnapshotData
    version: int
    address: Callable[[], str]
    chance: Chance
    monotonic: Callable[[], float]


class Peer:
    """Keeps a link to `member` until `end`; what cannot be sent is dropped and reported."""

    def __init__(self, member: Member, around: Surroundings) -> None:
        self.member = member
        self._around = around
        self._urgent = Outbox(messages=URGENT_MESSAGES, size=URGENT_BYTES)
        self._bulk = Outbox(messages=BULK_MESSAGES, size=BULK_BYTES)
        self._deliveries = Deliveries(member.raft_id, around.snapshot_data, around.receiver)
        self._retry = Retry(around.chance)
        self._link: Link | None = None
        self._was_open = False
        self._told: set[str] = set()
        self._hurry = asyncio.Event()
        self._ended = False
        self.settled = asyncio.Event()
        """Set once the latest `reopen` has led to an open link, or to a failed attempt."""
        self.task = asyncio.create_task(self._run())

    def queue(self, message: RaftMessage) -> None:
        """Takes a message; it leaves with the next `flush`, or when its stream is free."""
        if message.type == RaftMessage.TYPE_SNAPSHOT:
            if self._link is None:
                self._deliveries.refuse()
            else:
                self._link.deliver(message)
        elif (self._urgent if is_urgent(message) else self._bulk).push(message):
            logger.info("messages to %s are dropped: too much waits for it", self._name())
            asyncio.get_running_loop().call_soon(self._report)

    def flush(self) -> None:
        """Begins to write what is queued."""
        if self._link is not None:
            self._link.flush()

    def reopen(self, member: Member) -> None:
        """Makes a new link, with the present credentials, to the member's present address."""
        self.member = member
        self.settled.clear()
        self._hurry.set()
        if self._link is not None:
            self._link.finish(drain=self._ended)

    def hurry(self) -> None:
        """The member is known to live: a wait for the next attempt is over."""
        if self._link is None:
            self._hurry.set()

    def end(self) -> None:
        """Sends what is queued, if that is soon done; then `task` is done."""
        self._ended = True
        self.reopen(self.member)

    async def _run(self) -> None:
        while not self._ended:
            self._hurry.clear()
            began = self._around.monotonic()
            error = await self._one_link()
            if error is None or self._ended:
                continue
            self._report()
            if error.code is Code.REFUSED:
                self._around.receiver.refused(error)
            if not self._hurry.is_set():
                lasted = self._around.monotonic() - began
                await self._wait(
                    error, self._retry.delay(error.code, lasted, opened=self._was_open)
                )
        self.settled.set()

    async def _one_link(self) -> SwarmError | None:
        self._was_open = False
        try:
            self._link = Link(
                self._around.connect(self.member),
                self._greeting(),
                (self._urgent, self._bulk),
                self._deliveries,
            )
            await self._link.run(self._opened)
        except SwarmError as error:
            return error
        except Exception:  # the edge of the link: the next one is tried
            logger.exception("the link to %s broke down", self._name())
            return SwarmError(Code.INTERNAL, "the link broke down")
        finally:
            self._link = None
        return None

    async def _wait(self, error: SwarmError, delay: float) -> None:
        # What is old by the time of the next link is of no use to anybody.
        self._urgent.clear()
        self._bulk.clear()
        if str(error) not in self._told:
            self._told.add(str(error))
            logger.warning("no link to %s: %s", self._name(), error)
        self.settled.set()
        with suppress(TimeoutError):
            async with asyncio.timeout(delay):
                await self._hurry.wait()

    def _opened(self) -> None:
        self._was_open = True
        self.settled.set()
        if self._told:
            self._told.clear()
            logger.info("the link to %s is open again", self._name())

    def _report(self) -> None:
        if not self._ended:
            self._around.receiver.unreachable(self.member.raft_id)

    def _greeting(self) -> RaftGreeting:
        receiver = self._around.receiver
        return RaftGreeting(
            group_id=receiver.group_id,
            to=self.member.raft_id,
            version=self._around.version,
            address=self._around.address(),
            **{"from": receiver.raft_id},
        )

    def _name(self) -> str:
        member = self.member
        return f"member {member.raft_id:x} (node {member.node_id}, {member.address})"
