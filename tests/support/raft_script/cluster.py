"""A small cluster that does what a script says, and writes down what it sees.

Nothing happens by itself: no message moves, no clock ticks and nothing is persisted unless a
command says so.
"""

from collections.abc import Callable, Iterable
from functools import partial

from api.v1.raft_pb2 import RaftMessage
from manager.raft.core.errors import InvariantError, ProposalDroppedError, RaftError
from tests.support.raft_script.host import Host
from tests.support.raft_script.ready_text import ready_lines
from tests.support.raft_script.rules import Rules
from tests.support.raft_script.script import ScriptError
from tests.support.raft_script.status_text import status_line
from tests.support.raft_script.wire import Wire
from tests.support.raft_script.words import message_text

_ENDLESS = 300  # rounds after which a cluster that does not settle is called broken


class Cluster:
    """The members by id, the wire between them, and the transcript of the command under way."""

    def __init__(self) -> None:
        self.hosts: dict[int, Host] = {}
        self.wire = Wire()
        self.quiet = False
        self._lines: list[str] = []
        self._rules = Rules()

    def say(self, line: str) -> None:
        if not self.quiet:
            self._lines.append(line)

    def transcript(self) -> list[str]:
        """What was said since the last call; checks that no rule of Raft was broken."""
        self._rules.check(self.hosts.values())
        lines, self._lines = self._lines, []
        return lines or ["ok"]

    def host(self, raft_id: int) -> Host:
        if raft_id not in self.hosts:
            raise ScriptError(f"there is no member {raft_id}")
        return self.hosts[raft_id]

    def chosen(self, ids: Iterable[int]) -> list[Host]:
        """These members, or all; of those the ones that are up."""
        found = [self.host(raft_id) for raft_id in ids] or list(self.hosts.values())
        return [host for host in found if host.raw is not None]

    def attempt(self, action: Callable[[], object]) -> None:
        """Does it. A refusal of the core is part of the transcript, a broken invariant is not."""
        try:
            action()
        except InvariantError:
            raise
        except RaftError as error:
            self.say(f"  {type(error).__name__}: {error}")

    def propose(self, action: Callable[[], int | None]) -> None:
        """Tells what became of a proposal."""
        try:
            index = action()
        except ProposalDroppedError as error:
            self.say(f"  dropped: {error.reason.name}")
        else:
            self.say("  passed on" if index is None else f"  proposed at {index}")

    def show(self, hosts: Iterable[Host]) -> None:
        for host in hosts:
            self.say(status_line(host))

    def take(self, host: Host, *, messages: bool) -> None:
        """A Ready is taken; its early messages leave."""
        ready, early = host.take()
        self._rules.check([host])
        for line in ready_lines(host.id, ready, messages=messages):
            self.say(line)
        self.wire.send(early)

    def persist(self, host: Host) -> None:
        """The Ready is on the disk; its other messages leave."""
        self.wire.send(host.persist())

    def process(self, host: Host, *, messages: bool) -> bool:
        """Whole Readys, as long as there is one. False if there was none."""
        if host.round is not None:
            raise ScriptError(f"{host.id} has an unfinished Ready")
        worked = False
        while host.node.has_ready():
            self.take(host, messages=messages)
            self.persist(host)
            host.apply()
            worked = True
        return worked

    def deliver(self, messages: list[RaftMessage]) -> bool:
        """Hands these messages over, or loses them where a link or a member is down."""
        self.wire.take(messages)
        for message in messages:
            host = self.hosts.get(message.to)
            if host is None or host.raw is None or not self.wire.carries(message):
                self.say(f"lost {message_text(message)}")
                continue
            self.say(message_text(message))
            self.attempt(partial(host.node.step, message))
        return bool(messages)

    def settle(self, ids: list[int]) -> None:
        """Works and delivers, among these members or all, until nothing moves."""
        members = {host.id for host in self.chosen(ids)}
        for _ in range(_ENDLESS):
            worked = [self.process(host, messages=False) for host in self.chosen(ids)]
            waiting = [each for each in self.wire.under_way if not ids or each.to in members]
            moved = self.deliver(waiting)
            if not (moved or any(worked)):
                return
        raise AssertionError("the cluster does not settle")
