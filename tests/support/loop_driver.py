"""One loop over a sealed store: every batch is applied at once, and its events are shown."""

from typing import Any

from api.modes import is_job
from api.times import timestamp
from api.v1 import objects_pb2, specs_pb2, types_pb2
from manager.decision import Decision, Loop
from manager.orchestrator.rollback import respecified
from manager.state.changes import Applied, Change, StoredObject, copy, create, delete, update
from tests.support.builders import EPOCH
from tests.support.sealed_store import SealedStore


class LoopDriver:
    """Feeds a loop. `now` moves only when a test moves it."""

    def __init__(self, loop: Loop, *objects: StoredObject) -> None:
        self.store = SealedStore()
        self.loop = loop
        self.now = EPOCH
        self.wake_at: float | None = None
        loop.reset(self.store)
        self.write(*map(create, objects))

    def write(self, *changes: Change) -> bool:
        """Applies each change; whether the loop wants to decide."""
        applied = self.store.must(*changes, now=self.now)
        return self._show(applied)

    def decide(self) -> Decision:
        """One decision, which is not applied."""
        decision = self.loop.decide(self.store, self.now)
        self.wake_at = decision.wake_at
        return decision

    def run(self, seconds: float = 0, limit: int = 100) -> int:
        """Moves the clock, then decides and applies until nothing is left; the batches applied."""
        self.now += seconds
        count = 0
        for _ in range(limit):
            decision = self.decide()
            wanted = self.apply(decision)
            count += len(decision.batches)
            if not decision.batches and not decision.more and not wanted:
                return count
        raise AssertionError("the loop never comes to rest")

    def apply(self, decision: Decision) -> bool:
        """Applies what was decided, all of it; whether the loop wants to decide."""
        applied = self.store.write(decision.batches, self.now)
        assert not any(applied.results), applied.results
        return self._show(applied)

    def _show(self, applied: Applied) -> bool:
        wanted = False
        for event in applied.events:
            if type(event.object) in self.loop.kinds:
                wanted |= self.loop.observe(event)
        return wanted

    def task(self, task_id: str) -> objects_pb2.Task:
        """The task, which must exist."""
        found = self.store.get(objects_pb2.Task, task_id)
        assert found is not None, f"no task {task_id}"
        return found

    def tasks(self) -> list[objects_pb2.Task]:
        """Every task, oldest first."""
        return list(self.store.all(objects_pb2.Task))

    def service(self, service_id: str = "web") -> objects_pb2.Service:
        """The service, which must exist."""
        found = self.store.get(objects_pb2.Service, service_id)
        assert found is not None, f"no service {service_id}"
        return found

    def report(
        self,
        task_id: str,
        state: types_pb2.TaskState.ValueType,
        *,
        node_id: str = "",
        **status: Any,
    ) -> bool:
        """What an agent, or the scheduler with a node, says of a task."""
        moved = copy(self.task(task_id))
        moved.status.state = state
        moved.status.at.CopyFrom(timestamp(self.now))
        for name, value in status.items():
            setattr(moved.status, name, value)
        if node_id:
            moved.node_id = node_id
        return self.write(update(moved))

    def change_node(
        self,
        node_id: str,
        *,
        state: types_pb2.NodeState.ValueType | None = None,
        availability: types_pb2.NodeAvailability.ValueType | None = None,
    ) -> bool:
        """Another state or availability of a node."""
        found = self.store.get(objects_pb2.Node, node_id)
        assert found is not None, f"no node {node_id}"
        changed = copy(found)
        if state is not None:
            changed.status.state = state
        if availability is not None:
            changed.spec.availability = availability
        return self.write(update(changed))

    def change_service(
        self,
        service_id: str = "web",
        *,
        replicas: int | None = None,
        spec: specs_pb2.TaskSpec | None = None,
        update_config: specs_pb2.UpdateConfig | None = None,
    ) -> bool:
        """As the control service does it; nothing else said: resumes what is paused."""
        service = self.service(service_id)
        given = copy(service).spec
        if replicas is not None and is_job(service):
            given.replicated_job.total_completions = replicas
        elif replicas is not None:
            given.replicated.replicas = replicas
        if spec is not None:
            given.task.CopyFrom(spec)
        if update_config is not None:
            given.update.CopyFrom(update_config)
        changed = respecified(service, given)
        if is_job(changed) and changed.spec_version != service.spec_version:
            changed.ClearField("update_status")
            changed.job_status.iteration += 1
        return self.write(update(changed))

    def remove_node(self, node_id: str) -> bool:
        """As `node rm`."""
        found = self.store.get(objects_pb2.Node, node_id)
        assert found is not None, f"no node {node_id}"
        return self.write(delete(found))
