"""What must hold after every event, whatever happens: Raft's properties (Ongaro, thesis, figure
3.2), and those that durability and membership add.

Each check looks only at what the event may have changed, so that a run of many events is cheap. It
is told everything that members persist, commit and apply, and believes none of their sums:
quorums are counted here, and what is durable is taken from the drives.
"""

from bisect import bisect_left
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

from api.v1.raft_pb2 import ConfState, Entry
from manager.raft.core.ready import Ready
from tests.sim.raft.durable_view import DurableView
from tests.sim.raft.promises import Promises
from tests.sim.raft.transcript import words_of
from tests.sim.raft.violation import must

if TYPE_CHECKING:
    from tests.sim.raft.process import Process

_CONF_CHANGE = Entry.TYPE_CONF_CHANGE


class Invariants:
    """The whole group as seen from outside, over its whole life.

    `committed[i]` is the term of committed entry i; `results[i]` what applying it led to.
    """

    def __init__(self) -> None:
        self.views: dict[int, DurableView] = {}
        self.promises = Promises(self.views)
        self.committed = [0, 1]
        self.results: dict[int, object] = {}
        self.confs: dict[int, bytes] = {}
        self.conf = ConfState()
        self.removed: set[int] = set()
        self.newest_change = 0
        self.newest_conf = 0
        self._ever: set[int] = set()
        self._committed_in = [0, 1]  # the terms of the leaders that committed them first
        self._stood = {1}
        self._leaders: dict[int, int] = {}
        self._entries: dict[tuple[int, int], tuple[int, int, bytes]] = {}

    def begin(self, conf: ConfState) -> None:
        """The configuration of the group at its start."""
        self.conf = conf
        self._ever = ids_of(conf)

    # What a member is.

    def changed(self, member: "Process") -> None:
        """After anything that may have moved the member's term, role or commit index."""
        raw, who = member.raw, member.raft_id
        term, commit = raw.term, raw.committed
        if term != member.seen_term:
            must(term > member.seen_term, "term grows", "%d: %d", who, term)
            self._new_term(member, term)
            member.seen_term = term
        if raw.is_leader and member.led_term != term:
            self._elected(member, term)
        if commit != member.seen_commit:
            must(commit > member.seen_commit, "commit grows", "%d: %d", who, commit)
            if commit >= len(self.committed):
                self._commit(member, commit)
            member.seen_commit = commit

    def _new_term(self, member: "Process", term: int) -> None:
        """A term begins with a candidate; nobody else makes one up."""
        status = member.raw.status()
        if status.hard_state.vote == member.raft_id:
            self._stood.add(term)
        must(
            term in self._stood,
            "a term begins with a candidate",
            "%d enters term %d, in which nobody ever stood",
            member.raft_id,
            term,
        )

    def _elected(self, member: "Process", term: int) -> None:
        who = member.raft_id
        other = self._leaders.setdefault(term, who)
        must(other == who, "one leader per term", "%d and %d lead term %d", other, who, term)
        member.led_term = term
        voters = [*member.conf.voters, *member.conf.voters_outgoing]
        must(who in voters, "leaders are voters", "%d leads, the voters are %s", who, voters)
        must(
            agreed(member.conf, lambda voter: self.promises.vote(voter, term) == who)
            or self._elects_itself(member, term),
            "a quorum elects",
            "%d leads term %d, which no quorum of %s gave to it",
            who,
            term,
            words_of(member.conf),
        )
        self.promises.leaders[term] = member
        last = bisect_left(self._committed_in, term) - 1
        must(
            member.log.holds(last, self.committed[last]),
            "leader completeness",
            "%d leads term %d without committed entry %d of term %d",
            who,
            term,
            last,
            self.committed[last],
        )

    def _elects_itself(self, member: "Process", term: int) -> bool:
        """Whether no other vote was needed: then it need not have told its own to anybody."""
        view = self.views[member.raft_id]
        voted = (view.term, view.vote) == (term, member.raft_id)
        return voted and agreed(member.conf, lambda voter: voter == member.raft_id)

    def _commit(self, member: "Process", commit: int) -> None:
        """The first member to say that `commit` is committed."""
        who, term = member.raft_id, member.raw.term
        must(member.raw.is_leader, "leaders commit", "%d, no leader, commits %d", who, commit)
        must(commit <= member.log.last, "commit within the log", "%d commits %d", who, commit)
        of = member.log.terms[commit]
        must(
            of == term,
            "own term commits",
            "%d, leader of term %d, commits entry %d of term %d",
            who,
            term,
            commit,
            of,
        )
        must(
            any(self._durable(conf, commit, term) for conf in member.confs),
            "quorum before commit",
            "%d commits %d, which no quorum of %s has on its disks",
            who,
            commit,
            " or ".join(map(words_of, member.confs)),
        )
        self.committed += member.log.terms[len(self.committed) : commit + 1]
        self._committed_in += [term] * (commit + 1 - len(self._committed_in))

    def _durable(self, conf: ConfState, index: int, term: int) -> bool:
        views = self.views

        def holds(voter: int) -> bool:
            view = views.get(voter)
            return view is not None and view.holds(index, term)

        return agreed(conf, holds)

    # What a member writes.

    def writes(self, member: "Process", ready: Ready) -> None:
        """A round that is about to be persisted."""
        if ready.snapshot is not None:
            index, term = ready.snapshot.metadata.index, ready.snapshot.metadata.term
            self._known(member, index, term, "installs a snapshot up to")
            member.log.restart_at(index, term)
        if ready.entries:
            self._entries_written(member, ready.entries)
        state = ready.hard_state
        if state is not None:
            self._known(member, state.commit, 0, "commits")

    def _known(self, member: "Process", index: int, term: int, what: str) -> None:
        must(
            index < len(self.committed),
            "commit follows a leader",
            "%d %s %d, committed is %d",
            member.raft_id,
            what,
            index,
            len(self.committed) - 1,
        )
        log = member.log
        mine = term or (log.terms[index] if log.snapshot <= index <= log.last else 0)
        must(
            mine in (0, self.committed[index]),
            "committed agrees",
            "%d %s %d of term %d, committed is term %d",
            member.raft_id,
            what,
            index,
            mine,
            self.committed[index],
        )

    def _entries_written(self, member: "Process", entries: list[Entry]) -> None:
        log, first = member.log, entries[0].index
        last = min(log.last, len(self.committed) - 1)
        kept = first > last or not log.holds(last, self.committed[last])
        log.cut(first)
        for entry in entries:
            self._entry(member, entry)
        must(
            kept or log.holds(last, self.committed[last]),
            "committed is kept",
            "%d drops entries from %d on, up to %d all is committed",
            member.raft_id,
            first,
            last,
        )

    def _entry(self, member: "Process", entry: Entry) -> None:
        index, term = entry.index, entry.term
        log = member.log
        must(index == log.last + 1, "no gap", "%d: %d after %d", member.raft_id, index, log.last)
        content = (log.terms[index - 1], entry.type, entry.data)
        known = self._entries.setdefault((index, term), content)
        must(
            known == content,
            "log matching",
            "entry %d of term %d at %d is not what it is elsewhere, or follows term %d, not %d",
            index,
            term,
            member.raft_id,
            content[0],
            known[0],
        )
        if entry.type == _CONF_CHANGE:
            self._change(member, entry)
        log.add(index, term, change=entry.type == _CONF_CHANGE)

    def _change(self, member: "Process", entry: Entry) -> None:
        """A change of the configuration enters a log: at its leader, it must be the only one."""
        raw = member.raw
        self.newest_change = max(self.newest_change, entry.index)
        if not raw.is_leader or entry.term != raw.term:
            return
        open_ = [index for index in member.log.changes if raw.committed < index < entry.index]
        must(
            not open_,
            "one change at a time",
            "%d appends change %d, %s is not committed",
            member.raft_id,
            entry.index,
            open_,
        )
        must(
            not entry.data or self.committed[raw.committed] == raw.term,
            "no change before the term's first commit",
            "%d, leader of term %d, appends change %d, committed is %d",
            member.raft_id,
            raw.term,
            entry.index,
            raw.committed,
        )

    # What a member applies.

    def applies(self, member: "Process", entry: Entry, result: object) -> None:
        """One committed entry was applied; the next one after the last."""
        who, index = member.raft_id, entry.index
        must(
            index == member.seen_applied + 1,
            "applied in order",
            "%d applies %d after %d",
            who,
            index,
            member.seen_applied,
        )
        member.seen_applied = index
        must(
            index < len(self.committed) and self.committed[index] == entry.term,
            "only committed is applied",
            "%d applies %d of term %d",
            who,
            index,
            entry.term,
        )
        if entry.type == _CONF_CHANGE:
            return
        known = self.results.setdefault(index, result)
        must(
            known == result,
            "state machine safety",
            "%d comes to %s by entry %d, others to %s",
            who,
            result,
            index,
            known,
        )

    def reconfigured(self, member: "Process", index: int, conf: ConfState) -> None:
        """The member's configuration once change `index` is applied."""
        content = conf.SerializeToString(deterministic=True)
        known = self.confs.setdefault(index, content)
        must(
            known == content,
            "one configuration",
            "%d has %s after change %d, others %s",
            member.raft_id,
            words_of(conf),
            index,
            words_of(ConfState.FromString(known)),
        )
        ids = ids_of(conf)
        if index < self.newest_conf:
            return
        back = ids & self.removed
        must(not back, "removed for ever", "%s came back by change %d", back, index)
        self.newest_conf, self.conf = index, conf
        self._ever |= ids
        self.removed = self._ever - ids

    def conf_is_known(self) -> bool:
        """Whether no change is under way, and a majority will never forget the last one."""
        newest = self.newest_conf
        return self.newest_change <= newest and agreed(
            self.conf, lambda voter: self.views[voter].commit >= newest
        )


def ids_of(conf: ConfState) -> set[int]:
    """All members of a configuration, in any role."""
    return {*conf.voters, *conf.learners, *conf.voters_outgoing, *conf.learners_next}


def agreed(conf: ConfState, holds: Callable[[int], bool]) -> bool:
    """Whether a majority `holds`; in a joint configuration, one of each half."""
    halves: list[Iterable[int]] = [conf.voters]
    if conf.voters_outgoing:
        halves.append(conf.voters_outgoing)
    return all(_majority(list(half), holds) for half in halves)


def _majority(voters: list[int], holds: Callable[[int], bool]) -> bool:
    return 2 * sum(map(holds, voters)) > len(voters)
