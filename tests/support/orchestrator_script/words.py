"""Changes of a store in words: one line for what a reader of a transcript wants to know."""

import re
from collections.abc import Iterator

from api import states
from api.times import seconds_of
from api.v1 import objects_pb2
from manager.state.changes import Event
from manager.state.store import View
from tests.support.builders import EPOCH
from tests.support.raft_script.script import ScriptError

_STATUS = objects_pb2.UpdateStatus.State
_SHOWN = (states.RUNNING, states.COMPLETE, states.SHUTDOWN, states.FAILED, states.REJECTED)


class Words:
    """Gives each task a name, web.1#2: the second that was ever made for slot 1 of web."""

    def __init__(self, view: View) -> None:
        self._view = view
        self._names: dict[str, str] = {}
        self._counts: dict[str, int] = {}

    def task(self, name: str) -> objects_pb2.Task:
        """The task of that name; without a number the newest of its slot."""
        slot, _, number = name.partition("#")
        wanted = f"{slot}#{number or self._counts.get(slot, 0)}"
        for task_id, known in self._names.items():
            found = self._view.get(objects_pb2.Task, task_id)
            if known == wanted and found is not None:
                return found
        raise ScriptError(f"there is no task {name}")

    def of(self, event: Event) -> Iterator[str]:
        """What the event did, unless it is not worth a line."""
        old, new = event.old, event.new
        if isinstance(new, objects_pb2.Task):
            if isinstance(old, objects_pb2.Task):
                yield from self._task_changed(old, new)
            else:
                yield self._task_made(new)
        elif isinstance(new, objects_pb2.Service):
            before = old if isinstance(old, objects_pb2.Service) else objects_pb2.Service()
            yield from self._service_changed(before, new)

    def picture(self, service: objects_pb2.Service) -> Iterator[str]:
        """The service and its slots."""
        status = service.update_status
        image, replicas = service.spec.task.container.image, service.spec.replicated.replicas
        yield f"{service.id}: {replicas} of {image}, {self._status(status)}"
        slots: dict[int, list[objects_pb2.Task]] = {}
        for task in self._view.tasks_of_service(service.id):
            if task.desired_state < states.REMOVE:
                slots.setdefault(task.slot, []).append(task)
        for number in sorted(slots):
            shown = [self._shown(task) for task in slots[number] if states.is_live(task)]
            yield f"  {service.id}.{number}: {', '.join(shown) or 'nothing'}"

    def _shown(self, task: objects_pb2.Task) -> str:
        number = self._name(task).partition("#")[2]
        place = f" on {task.node_id}" if task.node_id else ""
        state = states.state_name(task.status.state).lower()
        return f"#{number} {task.spec.container.image} {state}{place}"

    def _name(self, task: objects_pb2.Task) -> str:
        if task.id not in self._names:
            slot = f"{task.service_id}.{task.slot}"
            self._counts[slot] = self._counts.get(slot, 0) + 1
            self._names[task.id] = f"{slot}#{self._counts[slot]}"
        return self._names[task.id]

    def _task_made(self, task: objects_pb2.Task) -> str:
        parts = [f"{self._name(task)} made of {task.spec.container.image}"]
        if task.desired_state == states.READY:
            parts.append("to wait")
        if seconds_of(task.start_after) > seconds_of(task.meta.created_at):
            parts.append(f"until {seconds_of(task.start_after) - EPOCH:g}")
        if task.restarts:
            parts.append(f"(failures in a row: {task.restarts})")
        return " ".join(parts)

    def _task_changed(self, old: objects_pb2.Task, new: objects_pb2.Task) -> Iterator[str]:
        name = self._name(new)
        if new.desired_state != old.desired_state:
            goal = {states.RUNNING: "may start", states.SHUTDOWN: "is to stop"}
            yield f"{name} {goal.get(new.desired_state, 'is to go')}"
        if old.HasField("start_after") and not new.HasField("start_after"):
            yield f"{name} has passed its trial"
        if old.restarts and not new.restarts:
            yield f"{name} is well"
        if new.status.state != old.status.state and new.status.state in _SHOWN:
            place = f" on {new.node_id}" if new.node_id else ""
            yield f"{name} {states.state_name(new.status.state).lower()}{place}"

    def _service_changed(self, old: objects_pb2.Service, new: objects_pb2.Service) -> Iterator[str]:
        before, after = old.spec, new.spec
        if before.task.container.image != after.task.container.image:
            yield f"{new.id} is to be {after.task.container.image}"
        if before.replicated != after.replicated:
            yield f"{new.id} is to have {after.replicated.replicas}"
        if old.update_status.state != new.update_status.state:
            yield f"{new.id} {self._status(new.update_status)}"

    def _status(self, status: objects_pb2.UpdateStatus) -> str:
        if not status.state:
            return "no update"
        # Ids depend on how often the loop had to decide; names do not.
        words = [self._names.get(word, word) for word in re.split(r"\b", status.message)]
        state = _STATUS.Name(status.state).removeprefix("STATE_").lower()
        return f"{state}: {''.join(words)}"
