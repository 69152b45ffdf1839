"""Linearizable reads without an entry in the log: ReadIndex (thesis, 6.4). Leases are not used.

Invariants: an index is given out only by a leader that has committed an entry of its own term, as
before that it may not know what its predecessors committed; and only after a quorum has answered a
heartbeat that was sent after the request came. Requests are lost with the leader: who asked asks
again, and may get an answer to both.
"""

from typing import Final

from api.v1.raft_pb2 import Entry, RaftMessage
from manager.raft.core import sending
from manager.raft.core.raft import Raft, sender
from manager.raft.core.ready import ReadState, Role

MAX_WAITING: Final = 4096
"""Requests that wait for the first commit of a term; more are dropped."""


def ask(raft: Raft, context: bytes) -> None:
    """Asks on behalf of this member; in vain, and in silence, if it knows no leader."""
    if raft.role is Role.LEADER:
        _take(raft, raft.id, context)
    elif raft.leader:
        raft.send(RaftMessage.TYPE_READ_INDEX, raft.leader, entries=[Entry(data=context)])


def on_request(raft: Raft, message: RaftMessage) -> None:
    """A leader is asked by a follower."""
    for entry in message.entries:
        _take(raft, sender(message), entry.data)


def on_answer(raft: Raft, message: RaftMessage) -> None:
    """A follower is answered by its leader."""
    for entry in message.entries:
        raft.read_states.append(ReadState(index=message.index, context=entry.data))


def on_confirmation(raft: Raft, member: int, token: bytes) -> None:
    """A leader is told that `member` followed it when the heartbeat with this token came."""
    raft.read_only.confirm(member, token)
    answer_confirmed(raft)


def release_waiting(raft: Raft) -> None:
    """Takes up the requests that waited for a commit in this leader's term: now there is one."""
    if not raft.waiting_reads:
        return
    for member, context in raft.waiting_reads:
        raft.read_only.add(raft.log.committed, member, context)
    raft.waiting_reads = []
    _confirm(raft)


def answer_confirmed(raft: Raft) -> None:
    """Answers the requests that a quorum has confirmed; call it too when the quorum changed."""
    for read in raft.read_only.released(raft.tracker.config.voters, raft.id):
        if read.member == raft.id:
            raft.read_states.append(ReadState(index=read.commit, context=read.context))
        else:
            raft.send(
                RaftMessage.TYPE_READ_INDEX_RESPONSE,
                read.member,
                index=read.commit,
                entries=[Entry(data=read.context)],
            )


def _take(raft: Raft, member: int, context: bytes) -> None:
    if raft.commit_is_current:
        raft.read_only.add(raft.log.committed, member, context)
        _confirm(raft)
    elif len(raft.waiting_reads) < MAX_WAITING:
        raft.waiting_reads.append((member, context))


def _confirm(raft: Raft) -> None:
    """Begins a round of heartbeats, which a leader that is the only voter can do without."""
    answer_confirmed(raft)
    if raft.read_only.token:
        sending.broadcast_heartbeat(raft)
