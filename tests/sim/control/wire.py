"""The transport between simulated managers: what manager.raft.transport does over gRPC."""

from collections.abc import Awaitable, Callable, Iterable, Sequence
from typing import TYPE_CHECKING

from api.errors import SwarmError
from api.v1.raft_pb2 import Member, RaftMessage
from tests.sim.control.loop import Process, current_process

if TYPE_CHECKING:
    from tests.sim.control.manager import Manager


class Wire:
    """Fulfils Transport between simulated managers."""

    def __init__(self, manager: "Manager") -> None:
        self._manager = manager
        self._members: dict[int, Member] = {}

    def send(self, messages: Sequence[RaftMessage]) -> None:
        """Takes messages on their way."""
        if not self._manager.process.alive:
            return
        for message in messages:
            member = self._members.get(message.to)
            if member is None:
                continue
            if message.type == RaftMessage.TYPE_SNAPSHOT:
                self._manager.process.spawn(self._send_snapshot(message, member))
            else:
                self._carry(message, member)

    def set_members(self, members: Iterable[Member]) -> None:
        """Who is in the group."""
        own = self._manager.node.raft_id if hasattr(self._manager, "node") else 0
        self._members = {each.raft_id: each for each in members if each.raft_id != own}

    def _carry(self, message: RaftMessage, member: Member) -> None:
        node, process = self._manager.node, self._manager.process

        def lost() -> None:
            if process.alive:
                process.call(node.unreachable, message.to)

        self._send_to(member, lambda other: other.node.receive([message]), lost)

    async def _send_snapshot(self, message: RaftMessage, member: Member) -> None:
        node, process = self._manager.node, self._manager.process
        try:
            data = await node.snapshot_data(message.snapshot.metadata)
        except (SwarmError, OSError):
            node.snapshot_sent(message.to, False)
            return
        whole = RaftMessage()
        whole.CopyFrom(message)
        whole.snapshot.data = data

        def told(ok: bool) -> None:
            if process.alive:
                process.call(node.snapshot_sent, message.to, ok)

        async def take(other: "Manager") -> None:
            await other.node.receive_snapshot(whole)
            told(True)

        self._send_to(member, take, lambda: told(False))

    def _send_to(
        self, member: Member, take: "Callable[[Manager], Awaitable[None]]", lost: Callable[[], None]
    ) -> None:
        manager = self._manager
        name = member.address.partition(":")[0]
        host = manager.world.hosts[name]

        def receiver() -> Process | None:
            other = host.manager
            if other is None or other.node.raft_id != member.raft_id:
                return None
            refusal = other.node.admits(manager.node.raft_id, manager.host.name)
            if refusal is not None:
                self._refuse(name, refusal)
                return None
            return other.process

        def deliver() -> None:
            other = host.manager
            if other is not None and other.process is current_process() and other.process.alive:
                other.process.spawn(_taken(take(other)))

        manager.world.network.datagram((manager.host.name, name), receiver, deliver, lost)

    def _refuse(self, name: str, refusal: SwarmError) -> None:
        """The way back of a refusal from that host."""
        manager = self._manager

        def deliver() -> None:
            if manager.process.alive:
                manager.node.refused(refusal)

        ends = (name, manager.host.name)
        manager.world.network.datagram(ends, lambda: manager.process, deliver, lambda: None)


async def _taken(work: Awaitable[None]) -> None:
    """A member that has come to its end takes nothing any more."""
    try:
        await work
    except SwarmError:
        return
