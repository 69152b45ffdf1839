"""The messages of one member to all others. Decides nothing: what is lost, Raft repairs.

Nothing here holds its caller up or fails towards it. A member that is slow, frozen or away costs a
bounded queue, and the others nothing.
"""

import asyncio
import logging
from collections.abc import Callable, Iterable, Sequence

from api.v1.raft_pb2 import Member, RaftGreeting, RaftMessage
from manager.raft.core.config import Chance
from manager.raft.transport.peer import Peer, Surroundings
from manager.raft.transport.receiver import Connect, Receiver, SnapshotData

logger = logging.getLogger(__name__)


class Transport:
    """`bind` it to its receiver, tell it the members, and `close` it at the end.

    `version` is that of the log's commands that this member can apply; `address`: where it is
    reached, host:port; `monotonic` gives seconds.
    """

    def __init__(
        self,
        *,
        connect: Connect,
        snapshot_data: SnapshotData,
        version: int,
        address: Callable[[], str],
        chance: Chance,
        monotonic: Callable[[], float],
    ) -> None:
        self._connect = connect
        self._snapshot_data = snapshot_data
        self._version = version
        self._address = address
        self._chance = chance
        self._monotonic = monotonic
        self._around: Surroundings | None = None
        self._peers: dict[int, Peer] = {}
        self._guests: dict[int, Member] = {}
        self._leaving: set[asyncio.Task[None]] = set()
        self._reopening: asyncio.Task[None] | None = None
        self._closed = False

    def bind(self, receiver: Receiver) -> None:
        """Says whose messages these are; before anything else."""
        self._around = Surroundings(
            receiver=receiver,
            connect=self._connect,
            snapshot_data=self._snapshot_data,
            version=self._version,
            address=self._address,
            chance=self._chance,
            monotonic=self._monotonic,
        )

    def send(self, messages: Sequence[RaftMessage]) -> None:
        """Sends each to the member that it is for; never waits, never raises.

        What cannot be sent is dropped, and `Receiver.unreachable` told of it, though never from
        inside this call. A TYPE_SNAPSHOT comes without data: that is fetched when it is sent.
        """
        touched: dict[int, Peer] = {}
        for message in messages:
            peer = self._peers.get(message.to)
            if peer is not None:
                peer.queue(message)
                touched[message.to] = peer
        for peer in touched.values():
            peer.flush()

    def set_members(self, members: Iterable[Member]) -> None:
        """Who is in the group: new ones get a link, moved ones another, those missing lose theirs.

        Copies the messages. The member itself is passed over. Who greeted, and is not named yet,
        keeps its link for as long as it is let in.
        """
        if self._around is None or self._closed:
            return
        named = {member.raft_id: member for member in members}
        admits = self._around.receiver.admits
        self._guests = {
            raft_id: guest
            for raft_id, guest in self._guests.items()
            if raft_id not in named and admits(raft_id, guest.node_id) is None
        }
        wanted = self._guests | named
        wanted.pop(self._around.receiver.raft_id, None)
        for raft_id in self._peers.keys() - wanted.keys():
            self._let_go(self._peers.pop(raft_id))
        for raft_id, member in wanted.items():
            peer = self._peers.get(raft_id)
            if peer is None:
                self._peers[raft_id] = Peer(_copy(member), self._around)
            elif peer.member != member:
                peer.reopen(_copy(member))

    @property
    def links(self) -> frozenset[int]:
        """The members to which there is a link, or one is tried for."""
        return frozenset(self._peers)

    def greeted(self, greeting: RaftGreeting, node_id: str) -> None:
        """A member has opened a stream to this one, so it lives: it is tried again at once.

        One that is not known here gets a link too: it joined while this member was away, and may
        need its answers to tell it so.
        """
        raft_id = getattr(greeting, "from")
        peer = self._peers.get(raft_id)
        if peer is not None:
            peer.hurry()
        elif self._around is not None and not self._closed and greeting.address:
            guest = Member(raft_id=raft_id, node_id=node_id, address=greeting.address)
            self._guests[raft_id] = guest
            self._peers[raft_id] = Peer(guest, self._around)

    def reconnect(self) -> None:
        """Reopens all links with new credentials, one after another."""
        if self._closed:
            return
        if self._reopening is not None:
            self._reopening.cancel()
        self._reopening = asyncio.create_task(self._reopen_all(list(self._peers.values())))

    async def close(self) -> None:
        """Ends all links; what is queued is still sent where that takes no time. For good."""
        self._closed = True
        if self._reopening is not None:
            self._reopening.cancel()
            await asyncio.wait({self._reopening})
        while self._peers:
            self._let_go(self._peers.popitem()[1])
        if self._leaving:
            await asyncio.wait(self._leaving)

    def _let_go(self, peer: Peer) -> None:
        peer.end()
        self._leaving.add(peer.task)
        peer.task.add_done_callback(self._leaving.discard)

    async def _reopen_all(self, peers: Sequence[Peer]) -> None:
        for peer in peers:
            peer.reopen(peer.member)
            await peer.settled.wait()


def _copy(member: Member) -> Member:
    copied = Member()
    copied.CopyFrom(member)
    return copied
