"""What people do to a cluster, and what happens to its hosts, at random."""

import contextlib
from collections.abc import Callable

from api.errors import SwarmError
from api.modes import is_job
from api.v1 import objects_pb2, specs_pb2
from manager.control.networks import gone_with
from manager.orchestrator.rollback import respecified, rolled_back_by_hand
from manager.state.changes import copy, create, delete, update
from tests.sim.virtual_cluster import VirtualCluster
from tests.support.builders import (
    ACTIVE,
    DOWN,
    DRAIN,
    GIB,
    PAUSE,
    READY,
    UNKNOWN,
    join,
    node,
    publish,
    service,
    task_spec,
    update_config,
)

MODES = ("replicated", "replicated", "replicated", "global", "replicated_job", "global_job")
CONDITIONS = specs_pb2.RestartPolicy.Condition


class User:
    """Does random things to a cluster: what people do, and what happens to hosts."""

    def __init__(self, cluster: VirtualCluster) -> None:
        self.cluster = cluster
        self.random = cluster.random
        self.start_first = self.random.random() < 0.4
        self.services = 0
        self.nodes = 0
        for _ in range(4):
            self.add_node()

    def act(self) -> None:
        """One action."""
        actions: list[tuple[Callable[[], None], int]] = [
            (self.create_service, 2),
            (self.scale, 3),
            (self.roll_out, 3),
            (self.roll_back, 1),
            (self.remove_service, 1),
            (self.change_node_state, 4),
            (self.change_availability, 2),
            (self.add_node, 1),
            (self.remove_node, 1),
            (self.cluster.change_leader, 2),
        ]
        names, weights = zip(*actions, strict=True)
        self.random.choices(names, weights)[0]()

    def add_node(self) -> None:
        if self.cluster.store.count(objects_pb2.Node) < 6:
            self.nodes += 1
            name = f"n{self.nodes}"
            self.cluster.write([create(node(name, cpus=4, memory=4 * GIB))])
            self.cluster.reachable.add(name)

    def remove_node(self) -> None:
        if self.cluster.store.count(objects_pb2.Node) > 2:
            self.cluster.remove_node(self._some_node())

    def change_node_state(self) -> None:
        self.cluster.set_node_state(self._some_node(), self.random.choice([READY, DOWN, UNKNOWN]))

    def change_availability(self) -> None:
        chosen = self.random.choice([ACTIVE, ACTIVE, PAUSE, DRAIN])
        self.cluster.node_changed(
            self._some_node(), lambda found: setattr(found.spec, "availability", chosen)
        )

    def create_service(self) -> None:
        if self.cluster.store.count(objects_pb2.Service) < 4:
            self.services += 1
            mode = self.random.choice(MODES)
            at_once = self.random.randrange(3)
            made = service(f"s{self.services}", self._replicas(), mode=mode, at_once=at_once)
            if not is_job(made):
                # The order stays: a rollback to another one may find two tasks in a slot.
                order = update_config(start_first=self.start_first)
                made.spec.update.CopyFrom(order)
                made.spec.rollback.CopyFrom(order)
            self._connect(made.spec)
            self.cluster.write([create(made)])

    def remove_service(self) -> None:
        found = self._some_service()
        if found is not None:
            self.cluster.write([delete(found), *gone_with(self.cluster.store, found)])

    def _connect(self, spec: specs_pb2.ServiceSpec) -> None:
        if self.random.random() < 0.6:
            join(spec, "front")
        if self.random.random() < 0.4:
            publish(spec, 80, self.random.choice([0, 0, 8080]))
        if self.random.random() < 0.2 and not spec.endpoint.ports:
            spec.endpoint.mode = specs_pb2.EndpointSpec.MODE_DNSRR

    def scale(self) -> None:
        replicas = self._replicas()

        def change(spec: specs_pb2.ServiceSpec) -> None:
            if spec.HasField("replicated"):
                spec.replicated.replicas = replicas
            elif spec.HasField("replicated_job"):
                spec.replicated_job.total_completions = replicas

        self._respec(change)

    def roll_out(self) -> None:
        random = self.random
        kind = random.choices(["app", "broken", "huge"], [6, 2, 1])[0]
        fresh = task_spec(
            f"{kind}:{random.randrange(1000)}",
            cpus=64 if kind == "huge" else random.choice([0, 0, 0.5, 1]),
            memory=random.choice([0, GIB // 4, GIB]),
            delay=random.choice([0, 1, 5]),
            condition=random.choice(CONDITIONS.values()),
            max_attempts=random.choice([0, 0, 2]),
        )
        config = update_config(
            random.choice([None, 0, 1, 2]),
            delay=random.choice([0, 2]),
            monitor=random.choice([0, 5]),
            start_first=self.start_first,
            **random.choice([{}, {"goes_on": True}, {"goes_back": True}]),
        )
        back = update_config(random.choice([None, 0, 2]), monitor=2, start_first=self.start_first)

        def change(spec: specs_pb2.ServiceSpec) -> None:
            spec.task.CopyFrom(fresh)
            spec.ClearField("endpoint")
            self._connect(spec)
            spec.update.CopyFrom(config)
            spec.rollback.CopyFrom(back)

        self._respec(change)

    def _respec(self, change: Callable[[specs_pb2.ServiceSpec], None]) -> None:
        found = self._some_service()
        if found is not None:
            spec = specs_pb2.ServiceSpec()
            spec.CopyFrom(found.spec)
            change(spec)
            if is_job(found) and self.random.random() < 0.3:
                spec.task.force_update += 1  # a job is often run again though nothing changed
            self.cluster.write([update(self._anew(found, respecified(found, spec)))])

    def _anew(self, old: objects_pb2.Service, changed: objects_pb2.Service) -> objects_pb2.Service:
        """As the control service does it: another task spec runs a job anew."""
        if is_job(old) and changed.spec_version != old.spec_version:
            changed.ClearField("update_status")
            changed.job_status.iteration += 1
        return changed

    def roll_back(self) -> None:
        found = self._some_service()
        if found is not None:
            with contextlib.suppress(SwarmError):  # there may be nothing to go back to
                self.cluster.write([update(self._anew(found, rolled_back_by_hand(found)))])

    def repair(self) -> None:
        """Ends all faults; services that no node could run are given a spec that fits."""
        cluster = self.cluster
        cluster.refusal_rate = cluster.crash_rate = 0.0
        for found in cluster.store.all(objects_pb2.Node):
            cluster.node_changed(found.id, lambda n: setattr(n.spec, "availability", ACTIVE))
            cluster.set_node_state(found.id, READY)
        while cluster.store.count(objects_pb2.Node) < 4:
            self.add_node()
        self.add_subnet()
        for found_service in cluster.store.all(objects_pb2.Service):
            spec = specs_pb2.ServiceSpec()
            spec.CopyFrom(found_service.spec)
            spec.task.CopyFrom(task_spec("app:final", cpus=0.25, delay=1))
            join(spec, "front")
            if not is_job(found_service):
                spec.update.CopyFrom(update_config(2, start_first=self.start_first))
            cluster.write([update(self._anew(found_service, respecified(found_service, spec)))])

    def add_subnet(self) -> None:
        """Room for all."""
        front = self.cluster.store.get(objects_pb2.Network, "front")
        if front is not None:
            changed = copy(front)
            changed.spec.pools.add(subnet="10.0.8.0/24")
            self.cluster.write([update(changed)])

    def _replicas(self) -> int:
        return self.random.randrange(7)

    def _some_node(self) -> str:
        return self.random.choice(list(self.cluster.store.all(objects_pb2.Node))).id

    def _some_service(self) -> objects_pb2.Service | None:
        found = list(self.cluster.store.all(objects_pb2.Service))
        return self.random.choice(found) if found else None
