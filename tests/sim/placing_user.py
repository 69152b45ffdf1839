"""A virtual cluster whose nodes change under their tasks, and people who care where tasks run."""

from collections import Counter
from collections.abc import Callable
from random import Random

from api import states
from api.v1 import objects_pb2, specs_pb2
from manager.decision import Loop
from manager.orchestrator.enforcer import EnforcerLoop
from manager.placement.constraint import matches
from manager.state.changes import Batch, create
from tests.sim.invariants import Watchdog
from tests.sim.user import User
from tests.sim.virtual_cluster import VirtualCluster
from tests.support.builders import ACTIVE, GIB, READY, node, service, task_spec, update_config

RACKS = ("", "a", "b", "c")
CONSTRAINTS: tuple[tuple[str, ...], ...] = (
    (),
    (),
    ("node.labels.rack==a",),
    ("node.labels.rack!=b", "node.id!=n1"),
    ("node.labels.rack==a|node.labels.rack==c",),
)


class _Watchdog(Watchdog):
    def _nothing_overcommitted(self, task: objects_pb2.Task) -> None:
        """A node may shrink under its tasks; what comes of it is seen at rest."""


class PlacingCluster(VirtualCluster):
    """The same, with the enforcer among the loops, and `meanwhile`: what happens to a node between
    a decision about a task of it and its being applied.
    """

    def __init__(self, random: Random) -> None:
        super().__init__(random)
        self._watchdog = _Watchdog(self.store)
        self.meanwhile: Callable[[str], None] = lambda node_id: None

    def new_loops(self) -> list[Loop]:
        return [*super().new_loops(), EnforcerLoop()]

    def propose(self, loop: Loop, batches: list[Batch]) -> None:
        changes = [change.object for each in batches for change in each.changes]
        nodes = [task.node_id for task in changes if isinstance(task, objects_pb2.Task)]
        if self.refusal_rate and any(nodes) and self.random.random() < 0.3:
            self.meanwhile(self.random.choice([node_id for node_id in nodes if node_id]))
            for other in self.loops:
                if isinstance(other, EnforcerLoop) and other is not loop:
                    self.run_loop(other)
        super().propose(loop, batches)


class PlacingUser(User):
    """Also labels nodes, gives and takes their resources, and restricts services."""

    def __init__(self, cluster: PlacingCluster) -> None:
        super().__init__(cluster)
        cluster.meanwhile = self.relabel

    def act(self) -> None:
        if self.random.random() < 0.5:
            super().act()
        else:
            self.random.choice([self.relabel, self.resize])()

    def add_node(self) -> None:
        self.nodes += 1
        made = node(f"n{self.nodes}", cpus=4, memory=4 * GIB)
        made.description.resources.generic.add(kind="gpu", ids=[f"u{n}" for n in range(4)])
        made.spec.annotations.labels["rack"] = self.random.choice(RACKS)
        self.cluster.write([create(made)])
        self.cluster.reachable.add(made.id)

    def relabel(self, node_id: str = "") -> None:
        rack = self.random.choice(RACKS)
        self.cluster.node_changed(
            node_id or self._some_node(), lambda n: n.spec.annotations.labels.update({"rack": rack})
        )

    def resize(self) -> None:
        gpus = [f"u{n}" for n in self.random.sample(range(6), self.random.randrange(5))]
        memory = self.random.choice([1, 2, 4]) * GIB

        def change(found: objects_pb2.Node) -> None:
            resources = found.description.resources
            resources.memory_bytes = memory
            del resources.generic[:]
            if gpus:
                resources.generic.add(kind="gpu", ids=gpus)

        self.cluster.node_changed(self._some_node(), change)

    def roll_out(self) -> None:
        """No broken images: a service that crashes for ever never comes to rest."""
        spec = self._restricted()

        def change(found: specs_pb2.ServiceSpec) -> None:
            found.task.CopyFrom(spec)
            self._order(found, at_once=True)

        self._respec(change)

    def _restricted(self) -> specs_pb2.TaskSpec:
        random = self.random
        spec = task_spec(f"app:{random.randrange(1000)}", memory=random.choice([0, GIB]), delay=1)
        spec.placement.constraints.extend(random.choice(CONSTRAINTS))
        spec.placement.max_replicas_per_node = random.choice([0, 0, 1, 2])
        if random.random() < 0.3:
            spec.placement.spread.append("node.labels.rack")
        if random.random() < 0.3:
            spec.resources.reservations.generic.add(kind="gpu", count=random.choice([1, 2]))
        return spec

    def create_service(self) -> None:
        if self.cluster.store.count(objects_pb2.Service) < 4:
            self.services += 1
            made = service(f"s{self.services}", self._replicas(), spec=self._restricted())
            self._order(made.spec, at_once=False)
            self.cluster.write([create(made)])

    def _order(self, spec: specs_pb2.ServiceSpec, *, at_once: bool) -> None:
        """The order stays: a rollback to another one may find two tasks in a slot."""
        parallelism = 0 if at_once else None
        spec.update.CopyFrom(update_config(parallelism, monitor=0, start_first=self.start_first))
        spec.rollback.CopyFrom(spec.update)

    def calm(self) -> None:
        """Ends all faults, and brings every node back as it is."""
        self.cluster.refusal_rate = self.cluster.crash_rate = 0.0
        for found in self.cluster.store.all(objects_pb2.Node):
            self.cluster.node_changed(found.id, lambda n: setattr(n.spec, "availability", ACTIVE))
            self.cluster.set_node_state(found.id, READY)


