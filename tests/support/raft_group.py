"""A few cores in one thread: messages go round until nobody has anything to say. No clock, no disk.

A member obeys each Ready at once and whole; time passes only by `tick`. Links may be cut, messages
dropped by a filter, members stopped and started again from what they stored.
"""

from collections import deque
from collections.abc import Callable, Iterable
from contextlib import suppress
from typing import Any, TypeAlias

from api.v1.raft_pb2 import ConfChange, ConfState, Entry, HardState, MemberChange, RaftMessage
from manager.raft.core.config import NO_LIMIT, Config
from manager.raft.core.errors import ProposalDroppedError, UnknownPeerError
from manager.raft.core.raw_node import RawNode
from manager.raft.core.ready import Ready, Role
from manager.raft.core.storage import MemoryStorage
from tests.support.raft_entries import conf_change, entries, snapshot

Kind: TypeAlias = "RaftMessage.Type.ValueType"
MANY = 100_000


class Spread:
    """Chance that gives each member a timeout of its own: the lower the id, the shorter."""

    def __init__(self, member: int) -> None:
        self._member = member

    def randrange(self, start: int, stop: int, /) -> int:
        return start + min(self._member, stop - start) - 1


def message(kind: Kind, source: int, to: int, term: int, **fields: Any) -> RaftMessage:
    fields["from"] = source
    return RaftMessage(type=kind, to=to, term=term, **fields)


def source_of(each: RaftMessage) -> int:
    source: int = getattr(each, "from")
    return source


def stored(
    *terms: int,
    voters: Iterable[int] = (1, 2, 3),
    learners: Iterable[int] = (),
    vote: int = 0,
    term: int = 0,
) -> MemoryStorage:
    """What a member has on disk: a snapshot at index 1 of term 1, and entries of `terms` from 2 on.

    Its term is at least that of the last entry, and nothing but the snapshot is known to be
    committed.
    """
    made = MemoryStorage()
    made.apply_snapshot(snapshot(1, 1, *voters, learners=learners))
    made.append(entries(2, *terms))
    made.set_hard_state(HardState(term=max(term, *terms, 1), vote=vote, commit=1))
    return made


class Host:
    """One member and all that it did. `applied`: committed entries, each handed out once a life."""

    def __init__(self, member: int, storage: MemoryStorage, **settings: Any) -> None:
        self.id = member
        self.storage = storage
        self.settings = {"chance": Spread(member), **settings}
        self.start()

    def start(self) -> None:
        """(Re)starts it from its storage; it applies again what follows the snapshot."""
        self.applied: list[Entry] = []
        self.reads: dict[bytes, int] = {}
        index = self.storage.snapshot().metadata.index
        self.raw = RawNode(Config(id=self.id, storage=self.storage, applied=index, **self.settings))

    @property
    def role(self) -> Role:
        return self.raw.status().soft_state.role

    @property
    def log(self) -> list[tuple[int, int]]:
        """(index, term) of all stored entries."""
        first, end = self.storage.first_index(), self.storage.last_index() + 1
        return [(each.index, each.term) for each in self.storage.entries(first, end, NO_LIMIT)]

    @property
    def voters(self) -> list[int]:
        """Those of the configuration that it applied; of the incoming half if that is joint."""
        return list(self.raw.status().config.voters.incoming.ordered)

    @property
    def outgoing(self) -> list[int]:
        """The outgoing half; none if it is not joint."""
        return list(self.raw.status().config.voters.outgoing.ordered)

    @property
    def commands(self) -> list[bytes]:
        """Data of the commands that it applied, without empty ones."""
        found = [each for each in self.applied if each.type == Entry.TYPE_COMMAND]
        return [each.data for each in found if each.data]

    def step(self, kind: Kind, source: int, term: int, **fields: Any) -> list[RaftMessage]:
        """Lets a message take effect; what the member says to it, all Readys obeyed."""
        self.raw.step(message(kind, source, self.id, term, **fields))
        return self.work()

    def work(self) -> list[RaftMessage]:
        """Obeys Readys until there is none; returns the messages."""
        said: list[RaftMessage] = []
        while self.raw.has_ready():
            ready = self.raw.ready()
            self.persist(ready)
            said += ready.early + ready.late
            self.finish(ready)
        return said

    def persist(self, ready: Ready) -> None:
        if ready.snapshot is not None:
            self.storage.apply_snapshot(ready.snapshot)
        self.storage.append(ready.entries)
        if ready.hard_state is not None:
            self.storage.set_hard_state(ready.hard_state)

    def finish(self, ready: Ready) -> None:
        """Applies and advances."""
        for entry in ready.committed_entries:
            self.applied.append(entry)
            if entry.type == Entry.TYPE_CONF_CHANGE:
                self.raw.apply_conf_change(ConfChange.FromString(entry.data))
        self.reads |= {each.context: each.index for each in ready.read_states}
        self.raw.advance()

    def compact(self) -> None:
        """Takes a snapshot of all that it applied, and forgets those entries."""
        conf: ConfState = self.raw.status().config.conf_state()
        self.storage.create_snapshot(self.raw.applied, conf)
        self.storage.compact(self.raw.applied)


