"""Proposals of this manager, from the caller to the log and back. Runs on the loop.

What comes while a write is under way is handed to the core as one proposal of many entries, so that
it shares the next write (group commit). Decides nothing about the log.
"""

import asyncio
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass

from api.errors import SwarmError
from api.v1.raft_pb2 import Entry, Member
from manager.raft.core.errors import DropReason, ProposalDroppedError
from manager.raft.core.raw_node import RawNode
from manager.raft.node import failures
from manager.raft.node.duties import Applied
from manager.raft.node.waits import Waits

ROUND_BYTES = 1 << 20
"""Bytes of data handed in at once: so much the others get in one message, with an answer each."""


@dataclass(slots=True)
class Proposal:
    """Data that waits to be appended, or an entry that waits to be applied."""

    data: bytes
    local: object | None
    done: asyncio.Future[object]
    changes_conf: bool = False


class Proposals:
    """Futures that are done with the state machine's answer, or fail with a SwarmError."""

    def __init__(self) -> None:
        self._queue: deque[Proposal] = deque()
        self._waits: Waits[Proposal] = Waits()

    def __len__(self) -> int:
        return len(self._queue) + len(self._waits)

    def add(self, data: bytes, local: object | None) -> asyncio.Future[object]:
        """Queues data for the next `hand_in`."""
        done: asyncio.Future[object] = asyncio.get_running_loop().create_future()
        self._queue.append(Proposal(data, local, done))
        return done

    def change(self, index: int, term: int) -> asyncio.Future[object]:
        """A change of the configuration was appended there."""
        done: asyncio.Future[object] = asyncio.get_running_loop().create_future()
        displaced = self._waits.add(index, term, Proposal(b"", None, done, changes_conf=True))
        _fail(displaced, failures.overwritten())
        return done

    def hand_in(self, raw: RawNode, leader: Member | None) -> None:
        """Proposes what waits, up to ROUND_BYTES. What the core has no room for waits on."""
        batch = self._next_batch()
        if not batch:
            return
        try:
            first = raw.propose(*(proposal.data for proposal in batch))
        except ProposalDroppedError as error:
            if error.reason is DropReason.TOO_MUCH_UNCOMMITTED:
                self._queue.extendleft(reversed(batch))
            else:
                _fail(batch, failures.dropped(error.reason, leader))
            return
        if first is None:
            raise RuntimeError("a proposal was passed on, though that is off")
        for index, proposal in enumerate(batch, start=first):
            _fail(self._waits.add(index, raw.term, proposal), failures.overwritten())

    def local_of(self, entry: Entry) -> object | None:
        """What the proposer of this entry handed in beside its data, if it was proposed here."""
        proposal = self._waits.at(entry.index, entry.term)
        return None if proposal is None else proposal.local

    def applied(self, applied: Applied) -> None:
        """An entry was applied: its proposer, if it was one of here, has his answer."""
        entry, result = applied.entry, applied.result
        proposal, overwritten = self._waits.applied(entry.index, entry.term)
        if overwritten:
            _fail(overwritten, failures.overwritten())
        if proposal is None or proposal.done.done():
            return
        if proposal.changes_conf and entry.type != Entry.TYPE_CONF_CHANGE:
            result = failures.conflicting_change()
        if isinstance(result, SwarmError):
            proposal.done.set_exception(result)
        else:
            proposal.done.set_result(result)

    def jumped(self, index: int) -> None:
        """A snapshot came in place of the entries up to `index`."""
        _fail(self._waits.jumped(index), failures.unknown_outcome())

    def lost(self, leader: Member | None) -> None:
        """This member leads no more."""
        _fail(self._waits.lost(), failures.unknown_outcome())
        _fail(self._drained(), failures.not_leading(leader))

    def end(self, why: SwarmError) -> None:
        """Nothing is written any more."""
        _fail(self._waits.lost(), why)
        _fail(self._drained(), why)

    def _next_batch(self) -> list[Proposal]:
        """The first ones, at least one if there is one; without those whose caller has gone."""
        batch: list[Proposal] = []
        size = 0
        while self._queue:
            proposal = self._queue[0]
            size += len(proposal.data)
            if batch and size > ROUND_BYTES:
                break
            self._queue.popleft()
            if not proposal.done.done():
                batch.append(proposal)
        return batch

    def _drained(self) -> list[Proposal]:
        queue, self._queue = list(self._queue), deque()
        return queue


def _fail(proposals: Iterable[Proposal], why: SwarmError) -> None:
    for proposal in proposals:
        if not proposal.done.done():
            proposal.done.set_exception(why)
