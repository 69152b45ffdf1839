"""An agent of the simulated swarm, with the guardian of its mount and the driver that it has."""

from collections.abc import Collection
from typing import TYPE_CHECKING

from api.v1 import dispatcher_pb2
from manager.volumes.leases import Hold
from manager.volumes.order_book import Given
from manager.volumes.orders import LIMIT, Report
from tests.sim.leasing.clock import Clock
from tests.sim.leasing.manager import VOLUME, Manager

if TYPE_CHECKING:
    from tests.sim.leasing.world import World

Message = dispatcher_pb2.AssignmentsMessage
Change = dispatcher_pb2.AssignmentChange

RPC_TIMEOUT = 5.0


class Agent:
    """A node: its leases outlive everything but the node, and end by its clock alone."""

    def __init__(self, world: "World", name: str) -> None:
        self.world = world
        self.name = name
        self.clock = Clock(world, worst=-1.0)
        self.manager: Manager | None = None
        self.paused = self.cut = self.slow = False
        self.leases: dict[int, float] = {}  # until when, by epoch
        self._told: dict[int, tuple[float, int]] = {}  # term and version, by epoch
        self._lost: dict[int, float] = {}  # that nothing renews any more
        self._gone: dict[Hold, None] = {}
        self._applied = 0
        self._session = 0
        self._deaf_until = 0.0

    def has_lease(self) -> bool:
        """Whether anything here may touch the volume, as its clock says."""
        return any(until > self.clock() for until in self.leases.values())

    def writes(self) -> bool:
        """Whether what is written here reaches the storage."""
        return self.has_lease() and self.world.lets_in(self)

    def order(self, manager: Manager, given: Given) -> None:
        """A message of the stream: what the agent is to have its driver do."""
        self._deaf_until = max(self._deaf_until, self.world.now + self.world.delay(self))
        self.world.at(self._deaf_until, self._carry_out, manager, given)

    def _carry_out(self, manager: Manager, given: Given) -> None:
        """Does it at the storage, sooner or later, and says so until it is heard."""
        if self.cut or self.paused or self.manager is not manager:
            self.leave(manager)
            return

        is_slow = self.world.random.random() < self.world.slow
        takes = self.world.random.uniform(0.0, 90.0 if is_slow else 0.5)
        self.world.later(takes, self.world.tell_storage, given.order)
        patience = LIMIT
        if is_slow and self.world.random.random() < 0.5:
            patience = self.world.random.uniform(0.0, 10.0)
        report = Report(error="it took too long" if takes > patience else "")

        def said() -> None:
            manager.report(self, given.id, report)

        for again in range(5):
            self.world.later(min(takes, patience) + again, self.world.pass_, self, said)

    def begin(self, manager: Manager, session: int, messages: list[Message]) -> None:
        """A session."""
        self.manager, self._applied, self._session = manager, 0, session
        self.send(manager, messages)

    def leave(self, manager: Manager) -> None:
        """The session ended."""
        if self.manager is manager:
            self.manager = None

    def send(self, manager: Manager, messages: list[Message]) -> None:
        """From the manager to the agent, in order; a message that is lost ends the session."""
        for message in messages:
            self._deaf_until = max(self._deaf_until, self.world.now + self.world.delay(self))
            self.world.at(self._deaf_until, self._receive, manager, message)

    def _receive(self, manager: Manager, message: Message) -> None:
        if self.manager is not manager:
            return
        if self.cut or self.paused:
            self.leave(manager)
            return
        if message.type == Message.TYPE_COMPLETE:
            self._lose([each.volume.epoch for each in message.changes])
        for change in message.changes:
            epoch = change.volume.epoch
            if change.action == Change.ACTION_UPDATE:
                self._lose({epoch})  # what it had of this volume under another epoch
                self._told[epoch] = change.volume.term.seconds, message.version
            elif epoch:
                if epoch in self._lost:
                    self._told[epoch] = self._lost.pop(epoch), message.version
                self._let_go(epoch)
            else:
                self._lose(())
        self._applied = max(self._applied, message.version)

    def _lose(self, kept: Collection[int]) -> None:
        """Nothing renews the others from now on; what they have left is used to let go."""
        for epoch in [each for each in self._told if each not in kept]:
            self._lost[epoch] = self._told.pop(epoch)[0]
            self._let_go(epoch)

    def _let_go(self, epoch: int) -> None:
        def unmounted() -> None:
            if touches_it_still(self, epoch):
                self.world.later(0.3, unmounted)  # its word is about the volume, not the epoch
                return
            self._told.pop(epoch, None)
            self._lost.pop(epoch, None)
            self.leases.pop(epoch, None)
            self._gone[Hold(VOLUME, self.name, epoch)] = None

        self.world.later(self.world.random.uniform(0.0, 3.0), unmounted)

    def beat(self) -> None:
        """Once in a while, unless it is paused."""
        self.world.later(self.world.random.uniform(0.9, 1.1) * self.world.period, self.beat)
        if self.paused:
            return
        manager = self.manager
        if manager is None:
            # Any manager that believes that it leads is taken for the leader.
            found = [each for each in self.world.managers if each.believes]
            if found:
                chosen = self.world.random.choice(found)
                self.world.pass_(self, lambda: chosen.register(self))
            return
        sent, applied, session = self.clock(), self._applied, self._session

        def answered(renewed: bool) -> None:
            def arrives() -> None:
                if renewed and self.clock() - sent < RPC_TIMEOUT:
                    self.renewed(sent, applied)

            self.world.pass_(self, arrives)

        self.world.pass_(self, lambda: manager.heartbeat(self, session, applied, answered))
        if self._gone:
            said = list(self._gone)
            late = self.world.random.choice((0.0, 0.0, 4.0, 12.0))
            hear = lambda: manager.hear(self, said, lambda: self._said(said))  # noqa: E731
            self.world.later(late, self.world.pass_, self, hear)

    def renewed(self, sent: float, applied: int) -> None:
        """The answer says so: what it was told of by then lasts on from the moment of sending."""
        for epoch, (term, version) in self._told.items():
            if version <= applied:
                until = counts_from(self, sent) + term
                self.leases[epoch] = max(until, self.leases.get(epoch, until))
        self.world.check()

    def _said(self, holds: list[Hold]) -> None:
        for hold in holds:
            self._gone.pop(hold, None)

    def lose_power(self) -> None:
        """Nothing of it is left, nor what it knew."""
        self.leases.clear()
        self._told.clear()
        self._lost.clear()
        self._gone.clear()
        self.manager = None


def counts_from(agent: Agent, sent: float) -> float:
    """The moment from which a renewal lasts: that of sending."""
    return sent


def touches_it_still(agent: Agent, epoch: int) -> bool:
    """Whether something of an older lease may."""
    return any(e < epoch and until > agent.clock() for e, until in agent.leases.items())
