"""Planted bugs in replication, commitment and reads."""

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager

from api.v1.raft_pb2 import Entry, RaftMessage
from manager.raft.core import following, leader_log, reads, replication, sending
from manager.raft.core import ready as ready_module
from manager.raft.core.leader_log import Draft
from manager.raft.core.log import RaftLog
from manager.raft.core.quorum import MAX_INDEX, Joint, Majority
from manager.raft.core.raft import Raft
from manager.raft.core.read_only import ReadOnly, WaitingRead
from manager.raft.core.ready import ReadState
from tests.sim.raft.plant import Plants, rehandle, swap

plants = Plants()


@plants("all")
def plant_acknowledged_before_sync() -> AbstractContextManager[object]:
    """A follower acknowledges entries before they are on its disk."""
    early = ready_module._EARLY | {RaftMessage.TYPE_APPEND_RESPONSE}
    return swap(ready_module, "_EARLY", early)


@plants("all", seeds=20)
def plant_leader_counts_itself_before_sync() -> AbstractContextManager[object]:
    """A leader counts its own append as soon as it is made."""
    append = leader_log.append

    def hasty(raft: Raft, drafts: Sequence[Draft]) -> int:
        first = append(raft, drafts)
        progress = raft.own_progress
        if progress is not None:
            progress.maybe_update(raft.log.last_index())
            leader_log.commit(raft)
        return first

    return swap(leader_log, "append", hasty)


@plants("partition,drop,kill,oneway", nodes=5, steps=8_000, seeds=40)
def plant_entry_of_an_old_term_committed() -> AbstractContextManager[object]:
    """A leader commits an entry of an earlier term by counting (Raft, figure 8)."""

    def commit(raft: Raft) -> bool:
        index, log = raft.tracker.committed(), raft.log
        if index <= log.committed or not log.maybe_commit(index, log.term(index)):
            return False
        reads.release_waiting(raft)
        sending.broadcast_append(raft)
        return True

    return swap(leader_log, "commit", commit)


@plants("partition,drop,kill,slow", nodes=4, seeds=20)
def plant_commit_by_half() -> AbstractContextManager[object]:
    """At even sizes half of the members commit."""

    def committed_index(self: Majority, acked: Callable[[int], int | None]) -> int:
        if not self.ids:
            return MAX_INDEX
        return sorted(acked(each) or 0 for each in self.ids)[len(self.ids) // 2]

    return swap(Majority, "committed_index", committed_index)


@plants("drop,delay,duplicate,partition", seeds=20)
def plant_truncation_without_conflict() -> AbstractContextManager[object]:
    """A follower puts whatever arrives in place of its tail, also if that agrees and is longer."""

    def find_conflict(self: RaftLog, entries: Sequence[Entry]) -> int:
        return next((each.index for each in entries if each.index > self.committed), 0)

    return swap(RaftLog, "find_conflict", find_conflict)


@plants("partition,drop,kill,power", seeds=20)
def plant_tail_not_overwritten() -> AbstractContextManager[object]:
    """A follower keeps its own entry where the leader has another."""

    def find_conflict(self: RaftLog, entries: Sequence[Entry]) -> int:
        last = self.last_index()
        return next((each.index for each in entries if each.index > last), 0)

    return swap(RaftLog, "find_conflict", find_conflict)


@plants("partition,drop,kill,power", seeds=20)
def plant_previous_entry_not_checked() -> AbstractContextManager[object]:
    """A follower appends to any entry of the right index, whatever its term."""
    match = RaftLog.match_term

    def careless(self: RaftLog, index: int, term: int) -> bool:
        return match(self, index, term) or self.committed < index <= self.last_index()

    return swap(RaftLog, "match_term", careless)


@plants("partition,drop,kill,delay", seeds=20)
def plant_mismatch_acknowledged() -> AbstractContextManager[object]:
    """A follower whose log does not fit acknowledges what it has, instead of refusing."""

    def acknowledge(raft: Raft, leader: int, message: RaftMessage) -> None:
        index = min(message.index, raft.log.last_index())
        raft.send(RaftMessage.TYPE_APPEND_RESPONSE, leader, index=index)

    return swap(following, "_reject_append", acknowledge)


@plants("partition,drop,kill,delay", seeds=40)
def plant_heartbeat_carries_the_whole_commit() -> AbstractContextManager[object]:
    """A heartbeat tells the commit index to a member that may not have the entries."""

    def broadcast(raft: Raft) -> None:
        for member, _ in raft.tracker.visit():
            if member != raft.id:
                raft.send(
                    RaftMessage.TYPE_HEARTBEAT,
                    member,
                    commit=raft.log.committed,
                    context=raft.read_only.token,
                )

    return swap(sending, "broadcast_heartbeat", broadcast)


@plants("partition,drop,kill,delay", seeds=20)
def plant_commit_without_a_match() -> AbstractContextManager[object]:
    """A follower commits as far as its leader, whether its own entries are the leader's or not."""
    maybe_append = RaftLog.maybe_append

    def generous(
        self: RaftLog, index: int, log_term: int, committed: int, entries: Sequence[Entry]
    ) -> int | None:
        last = maybe_append(self, index, log_term, committed, entries)
        self.commit_to(min(committed, self.last_index()))
        return last

    return swap(RaftLog, "maybe_append", generous)


@plants("drop,partition", seeds=20)
def plant_probe_never_resumed() -> AbstractContextManager[object]:
    """A member that was probed in vain is never probed again."""

    def deaf(raft: Raft, message: RaftMessage) -> None:
        progress = raft.tracker.progress.get(getattr(message, "from"))
        if progress is not None:
            progress.recent_active = True
        if message.context:
            reads.on_confirmation(raft, getattr(message, "from"), message.context)

    return rehandle(replication.on_heartbeat_response, deaf)


@plants("partition,oneway,pause", seeds=40)
def plant_read_without_a_round() -> AbstractContextManager[object]:
    """A leader answers a read at once, without finding out whether it still leads."""

    def released(self: ReadOnly, voters: Joint, leader: int) -> list[WaitingRead]:
        waiting = list(self._waiting)
        self._waiting.clear()
        return waiting

    return swap(ReadOnly, "released", released)


@plants("kill,partition,drop,slow", seeds=60)
def plant_read_before_the_first_commit() -> AbstractContextManager[object]:
    """A new leader answers reads before it knows what its predecessors have committed."""

    def take(raft: Raft, member: int, context: bytes) -> None:
        raft.read_only.add(raft.log.committed, member, context)
        reads._confirm(raft)

    return swap(reads, "_take", take)


@plants("kill,partition,drop,delay", seeds=40)
def plant_read_served_before_it_is_applied() -> AbstractContextManager[object]:
    """A read is answered with the index that the asked follower has, not with the leader's."""

    def on_answer(raft: Raft, message: RaftMessage) -> None:
        for entry in message.entries:
            raft.read_states.append(ReadState(index=raft.log.applied, context=entry.data))

    return rehandle(reads.on_answer, on_answer)


PLANTS = plants.all
