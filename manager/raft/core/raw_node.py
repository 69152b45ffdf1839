"""The surface of the core: one member of a group, driven by whoever owns clock, disk and network.

The caller loops: `ready`, persist, send, install, apply, `advance`; duties and order are those of
`Ready`. Meanwhile, while the disk works, it may go on to step, propose and tick.

Invariants: at most one Ready is outstanding; it stays as it was handed out; `advance` acts on what
was handed out and on nothing else, so entries that came in between are persisted by the next Ready
before anything counts them. Never blocks, and never does the duties itself.
"""

from typing import Final, NamedTuple

from api.v1.raft_pb2 import ConfChange, ConfState, Entry, RaftMessage
from manager.raft.core import (
    clock,
    election,
    leader_log,
    proposals,
    reads,
    reconfigure,
    replication,
    sending,
    transfer,
)
from manager.raft.core.config import Config
from manager.raft.core.errors import UnknownPeerError
from manager.raft.core.raft import Raft, sender
from manager.raft.core.ready import Ready, Role
from manager.raft.core.status import Status, status_of
from manager.raft.core.step import step

_ANSWERS: Final = frozenset(
    (
        RaftMessage.TYPE_APPEND_RESPONSE,
        RaftMessage.TYPE_VOTE_RESPONSE,
        RaftMessage.TYPE_PRE_VOTE_RESPONSE,
        RaftMessage.TYPE_HEARTBEAT_RESPONSE,
        RaftMessage.TYPE_READ_INDEX_RESPONSE,
    )
)


class _Outstanding(NamedTuple):
    """What the Ready that is out will have done once it is advanced."""

    persisted: tuple[int, int] | None  # index and term of the last entry
    snapshot: int  # its index; 0: none
    applied: int
    answers: list[RaftMessage]  # to this member itself