def unrest(seed: int, steps: int) -> tuple[PlacingCluster, PlacingUser]:
    """A cluster after so many steps of changes; what was begun may be under way yet."""
    cluster = PlacingCluster(Random(seed))
    user = PlacingUser(cluster)
    cluster.refusal_rate, cluster.crash_rate = 0.15, 0.01
    for _ in range(steps):
        if cluster.random.random() < 0.3:
            user.act()
        cluster.pass_time(cluster.random.choice([0.0, 0.2, 1.0, 7.0]))
        cluster.run_loop(cluster.random.choice(cluster.loops))
        if cluster.random.random() < 0.6:
            cluster.run_loops()
        cluster.run_agents()
    return cluster, user


def misplaced(cluster: VirtualCluster) -> list[str]:
    """What is wrong with where tasks are, once nothing moves any more."""
    return [
        f"{found.id}: {each(found, held)}"
        for found in cluster.store.all(objects_pb2.Node)
        if (held := [t for t in cluster.store.tasks_of_node(found.id) if states.is_live(t)])
        for each in (_unsuited, _too_many_here, _doubly_given, _too_much)
        if each(found, held)
    ]


Held = list[objects_pb2.Task]


def _unsuited(node: objects_pb2.Node, held: Held) -> str:
    wrong = [t.id for t in held if not matches(t.spec.placement.constraints, node)]
    return f"{wrong} do not belong here" if wrong else ""


def _too_many_here(node: objects_pb2.Node, held: Held) -> str:
    """Tasks of another spec do not count: in an update that is paused they may have no limit."""
    counts = Counter((t.service_id, t.spec_version) for t in held)
    for task in held:
        most = task.spec.placement.max_replicas_per_node
        count = counts[task.service_id, task.spec_version]
        if most and count > most:
            return f"{count} tasks of {task.service_id} instead of {most}"
    return ""


def _doubly_given(node: objects_pb2.Node, held: Held) -> str:
    has = {name for each in node.description.resources.generic for name in each.ids}
    given = [name for t in held for each in t.assigned_generic for name in each.ids]
    wanted = sum(g.count for t in held for g in t.spec.resources.reservations.generic)
    if len(set(given)) != len(given) or not set(given) <= has or len(given) != wanted:
        return f"{given} of {sorted(has)} were given, {wanted} wanted"
    return ""


def _too_much(node: objects_pb2.Node, held: Held) -> str:
    wanted = sum(t.spec.resources.reservations.memory_bytes for t in held)
    has = node.description.resources.memory_bytes
    return f"{wanted} of {has} bytes are reserved" if wanted > has else ""


def stranded(cluster: VirtualCluster) -> list[str]:
    """Pending tasks that say nothing of why they wait."""
    return [
        task.id
        for task in cluster.store.all(objects_pb2.Task)
        if task.status.state == states.PENDING
        and task.desired_state <= states.RUNNING
        and not task.status.error.startswith("no suitable node")
    ]
