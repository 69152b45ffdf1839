"""The state of one member of a Raft group, and the transitions between its roles.

The rules for messages are in the modules around this one, as functions of a `Raft`: `step` sorts
what comes in, `clock` counts ticks, `election`, `following`, `replication`, `reads`, `transfer`,
`proposals` and `reconfigure` each keep one part of the algorithm, `leader_log` and `sending` are
what a leader does to its own log and to the others. `raw_node` is the surface. Semantics are those
of Raft (Ongaro, "Consensus: Bridging Theory and Practice", 2014) as etcd/raft 3.6 has shaped them.

Invariants that all of them keep:
- `term` never falls; within a term `vote`, once given, never changes; at most one member of a group
  becomes leader in a term.
- `log.committed` never falls. A leader raises it only by counting members that hold an entry of its
  own term; entries before it follow (Log Matching).
- What a member says to itself, its own vote and a leader's own append, counts as what it says to
  others does: only once persisted. It waits in `own_answers`, for whoever advances the Ready.
- A message is complete when it is sent, and never touched again; the same for entries.

Never reads a clock, a disk, a socket or a source of chance: those are the caller's.
"""

from collections.abc import Iterable
from typing import Final, TypedDict, Unpack

from api.v1.raft_pb2 import Entry, HardState, RaftMessage, Snapshot
from manager.raft.core import confchange
from manager.raft.core.config import Config
from manager.raft.core.errors import InvariantError
from manager.raft.core.log import RaftLog
from manager.raft.core.progress import Progress
from manager.raft.core.read_only import ReadOnly
from manager.raft.core.ready import ReadState, Role, SoftState
from manager.raft.core.tracker import Tracker

UNBOUND: Final = frozenset((RaftMessage.TYPE_PROPOSE, RaftMessage.TYPE_READ_INDEX))
"""Messages that any leader may serve, whatever its term: they carry none."""


class Fields(TypedDict, total=False):
    """What a message may carry beside its type, addresses and term."""

    log_term: int
    index: int
    entries: Iterable[Entry]
    commit: int
    snapshot: Snapshot
    reject: bool
    reject_hint: int
    context: bytes


def sender(message: RaftMessage) -> int:
    """The raft id that a message is from; the field's name is a keyword of Python."""
    member: int = getattr(message, "from")
    return member


