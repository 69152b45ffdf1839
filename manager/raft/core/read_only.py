"""Reads that wait until a quorum has confirmed that this leader still leads (thesis, 6.4).

Each request takes the next number of a round. A heartbeat carries the newest number; an answer to
it says that the sender followed this leader after every request up to that number was made. So the
numbers that a quorum has confirmed are found as the entries that a quorum has stored are.

Invariants: indexes of waiting reads never fall; a request is released once, in the order of asking,
and never before a quorum has answered a heartbeat that was sent after it came. Sends nothing.
"""

from collections import deque
from typing import NamedTuple

from manager.raft.core.quorum import Joint

_NUMBER_BYTES = 8


class WaitingRead(NamedTuple):
    """Asked for by `member`, under `context`, when `commit` was the commit index."""

    number: int
    commit: int
    member: int
    context: bytes


class ReadOnly:
    """The waiting reads of one leader in one term."""

    __slots__ = ("_confirmed", "_newest", "_waiting")

    def __init__(self) -> None:
        self._newest = 0
        self._waiting: deque[WaitingRead] = deque()
        self._confirmed: dict[int, int] = {}

    def add(self, index: int, member: int, context: bytes) -> None:
        """Takes a request. The next heartbeats have to carry `token`."""
        self._newest += 1
        self._waiting.append(WaitingRead(self._newest, index, member, context))

    @property
    def token(self) -> bytes:
        """What heartbeats carry, for their answers to bring back; empty if no read waits."""
        return self._newest.to_bytes(_NUMBER_BYTES, "big") if self._waiting else b""

    def confirm(self, member: int, token: bytes) -> None:
        """Takes note of an answer to a heartbeat; one that this leader never sent is ignored."""
        number = int.from_bytes(token, "big")
        if self._confirmed.get(member, 0) < number <= self._newest:
            self._confirmed[member] = number

    def released(self, voters: Joint, leader: int) -> list[WaitingRead]:
        """Takes out the reads that a quorum of `voters` has confirmed; the leader itself always."""
        if not self._waiting:
            return []
        self._confirmed[leader] = self._newest
        confirmed = voters.committed_index(self._confirmed.get)
        released = []
        while self._waiting and self._waiting[0].number <= confirmed:
            released.append(self._waiting.popleft())
        return released