class RawNode:
    """One member. Not for use by several threads at once. Changes only when it is called.

    Raises whatever the Storage raises, and InvariantError: the node must stop then.
    """

    __slots__ = ("_hard_state", "_outstanding", "_raft", "_soft_state")

    def __init__(self, config: Config) -> None:
        self._raft = Raft(config)
        self._soft_state = _soft(self._raft)
        self._hard_state = _hard(self._raft)
        self._outstanding: _Outstanding | None = None

    # What it is.

    @property
    def is_leader(self) -> bool:
        """Whether it leads, as far as it knows."""
        return self._raft.role is Role.LEADER

    @property
    def leader(self) -> int:
        """The raft id of the leader; 0: none known."""
        return self._raft.leader

    @property
    def term(self) -> int:
        """Its term."""
        return self._raft.term

    @property
    def applied(self) -> int:
        """The index up to which advanced Readys have applied."""
        return self._raft.log.applied

    @property
    def committed(self) -> int:
        """The index up to which it knows entries to be committed."""
        return self._raft.log.committed

    def status(self) -> Status:
        """All of it, copied."""
        return status_of(self._raft)

    # What happens to it.

    def tick(self) -> None:
        """One tick of its clock has passed."""
        clock.tick(self._raft)

    def step(self, message: RaftMessage) -> None:
        """A message of another member came.

        UnknownPeerError: an answer of somebody who is not in the configuration, or in this
        member's own name. ProposalDroppedError: another member's proposal, not taken.
        """
        if message.type in _ANSWERS:
            member = sender(message)
            if member == self._raft.id or member not in self._raft.tracker.progress:
                raise UnknownPeerError(f"an answer came from {member}")
        step(self._raft, message)

    def report_unreachable(self, member: int) -> None:
        """A message to that member could not be sent."""
        replication.report_unreachable(self._raft, member)

    def report_snapshot(self, member: int, ok: bool) -> None:
        """The snapshot sent to that member was handed over, or not."""
        replication.report_snapshot(self._raft, member, ok)

    # What is asked of it.

    def campaign(self) -> None:
        """Starts an election now, if this member may lead."""
        election.campaign(self._raft)

    def forget_leader(self) -> None:
        """A follower grants pre-votes again, as if it had not heard of its leader lately."""
        if self._raft.role is Role.FOLLOWER:
            self._raft.leader = 0

    def propose(self, *data: bytes) -> int | None:
        """Proposes commands, to be appended one after the other, all or none of them.

        Returns the index of the first if it was appended here, which does not mean that it will
        commit; None if the proposal was passed on to the leader. ProposalDroppedError: neither.
        ValueError: nothing was proposed.
        """
        if not data:
            raise ValueError("nothing was proposed")
        return proposals.propose(self._raft, [(Entry.TYPE_COMMAND, each) for each in data])

    def propose_conf_change(self, change: ConfChange) -> int | None:
        """Proposes a change of the configuration; returns and raises as `propose`.

        One that is not admissible now is appended as an empty command.
        """
        draft = (Entry.TYPE_CONF_CHANGE, change.SerializeToString())
        return proposals.propose(self._raft, [draft])

    def apply_conf_change(self, change: ConfChange | None) -> ConfState:
        """The caller applies a committed change; None if it refuses to. Returns what holds then.

        To be called once for each committed entry of that type, in order. ConfChangeError, with
        nothing done, if the configuration does not admit the change.
        """
        return reconfigure.apply(self._raft, change)

    def has_untold_commit(self) -> bool:
        """Whether a leader has committed entries that others hold and do not know to be committed.

        Only with `lazy_commit` for longer than a moment: see `tell_commit`.
        """
        return self.is_leader and bool(sending.untold(self._raft))

    def tell_commit(self) -> None:
        """Tells them now; for a caller that has waited in vain for something to tell it with."""
        if self.is_leader:
            for member in sending.untold(self._raft):
                sending.send_append(self._raft, member)

    def transfer_leader(self, to: int) -> None:
        """Asks for that member to lead. Given up after one election timeout."""
        transfer.ask(self._raft, to)

    def read_index(self, context: bytes) -> None:
        """Asks for an index at which a read is linearizable: a ReadState with this context.

        Without a leader, or if messages are lost, no answer comes: ask again.
        """
        reads.ask(self._raft, context)

    # What it asks for.

    def has_ready(self) -> bool:
        """Whether there is something to do; not before the last Ready is advanced."""
        raft = self._raft
        if self._outstanding is not None:
            return False
        if raft.messages or raft.own_answers or raft.read_states:
            return True
        log = raft.log
        if log.has_next_unstable_entries() or log.has_pending_snapshot():
            return True
        if log.has_next_committed_entries(allow_unstable=True):
            return True
        return _hard(raft) != self._hard_state or _soft(raft) != self._soft_state

    def ready(self) -> Ready:
        """What to do next. RuntimeError if the last Ready is not advanced."""
        if self._outstanding is not None:
            raise RuntimeError("the last Ready is still to be advanced")
        raft, log = self._raft, self._raft.log
        ready = Ready(
            entries=log.next_unstable_entries(),
            snapshot=log.next_unstable_snapshot(),
            messages=raft.messages,
            committed_entries=log.next_committed_entries(allow_unstable=True),
            read_states=raft.read_states,
        )
        self._take_soft_state(ready)
        self._take_hard_state(ready)
        leader_log.handed_out(raft, ready.committed_entries)
        self._outstanding = self._outcome(ready)
        raft.messages, raft.read_states, raft.own_answers = [], [], []
        return ready

    def advance(self) -> None:
        """The Ready was persisted, sent and applied. RuntimeError if there is none."""
        done, self._outstanding = self._outstanding, None
        if done is None:
            raise RuntimeError("there is no Ready to advance")
        raft = self._raft
        if done.persisted is not None:
            raft.log.stable_to(*done.persisted)
        raft.log.stable_snap_to(done.snapshot)
        raft.log.applied_to(done.applied)
        for answer in done.answers:
            step(raft, answer)
        reconfigure.leave_if_due(raft)

    def _take_soft_state(self, ready: Ready) -> None:
        soft_state = _soft(self._raft)
        if soft_state != self._soft_state:
            self._soft_state = soft_state
            ready.soft_state = self._raft.soft_state()

    def _take_hard_state(self, ready: Ready) -> None:
        """An fsync may be left out only if a lost commit index is all that a crash could cost."""
        hard_state = _hard(self._raft)
        if hard_state != self._hard_state:
            ready.hard_state = self._raft.hard_state()
            ready.must_sync = hard_state[:2] != self._hard_state[:2]
            self._hard_state = hard_state
        if ready.entries or ready.snapshot is not None:
            ready.must_sync = True

    def _outcome(self, ready: Ready) -> _Outstanding:
        raft = self._raft
        last = ready.entries[-1] if ready.entries else None
        if last is not None and raft.role is Role.LEADER:
            raft.send(RaftMessage.TYPE_APPEND_RESPONSE, raft.id, index=last.index)
        snapshot = 0 if ready.snapshot is None else ready.snapshot.metadata.index
        committed = ready.committed_entries
        return _Outstanding(
            persisted=None if last is None else (last.index, last.term),
            snapshot=snapshot,
            applied=max(raft.log.applied, snapshot, committed[-1].index if committed else 0),
            answers=raft.own_answers,
        )


def _soft(raft: Raft) -> tuple[int, Role]:
    """What a soft state tells, quickly compared."""
    return raft.leader, raft.role


def _hard(raft: Raft) -> tuple[int, int, int]:
    """What a hard state tells, quickly compared."""
    return raft.term, raft.vote, raft.log.committed
