"""Takes volumes back from nodes that need them no longer, and ends tasks that have lost theirs.

A node is asked to let go when no task there can touch the volume any more; it is free once the
node, or its lease, says so. A task whose volume is drained, or is held by its node no longer, is
rejected, as by the constraint enforcer: the orchestrator makes another. Giving is the scheduler's.
"""

from collections.abc import Iterator

from api import states
from api.v1 import objects_pb2, specs_pb2
from manager.decision import Decision
from manager.placement.eviction import evicted
from manager.state.changes import Batch, Event, batch, copy, update
from manager.state.store import View
from manager.state.volumes import (
    holder_of,
    is_given,
    may_touch,
    needing,
    turn,
    users_of,
    volumes_of_task,
    why_closed,
)
from manager.volumes.transfers import without_node

MAX_LOOKED_AT = 500
"""Volumes and their tasks looked at per decision, so that a step stays under 20 ms."""

Holder = objects_pb2.VolumeHolder
Node = objects_pb2.Node
Task = objects_pb2.Task
Volume = objects_pb2.Volume


class VolumesLoop:
    """Fulfils manager.decision.Loop."""

    name = "volumes"
    kinds = (Volume, Task, Node)
    debounce = 0.005

    def __init__(self) -> None:
        self._volumes: dict[str, None] = {}  # to be looked at
        self._bereaved = False  # a node is gone, and may have been needed for a transfer

    def reset(self, view: View) -> None:
        """Takes every volume as changed."""
        self._volumes = {each.id: None for each in view.all(Volume)}

    def observe(self, event: Event) -> bool:
        """Notes volumes that changed, and those of tasks that did."""
        if isinstance(event.object, Volume):
            self._volumes[event.object.id] = None
        elif isinstance(event.object, Task) and event.object.volumes:
            self._volumes.update(dict.fromkeys(sorted(volumes_of_task(event.object))))
        elif isinstance(event.object, Node) and event.new is None:
            self._bereaved = True
        return bool(self._volumes) or self._bereaved

    def decide(self, view: View, now: float) -> Decision:
        """What is to be let go, and which tasks have to go."""
        batches: list[Batch] = []
        gone: set[str] = set()
        if self._bereaved:
            self._bereaved = False
            self._volumes.update({v.id: None for v in view.all(Volume) if v.HasField("transfer")})
        left = MAX_LOOKED_AT
        while self._volumes and left > 0:
            volume_id = next(iter(self._volumes))
            del self._volumes[volume_id]
            volume = view.get(Volume, volume_id)
            tasks = view.tasks_of_volume(volume_id)
            left -= 1 + len(tasks)
            for task, why in _stranded(volume, tasks):
                if task.id not in gone:
                    gone.add(task.id)
                    batches.append(batch(update(evicted(task, why, now))))
            if volume is not None:
                given_up = _given_up(view, volume)
                batches += _taken_back(view, volume) if given_up is None else [given_up]
        return Decision(batches, more=bool(self._volumes))

    def refused(self, batch: Batch) -> None:
        """Looks at the volumes again."""
        for change in batch.changes:
            if isinstance(change.object, Volume):
                self._volumes[change.object.id] = None
            elif isinstance(change.object, Task):
                self._volumes.update(dict.fromkeys(sorted(volumes_of_task(change.object))))


def _stranded(volume: Volume | None, tasks: list[Task]) -> Iterator[tuple[Task, str]]:
    """The tasks that cannot go on with the volume, and why."""
    for task in tasks:
        if not states.is_live(task):
            continue
        mine = [each for each in task.volumes if volume is None or each.volume_id == volume.id]
        if volume is None:
            yield task, f"volume {mine[0].source} was removed"
            continue
        name = volume.spec.annotations.name
        if volume.spec.availability == specs_pb2.VolumeSpec.AVAILABILITY_DRAIN:
            yield task, f"volume {name} is drained"
            continue
        if closed := why_closed(volume):
            yield task, f"volume {name} {closed}"
            continue
        holder = holder_of(volume, task.node_id)
        if not _holds_for(holder, mine):
            yield task, f"assigned node no longer holds volume {name}"


def _holds_for(holder: Holder | None, attachments: list[objects_pb2.VolumeAttachment]) -> bool:
    if holder is None or not may_touch(holder):
        return False
    return all(each.epoch == holder.epoch for each in attachments)


def _given_up(view: View, volume: Volume) -> Batch | None:
    """What becomes of a transfer by a node that is part of the swarm no more."""
    if not volume.HasField("transfer") or view.get(Node, volume.transfer.node_id) is not None:
        return None
    if volume.removing and users_of(view, volume):
        return None  # the store would refuse it as often as it was asked
    return without_node(volume)


def _taken_back(view: View, volume: Volume) -> Iterator[Batch]:
    idle = [
        each.node_id
        for each in volume.holders
        if is_given(each) and next(needing(view, volume.id, each.node_id, each.epoch), None) is None
    ]
    if idle:
        changed = copy(volume)
        for node_id in idle:
            turn(changed, node_id, Holder.STATE_RELEASING)
        yield batch(update(changed))