class Raft:
    """One member. Not for use by several threads at once.

    `leader`, `vote`, `transfer_target`: raft ids, 0 for none. `pending_conf_index`: a leader takes
    no change of the configuration until this index is applied. `uncommitted_size`: bytes of data
    that this leader appended and that were not handed out to be applied yet. `messages`: to send
    with the next Ready. `waiting_reads`: (member, context) that came before this term had a
    commit.
    """

    __slots__ = (
        "config",
        "election_elapsed",
        "election_timeout",
        "heartbeat_elapsed",
        "id",
        "leader",
        "log",
        "messages",
        "own_answers",
        "pending_conf_index",
        "read_only",
        "read_states",
        "role",
        "term",
        "tracker",
        "transfer_target",
        "uncommitted_size",
        "vote",
        "waiting_reads",
    )

    def __init__(self, config: Config) -> None:
        hard_state, conf_state = config.storage.initial_state()
        self.config = config
        self.id = config.id
        self.log = RaftLog(config.storage, max_committed_bytes=config.max_committed_size_per_ready)
        self.tracker = Tracker(config.max_inflight_msgs, config.max_inflight_bytes)
        self.tracker.config, self.tracker.progress = confchange.restore(
            conf_state, self.log.last_index(), self.tracker.new_inflights
        )
        self.term = hard_state.term
        self.vote = hard_state.vote
        self._load_commit(hard_state)
        self.messages: list[RaftMessage] = []
        self.own_answers: list[RaftMessage] = []
        self.read_states: list[ReadState] = []
        self.become_follower(self.term, leader=0)

    def _load_commit(self, hard_state: HardState) -> None:
        """Goes on from what was committed and applied before the restart.

        A crash may leave the stored commit index behind the snapshot, never beyond the log.
        """
        if hard_state.commit > self.log.last_index():
            raise InvariantError(
                f"the stored commit index {hard_state.commit} is beyond the log, "
                f"which ends at {self.log.last_index()}"
            )
        self.log.commit_to(hard_state.commit)
        if self.config.applied:
            self.log.applied_to(self.config.applied)

    # What this member is.

    @property
    def own_progress(self) -> Progress | None:
        """This member's own entry in the tracker; None if it is not in the configuration."""
        return self.tracker.progress.get(self.id)

    @property
    def promotable(self) -> bool:
        """Whether it may campaign: a voter that has no snapshot still to be installed."""
        progress = self.own_progress
        if progress is None or progress.is_learner:
            return False
        return not self.log.has_pending_snapshot()

    @property
    def commit_is_current(self) -> bool:
        """Whether an entry of this term is committed, and with it all that was before it.

        Only then does a new leader know how far its group's log was committed (thesis, 6.4).
        """
        return self.log.match_term(self.log.committed, self.term)

    def soft_state(self) -> SoftState:
        """Leader and role as they are now."""
        return SoftState(leader=self.leader, role=self.role)

    def hard_state(self) -> HardState:
        """What has to be persisted beside the log, as it is now."""
        return HardState(term=self.term, vote=self.vote, commit=self.log.committed)

    # What it becomes.

    def become_follower(self, term: int, *, leader: int) -> None:
        """Follows `leader`, or waits for one if it is 0. A new term clears the vote."""
        self._reset(term)
        self.leader = leader
        self.role = Role.FOLLOWER
        self.config.trace(f"{self.id} became follower at term {term}, leader {leader}")

    def become_pre_candidate(self) -> None:
        """Asks whether it could win. Neither term nor vote change (thesis, 9.6)."""
        self.tracker.reset_votes()
        self.leader = 0
        self.role = Role.PRE_CANDIDATE
        self.config.trace(f"{self.id} became pre-candidate at term {self.term}")

    def become_candidate(self) -> None:
        """Enters a new term and gives it its own vote."""
        self._reset(self.term + 1)
        self.vote = self.id
        self.role = Role.CANDIDATE
        self.config.trace(f"{self.id} became candidate at term {self.term}")

    def become_leader(self) -> None:
        """Leads its term. The first entry of that term is the caller's to append.

        A change of the configuration may lie anywhere in the tail of the log; instead of looking
        for it, none is taken until all of the tail is applied.
        """
        self._reset(self.term)
        self.leader = self.id
        self.role = Role.LEADER
        self.pending_conf_index = self.log.last_index()
        progress = self.tracker.progress[self.id]
        progress.become_replicate()
        progress.recent_active = True
        self.config.trace(f"{self.id} became leader at term {self.term}")

    def _reset(self, term: int) -> None:
        """What any change of role but to pre-candidate forgets."""
        if term != self.term:
            self.term = term
            self.vote = 0
        self.leader = 0
        self.election_elapsed = 0
        self.heartbeat_elapsed = 0
        self.election_timeout = self._drawn_timeout()
        self.transfer_target = 0
        self.pending_conf_index = 0
        self.uncommitted_size = 0
        self.read_only = ReadOnly()
        self.waiting_reads: list[tuple[int, bytes]] = []
        self._reset_progress()

    def _drawn_timeout(self) -> int:
        """Differs between members, lest they split the votes again and again (Raft, 5.2)."""
        return self.config.chance.randrange(
            self.config.election_tick, 2 * self.config.election_tick
        )

    def _reset_progress(self) -> None:
        """Forgets what was known of the others' logs: that was another term's knowledge.

        Of its own log it may count all: what is there already is of earlier terms, and such entries
        commit only with one of this term, which is persisted after them.
        """
        tracker, last = self.tracker, self.log.last_index()
        tracker.reset_votes()
        for member, progress in tracker.visit():
            tracker.progress[member] = Progress(
                match=last if member == self.id else 0,
                next=last + 1,
                inflights=tracker.new_inflights(),
                is_learner=progress.is_learner,
            )

    # What it says.

    def send(
        self,
        kind: RaftMessage.Type.ValueType,
        to: int,
        *,
        term: int | None = None,
        sender: int | None = None,
        **fields: Unpack[Fields],
    ) -> None:
        """Sends with the next Ready. `term` and `sender`: if they are not this member's own."""
        if kind in UNBOUND:
            term = 0
        elif term is None:
            term = self.term
        origin = {"from": sender or self.id}
        message = RaftMessage(type=kind, to=to, term=term, **origin, **fields)
        (self.own_answers if to == self.id else self.messages).append(message)