class Group:
    """Members by id. `sent` has every message that was sent, also to nobody, until `forget`."""

    def __init__(self, *hosts: Host) -> None:
        self.hosts = {host.id: host for host in hosts}
        self.down: set[int] = set()
        self.sent: list[RaftMessage] = []
        self._cut: set[frozenset[int]] = set()
        self._passes: Callable[[RaftMessage], bool] = lambda _: True
        self._pending: deque[RaftMessage] = deque()

    def __getitem__(self, member: int) -> Host:
        return self.hosts[member]

    # Links.

    def cut(self, one: int, other: int) -> None:
        """Loses all between the two, until `heal`."""
        self._cut.add(frozenset((one, other)))

    def isolate(self, *members: int) -> None:
        """Cuts the members off from all others, not from each other."""
        for one in members:
            for other in self.hosts.keys() - set(members):
                self.cut(one, other)

    def heal(self) -> None:
        """Ends all cuts and the filter."""
        self._cut.clear()
        self._passes = lambda _: True

    def only(self, passes: Callable[[RaftMessage], bool]) -> None:
        """Loses all messages that do not pass, until `heal`."""
        self._passes = passes

    def drop(self, *kinds: Kind) -> None:
        """Loses messages of these types, until `heal`."""
        self.only(lambda each: each.type not in kinds)

    # Life.

    def stop(self, *members: int) -> None:
        """They hear and say nothing, and their clocks stand still, until `restart`."""
        self.down.update(members)

    def restart(self, *members: int) -> None:
        """Starts them again from what they stored."""
        for member in members:
            self.down.discard(member)
            self.hosts[member].start()

    def add(self, host: Host) -> None:
        """A member that can be reached from now on, whatever the configuration says."""
        self.hosts[host.id] = host

    def join(self, kind: "MemberChange.Type.ValueType", member: int) -> Host:
        """A member with nothing stored joins, by a change of this type."""
        host = Host(member, MemoryStorage())
        self.add(host)
        self.change(conf_change((kind, member)))
        return host

    # Progress.

    def settle(self) -> None:
        """Obeys every Ready and delivers every message, until all is quiet."""
        for _ in range(MANY):
            self._work()
            if not self._pending:
                return
            self._deliver(self._pending.popleft())
        raise AssertionError(f"no quiet after {MANY} messages")

    def tick(self, count: int, *members: int) -> None:
        """`count` ticks, of all members or of some, settling after each."""
        for _ in range(count):
            for member in members or tuple(self.hosts):
                if member not in self.down:
                    self.hosts[member].raw.tick()
            self.settle()

    def elect(self, member: int) -> Host:
        """The member campaigns, and has to win."""
        host = self.hosts[member]
        host.raw.campaign()
        self.settle()
        assert host.raw.is_leader
        return host

    def propose(self, *data: bytes) -> int | None:
        """Proposes to the leader, and settles."""
        index = self.leader().raw.propose(*data)
        self.settle()
        return index

    def change(self, change: ConfChange) -> int | None:
        """Proposes a change of the configuration to the leader, and settles."""
        index = self.leader().raw.propose_conf_change(change)
        self.settle()
        return index

    # What came of it.

    def leader(self) -> Host:
        """The one that leads in the highest term."""
        leads = [each for each in self.hosts.values() if each.raw.is_leader]
        return max(leads, key=lambda each: each.raw.term)

    def forget(self) -> None:
        self.sent.clear()

    def said(self, kind: Kind, *, source: int = 0, to: int = 0) -> list[RaftMessage]:
        """The messages of this type that were sent since `forget`."""
        return [
            each
            for each in self.sent
            if each.type == kind and source in (0, source_of(each)) and to in (0, each.to)
        ]

    def _deliver(self, each: RaftMessage) -> None:
        """As a node does: what a member cannot take, somebody will say again."""
        with suppress(UnknownPeerError, ProposalDroppedError):
            self.hosts[each.to].raw.step(each)

    def _work(self) -> None:
        for member, host in self.hosts.items():
            if member not in self.down:
                for each in host.work():
                    self._post(each)

    def _post(self, each: RaftMessage) -> None:
        self.sent.append(each)
        link = frozenset((source_of(each), each.to))
        reachable = each.to in self.hosts and not self.down & link and link not in self._cut
        if reachable and self._passes(each):
            self._pending.append(each)


def group(
    *voters: int,
    learners: Iterable[int] = (),
    logs: dict[int, tuple[int, ...]] | None = None,
    term: int = 0,
    **settings: Any,
) -> Group:
    """A group of these members, each `stored` with its entries of `logs`."""
    held = logs or {}
    return Group(
        *(
            Host(
                member,
                stored(*held.get(member, ()), voters=voters, learners=learners, term=term),
                **settings,
            )
            for member in (*voters, *learners)
        )
    )


def lone(*terms: int, voters: Iterable[int] = (1, 2, 3), vote: int = 0, **settings: Any) -> Host:
    """Member 1 with entries of these terms, the others of its group played by the test."""
    return Host(1, stored(*terms, voters=voters, vote=vote), **settings)


def lone_leader(*terms: int, voters: Iterable[int] = (1, 2, 3), **settings: Any) -> Host:
    """The same, elected by the votes of all others; its first entry is persisted and sent."""
    host = lone(*terms, voters=voters, pre_vote=False, **settings)
    host.raw.campaign()
    host.work()
    for member in voters:
        if member != 1:
            host.step(RaftMessage.TYPE_VOTE_RESPONSE, member, host.raw.term)
    assert host.raw.is_leader
    return host
