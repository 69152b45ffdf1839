"""Leases of one volume among nodes and managers whose clocks differ, in a seeded simulation.

What runs is the code that decides: store, scheduler, leases, what a node is told. Simulated are
time, messages, and who leads; harsher than Raft: a former leader may believe for half a minute that
it leads still, sees nothing new, and answers. Agents keep to the rules of the contract
(docs/decisions/0031-leases-of-volumes.md) by their own clocks, of which each runs at its own pace.
In every other run the storage lets nodes in one by one, and can shut them out; what it was told to
do it may do much later.
"""

from collections.abc import Callable, Iterable
from heapq import heappop, heappush
from random import Random

from api import states
from api.v1 import objects_pb2, specs_pb2, types_pb2
from manager.state.changes import batch, copy, create, update
from manager.volumes.order import OPEN, Order
from tests.sim.leasing.agent import Agent
from tests.sim.leasing.manager import VOLUME, Manager
from tests.support.builders import ACTIVE, PAUSE, node, task

Node = objects_pb2.Node
Task = objects_pb2.Task
Volume = objects_pb2.Volume

PERIODS = (0.5, 1.0, 2.0)
"""Seconds between the heartbeats of a node; of each run another."""
BELIEF = 30.0
"""Seconds for which a former leader may believe that it leads."""
STORM, CALM, LAST = 500.0, 200.0, 20.0
FAULTS = ("cut", "slow cut", "slow", "paused", "power", "leader", "session")


class TwoWriters(AssertionError):
    """Two nodes may write to the volume at one moment."""


