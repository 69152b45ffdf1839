"""What a change makes of a configuration: set arithmetic, all or nothing. Knows no log and no role.

Invariants of every configuration that comes out: no member is voter and learner at once, except
that a voter of the outgoing configuration may be in `learners_next`; there is a voter; without an
outgoing configuration `learners_next` is empty and `auto_leave` is False; exactly the named members
have a progress. A simple change alters at most one voter, so that old and new majorities share a
member (Ongaro, thesis, 4.1); more go through a joint configuration (4.3). What came in is not
mutated, and after a ConfChangeError nothing has changed.
"""

from collections.abc import Callable, Iterable, Mapping

from api.v1.raft_pb2 import ConfState, MemberChange
from manager.raft.core.errors import ConfChangeError
from manager.raft.core.inflights import Inflights
from manager.raft.core.progress import Progress
from manager.raft.core.quorum import Joint, Majority
from manager.raft.core.tracker import TrackerConfig

Outcome = tuple[TrackerConfig, dict[int, Progress]]


class Changer:
    """Changes one configuration. A new member is first probed behind `last_index`.

    `new_inflights` makes the window of a new member.
    """

    __slots__ = ("_config", "_last_index", "_new_inflights", "_progress")

    def __init__(
        self,
        config: TrackerConfig,
        progress: Mapping[int, Progress],
        last_index: int,
        new_inflights: Callable[[], Inflights],
    ) -> None:
        self._config = config
        self._progress = progress
        self._last_index = last_index
        self._new_inflights = new_inflights

    def simple(self, changes: Iterable[MemberChange]) -> Outcome:
        """Applies changes that alter at most one voter, outside a joint configuration."""
        if self._config.is_joint:
            raise ConfChangeError("a simple change within a joint configuration")
        draft = _Draft(self._config)
        draft.apply(changes)
        altered = draft.incoming ^ self._config.voters.incoming.ids
        if len(altered) > 1:
            raise ConfChangeError(f"a simple change of several voters: {sorted(altered)}")
        return self._outcome(draft.config(auto_leave=False))

    def enter_joint(self, auto_leave: bool, changes: Iterable[MemberChange]) -> Outcome:
        """Applies changes to the incoming half of a new joint configuration."""
        if self._config.is_joint:
            raise ConfChangeError("the configuration is joint already")
        if not self._config.voters.incoming.ids:
            raise ConfChangeError("a configuration without voters cannot become joint")
        draft = _Draft(self._config)
        draft.outgoing = self._config.voters.incoming.ids
        draft.apply(changes)
        return self._outcome(draft.config(auto_leave=auto_leave))

    def leave_joint(self) -> Outcome:
        """Drops the outgoing half; those in `learners_next` become learners."""
        if not self._config.is_joint:
            raise ConfChangeError("the configuration is not joint")
        draft = _Draft(self._config)
        draft.learners |= draft.learners_next
        draft.learners_next = set()
        draft.outgoing = frozenset()
        return self._outcome(draft.config(auto_leave=False))

    def _outcome(self, config: TrackerConfig) -> Outcome:
        _check(config)
        named = config.voters.ids() | config.learners
        return config, {each: self._member(each, each in config.learners) for each in sorted(named)}

    def _member(self, member: int, is_learner: bool) -> Progress:
        """Its progress as it was, or a new one.

        A new member counts as recently active: the next check of the quorum may come before it had
        a chance to speak.
        """
        progress = self._progress.get(member)
        if progress is None:
            return Progress(
                next=max(self._last_index, 1),
                inflights=self._new_inflights(),
                is_learner=is_learner,
                recent_active=True,
            )
        if progress.is_learner is not is_learner:
            progress = progress.copy()
            progress.is_learner = is_learner
        return progress


def restore(
    conf_state: ConfState, last_index: int, new_inflights: Callable[[], Inflights]
) -> Outcome:
    """The configuration that a message tells of, with new progress. An empty one stays empty.

    ConfChangeError if no changes could have led to it.
    """
    config = TrackerConfig(
        voters=Joint(Majority(conf_state.voters), Majority(conf_state.voters_outgoing)),
        learners=frozenset(conf_state.learners),
        learners_next=frozenset(conf_state.learners_next),
        auto_leave=conf_state.auto_leave,
    )
    if config == TrackerConfig():
        return config, {}
    return Changer(config, {}, last_index, new_inflights)._outcome(config)


class _Draft:
    """A configuration under change. An id is in at most one of its incoming sets."""

    __slots__ = ("incoming", "learners", "learners_next", "outgoing")

    def __init__(self, config: TrackerConfig) -> None:
        self.incoming = set(config.voters.incoming.ids)
        self.outgoing = config.voters.outgoing.ids
        self.learners = set(config.learners)
        self.learners_next = set(config.learners_next)

    def apply(self, changes: Iterable[MemberChange]) -> None:
        for change in changes:
            member = change.member.raft_id
            if change.type == MemberChange.TYPE_ADD_VOTER:
                self._remove(member)
                self.incoming.add(member)
            elif change.type == MemberChange.TYPE_ADD_LEARNER:
                self._remove(member)
                # A voter of the outgoing half still counts there: it learns from the leaving on.
                (self.learners_next if member in self.outgoing else self.learners).add(member)
            elif change.type == MemberChange.TYPE_REMOVE:
                self._remove(member)
            elif change.type != MemberChange.TYPE_UPDATE:
                raise ConfChangeError(f"change of unknown type {change.type}")
            if member == 0:
                raise ConfChangeError("0 is no member's id")

    def config(self, *, auto_leave: bool) -> TrackerConfig:
        return TrackerConfig(
            voters=Joint(Majority(self.incoming), Majority(self.outgoing)),
            learners=frozenset(self.learners),
            learners_next=frozenset(self.learners_next),
            auto_leave=auto_leave,
        )

    def _remove(self, member: int) -> None:
        self.incoming.discard(member)
        self.learners.discard(member)
        self.learners_next.discard(member)


def _check(config: TrackerConfig) -> None:
    """ConfChangeError unless the invariants of the module hold."""
    incoming, outgoing = config.voters.incoming.ids, config.voters.outgoing.ids
    learners, learners_next = config.learners, config.learners_next
    rules = (
        (bool(incoming), "no voter is left"),
        (0 not in incoming | outgoing | learners, "0 is no member's id"),
        (not learners & (incoming | outgoing), "a learner is a voter too"),
        (learners_next <= outgoing, "a learner to be is no voter that leaves"),
        (not learners_next & incoming, "a learner to be is a voter that stays"),
        (bool(outgoing) or not config.auto_leave, "auto_leave without a joint configuration"),
    )
    for kept, rule in rules:
        if not kept:
            raise ConfChangeError(rule)