class World:
    """`run` it; TwoWriters if the promise broke."""

    def __init__(self, seed: int) -> None:
        self.random = Random(seed)
        self.now = 0.0
        self.log: list[bytes] = []
        self.held = 0
        """How often another node came to hold the volume."""
        self._holders: set[str] = set()
        self._heap: list[tuple[float, int, Callable[..., object], tuple[object, ...]]] = []
        self._asked = 0
        self._tasks = self._sessions = self._ids = 0
        self.guarded = seed % 3 == 2
        """Whether the storage lets nodes in one by one."""
        self._open_to: set[str] = set()
        self.slow = self.random.choice((0.05, 0.5)) if self.guarded else 0.0
        """Of what the storage is told to do, how much it does much later."""
        self.period = self.random.choice(PERIODS)
        self.term = self.random.choice((5, 10, 20, 60))
        # Each run has faults of its own: many kinds at once get in each other's way.
        self._faults = self.random.sample(FAULTS, self.random.randint(1, len(FAULTS)))
        self._pause = self.random.choice((5.0, 15.0, 40.0))
        self._unrest = self.random.choice((0.003, 0.03))
        self._late = self.random.choice((0.02, 0.15))
        self.is_worst = self.random.random() < 0.5
        self.agents = [Agent(self, f"n{number}") for number in range(1, 4)]
        self.managers = [Manager(self) for _ in range(3)]
        self.leader = self.managers[0]
        self.leader.lead()
        self.leader.propose([batch(create(each)) for each in self._objects()])

    def _objects(self) -> Iterable[Node | Volume]:
        for agent in self.agents:
            made = node(agent.name)
            made.description.volume_drivers.add(
                name="shared", opens=self.guarded, fences=self.guarded
            )
            yield made
        volume = Volume(id=VOLUME)
        volume.spec.annotations.name = VOLUME
        volume.spec.driver = "shared"
        volume.spec.lease_term.seconds = self.term
        yield volume

    def run(self) -> None:
        """Faults, then calm: in the end somebody has the volume, and may write."""
        for agent in self.agents:
            self.later(self.random.uniform(0, self.period), agent.beat)
        self.later(0.1, self._duties)
        self.later(1.0, self._user)
        self.later(3.0, self._fault)
        self._until(STORM)
        for agent in self.agents:
            agent.cut = agent.paused = agent.slow = False
        self.slow = 0.0
        # Messages are late in the calm, too: a lease may run out between two heartbeats.
        moments = map(self._somebody_has_it, range(int(CALM - LAST), int(CALM) + 1))
        assert sum(moments), "nobody has the volume in the end"

    def _somebody_has_it(self, second: int) -> bool:
        """At this second of the calm."""
        self._until(STORM + second)
        return any(agent.has_lease() for agent in self.agents)

    @property
    def events(self) -> int:
        """How much has happened, or was to."""
        return self._asked

    def _until(self, end: float) -> None:
        while self._heap and self._heap[0][0] < end:
            self.now, _, action, given = heappop(self._heap)
            action(*given)

    def at(self, moment: float, action: Callable[..., object], *given: object) -> None:
        """Lets something happen then."""
        self._asked += 1
        heappush(self._heap, (max(moment, self.now), self._asked, action, given))

    def later(self, delay: float, action: Callable[..., object], *given: object) -> None:
        """Lets something happen `delay` seconds from now."""
        self.at(self.now + delay, action, *given)

    def delay(self, agent: Agent) -> float:
        """Seconds that a message from or to the agent takes."""
        if agent.slow:
            return self.random.uniform(0.5, 4.0)
        return self.random.uniform(0.0, 4.0 if self.random.random() < self._late else 0.05)

    def pass_(self, agent: Agent, action: Callable[[], object]) -> None:
        """A message from or to the agent: late, or lost where it is cut off or paused."""

        def arrive() -> None:
            if not agent.cut and self.random.random() > 0.02:
                if agent.paused:
                    self.later(1.0, arrive)
                else:
                    action()

        self.later(self.delay(agent), arrive)

    def lets_in(self, agent: Agent) -> bool:
        """Whether the storage takes what the agent writes."""
        return not self.guarded or agent.name in self._open_to

    def tell_storage(self, order: Order) -> None:
        """It does so at once."""
        if order.verb == OPEN:
            self._open_to.add(order.node_id)
        else:
            self._open_to.discard(order.node_id)
        self.check()

    def next_id(self) -> str:
        """An id."""
        self._ids += 1
        return f"o-{self._ids}"

    def next_session(self) -> int:
        """A number that no session had."""
        self._sessions += 1
        return self._sessions

    def check(self) -> None:
        """The promise."""
        writers = [agent.name for agent in self.agents if agent.writes()]
        if len(writers) > 1:
            raise TwoWriters(f"{' and '.join(writers)} may write at {self.now:.1f} s")

    # Duties, people, and what goes wrong.

    def _duties(self) -> None:
        self.later(0.25, self._duties)
        self.leader.work()
        volume = self.leader.store.get(Volume, VOLUME)
        present = {each.node_id for each in volume.holders} if volume is not None else set()
        self.held += bool(present - self._holders)
        self._holders = present or self._holders

    def _user(self) -> None:
        """One task is wanted; now and then it is to end, or nodes take none."""
        self.later(self.random.uniform(0.1, 0.4), self._user)
        store = self.leader.store
        live = [each for each in store.all(Task) if states.is_live(each)]
        if not live:
            self._tasks += 1
            spec = specs_pb2.TaskSpec()
            mount = spec.container.mounts.add(type=specs_pb2.Mount.TYPE_CLUSTER, source=VOLUME)
            mount.volume_id, mount.target = VOLUME, "/data"
            fresh = task(f"t{self._tasks}", state=states.PENDING, spec=spec)
            self.leader.propose([batch(create(fresh))])
        elif self._stormy and self.random.random() < self._unrest:
            for each in live:
                ended = copy(each)
                ended.status.state, ended.desired_state = states.SHUTDOWN, states.SHUTDOWN
                self.leader.propose([batch(update(ended))])
        for found in list(store.all(Node)):
            wish: types_pb2.NodeAvailability.ValueType
            wish = self.random.choice((ACTIVE, ACTIVE, PAUSE)) if self._stormy else ACTIVE
            if self.random.random() < 3 * self._unrest and found.spec.availability != wish:
                changed = copy(found)
                changed.spec.availability = wish
                self.leader.propose([batch(update(changed))])

    @property
    def _stormy(self) -> bool:
        return self.now < STORM

    def _fault(self) -> None:
        if not self._stormy:
            return
        self.later(self.random.uniform(0.5, self._pause), self._fault)
        agent = self.random.choice(self.agents)
        holders = [each for each in self.agents if each.has_lease()]
        if holders and self.random.random() < 0.5:
            agent = self.random.choice(holders)
        fault = self.random.choice(self._faults)
        if fault == "leader":
            self.change_leader()
        elif fault == "power":
            agent.lose_power()
        elif fault == "session":
            agent.manager = None
        elif fault == "slow":
            self._for_a_while(agent, "slow")
        elif fault == "slow cut":
            agent.slow = True
            self.later(6.0, self._for_a_while, agent, "cut")
            self.later(6.0, setattr, agent, "slow", False)
        else:
            self._for_a_while(agent, fault)

    def _for_a_while(self, agent: Agent, flag: str) -> None:
        setattr(agent, flag, True)
        long = self.term * self.random.uniform(1.0, 1.6)
        self.later(self.random.choice((3.0, 12.0, long, long)), setattr, agent, flag, False)

    def change_leader(self) -> None:
        """Another one leads; the former hears of it sooner or later."""
        former = self.leader
        self.leader = self.random.choice([each for each in self.managers if each is not former])
        self.leader.lead()

        def learns() -> None:
            if former is not self.leader:
                former.believes = False

        self.later(self.random.choice((0.1, 2.0, BELIEF)), learns)
