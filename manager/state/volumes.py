"""Who holds which volume, who needs it, and what the store refuses therefore. Pure.

A single-writer volume that is given to two nodes, one that is taken back while a task comes to need
it, one that is removed while it is used: whoever proposes either has looked before; only where the
order is settled can both be known. So the store refuses the later one of the two.
"""

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

from api import states
from api.errors import Code, SwarmError
from api.v1 import objects_pb2, specs_pb2
from api.volumes import term_of
from manager.state.changes import Action, Batch, Change
from manager.state.files import UNDER_WAY
from manager.state.users import named

if TYPE_CHECKING:
    from manager.state.store import View

Holder = objects_pb2.VolumeHolder
Service = objects_pb2.Service
Task = objects_pb2.Task
Transfer = objects_pb2.VolumeTransfer
Volume = objects_pb2.Volume
Spec = specs_pb2.VolumeSpec


def named_by(spec: specs_pb2.TaskSpec) -> frozenset[str]:
    """The ids of the volumes of the swarm that mounts of such a task name."""
    return frozenset(each.volume_id for each in spec.container.mounts if each.volume_id)


def volumes_of_service(service: Service) -> frozenset[str]:
    """Volumes that the service names, or may go back to."""
    return named_by(service.spec.task) | named_by(service.previous_spec.task)


def volumes_of_task(task: Task) -> frozenset[str]:
    """Volumes that the task was given."""
    if not task.volumes:  # as of most, and each change of each task is asked
        return frozenset()
    return frozenset(each.volume_id for each in task.volumes)


def nodes_of_volume(volume: Volume) -> frozenset[str]:
    """Nodes that hold the volume, in whatever way."""
    return frozenset(each.node_id for each in volume.holders)


def holder_of(volume: Volume, node_id: str) -> Holder | None:
    """The node's hold of the volume, if it has one."""
    return next((each for each in volume.holders if each.node_id == node_id), None)


def may_touch(holder: Holder) -> bool:
    """Whether the node may use the volume, now or as soon as its storage lets it in, as far as
    anybody else can know.
    """
    return holder.state not in (Holder.STATE_FENCED, Holder.STATE_CLOSING)


def is_given(holder: Holder) -> bool:
    """Whether tasks of the node may come to use the volume by this hold."""
    return holder.state in (Holder.STATE_HELD, Holder.STATE_OPENING)


def why_closed(volume: Volume) -> str:
    """What keeps all tasks from the volume just now, as "is being moved"; empty: nothing does."""
    transfer = volume.transfer
    if not volume.HasField("transfer") or transfer.live:
        return ""
    return {
        Transfer.KIND_MIGRATE: "is being moved to another node",
        Transfer.KIND_BACKUP: "is being saved",
        Transfer.KIND_RESTORE: "is being restored",
        Transfer.KIND_CLEAR: "",
    }[transfer.kind]


def ended(volume: Volume, node_id: str, epoch: int) -> Volume | None:
    """A copy that nothing of this node touches any more; None if that is known, under this epoch.

    Where the storage has let the node in, the hold goes on until it has shut it out.
    """
    held = holder_of(volume, node_id)
    if held is None or held.epoch != epoch or held.state == Holder.STATE_CLOSING:
        return None
    if not held.opens or held.state == Holder.STATE_FENCED:
        return without(volume, node_id, epoch)
    changed = Volume()
    changed.CopyFrom(volume)
    turn(changed, node_id, Holder.STATE_CLOSING)
    return changed


def turn(volume: Volume, node_id: str, state: Holder.State.ValueType) -> None:
    """Gives the node's hold of a volume, which is a copy, another state.

    That an order to let the node in was answered is never known once its hold has gone on.
    """
    for each in volume.holders:
        if each.node_id == node_id:
            if each.state == Holder.STATE_OPENING and node_id not in volume.unfenceable:
                volume.unfenceable.append(node_id)
            each.state = state
            each.order_error = ""


def without(volume: Volume, node_id: str, epoch: int) -> Volume | None:
    """A copy that this node does not hold any more; None if it does not, under this epoch."""
    kept = [each for each in volume.holders if (each.node_id, each.epoch) != (node_id, epoch)]
    if len(kept) == len(volume.holders):
        return None
    changed = Volume()
    changed.CopyFrom(volume)
    del changed.holders[:]
    changed.holders.extend(kept)
    return changed


def secrets_of(view: "View", volume: Volume) -> dict[str, bytes]:
    """What its driver is to be given in secret, by its own keys; what is not there is left out."""
    found = {}
    for each in volume.spec.secrets:
        secret = view.named(objects_pb2.Secret, each.secret)
        if secret is not None:
            found[each.key] = secret.spec.data
    return found


def clash(volume: Volume, read_only: bool, others: Iterable[bool]) -> str:
    """Why one more task may not use it beside others; empty: it may. `others`: which only read."""
    sharing = volume.spec.sharing
    if sharing == Spec.SHARING_READONLY and not read_only:
        return "it is shared by tasks that only read"
    present = list(others)
    if sharing == Spec.SHARING_NONE and present:
        return "it is for one task, and another has it"
    if sharing == Spec.SHARING_ONEWRITER and not read_only and not all(present):
        return "it is for one task that writes, and another does"
    return ""


def users_that_only_read(view: "View", volume: Volume, but: str = "") -> Iterator[bool]:
    """For each task that may use the volume now, but this one, whether it only reads."""
    for task in view.tasks_of_volume(volume.id):
        if task.id != but and needs_its_volumes(task):
            yield all(v.read_only for v in task.volumes if v.volume_id == volume.id)


def needs_its_volumes(task: Task) -> bool:
    """Whether something of the task may be on its node, or come there.

    One that was rejected here while it ran is stopped once the orchestrator has seen it.
    """
    if not states.is_terminal(task):
        return True
    return task.status.state == states.REJECTED and states.is_wanted(task)


def needing(view: "View", volume_id: str, node_id: str, epoch: int) -> Iterator[Task]:
    """The tasks for whose sake the node holds the volume."""
    for task in view.tasks_of_volume(volume_id):
        has_it = any((v.volume_id, v.epoch) == (volume_id, epoch) for v in task.volumes)
        if has_it and task.node_id == node_id and needs_its_volumes(task):
            yield task


def users_of(view: "View", volume: Volume) -> list[str]:
    """In words who would miss the volume: services, tasks without one, then nodes that hold it."""
    services = [each for each in view.services_of_volume(volume.id) if _needs(each, volume.id)]
    found = [f"service {each.spec.annotations.name}" for each in services]
    known = {each.id for each in services}
    for task in view.tasks_of_volume(volume.id):
        if task.service_id not in known and needs_its_volumes(task):
            found.append(f"task {states.task_name(task)}")
    if not found and (closed := why_closed(volume)):
        found.append(f"an operator: it {closed}")
    if not found:
        found += [f"node {node_name(view, each.node_id)}" for each in volume.holders]
    return found


def in_use(volume: Volume, users: list[str]) -> SwarmError:
    """The refusal to remove a volume that these use."""
    return SwarmError(
        Code.REFUSED,
        f"volume {volume.spec.annotations.name} is in use",
        why=f"by {named(users)}",
        remedy="remove the services, or take the volume from them: swarmctl service update "
        "--mount-rm TARGET SERVICE; a node lets go of it when its tasks have ended",
    )


def node_name(view: "View", node_id: str) -> str:
    """What people call the node: its hostname, or its id if that is all that is known."""
    node = view.get(objects_pb2.Node, node_id)
    return node.description.hostname if node is not None and node.description.hostname else node_id


def refusal_of_volumes(view: "View", change: Change, among: Batch) -> SwarmError | None:
    """Why the change, one of the batch `among`, does not go together with what is there."""
    obj = change.object
    if isinstance(obj, Volume):
        if change.action is not Action.DELETE:
            return _refuse_volume(view, obj)
        stored = view.get(Volume, obj.id)
        users = [] if stored is None else users_of(view, stored)
        return in_use(obj, users) if users else None
    if isinstance(obj, Task) and change.action is not Action.DELETE:
        return _refuse_task(view, obj, among) if obj.volumes else None
    if isinstance(obj, Service) and change.action is not Action.DELETE:
        return _refuse_service(view, obj)
    return None


def _refuse_volume(view: "View", volume: Volume) -> SwarmError | None:
    before = view.get(Volume, volume.id) or Volume()
    name = volume.spec.annotations.name
    live = [each for each in volume.holders if may_touch(each)]
    nodes = [each.node_id for each in volume.holders]
    if len(nodes) > len(set(nodes)):
        return _defect(name, "a node holds it twice")
    if len(live) > 1 and volume.spec.access == Spec.ACCESS_SINGLE_WRITER:
        return _conflict(name, "another node holds it", "it is for one node at a time")
    if volume.spec.access == Spec.ACCESS_MANY_READERS and not all(h.read_only for h in live):
        return _conflict(name, "a node would write to it", "it is for many readers")
    known = {(each.node_id, each.epoch) for each in before.holders}
    fresh = [each for each in volume.holders if (each.node_id, each.epoch) not in known]
    if fresh and (closed := why_closed(volume)):
        return _conflict(name, "no node can have it now", f"it {closed}")
    if _is_elsewhere(before, volume) and (before.holders or volume.holders):
        return _conflict(name, "its data cannot be elsewhere now", "a node holds it")
    if volume.epoch < before.epoch or not all(
        before.epoch < each.epoch <= volume.epoch for each in fresh
    ):
        return _defect(name, "an epoch of it would come twice")
    if before.holders and term_of(volume.spec) != term_of(before.spec):
        return _conflict(name, "the term of its leases cannot change now", "a node holds it")
    return _refuse_taking_back(view, before, volume)


def _is_elsewhere(before: Volume, volume: Volume) -> bool:
    """Whether the data that counts is other data than before."""
    was = (before.home, before.generation)
    return bool(before.home) and was != (volume.home, volume.generation)


def _refuse_taking_back(view: "View", before: Volume, volume: Volume) -> SwarmError | None:
    for each in volume.holders:
        held = holder_of(before, each.node_id)
        is_taken_back = each.state == Holder.STATE_RELEASING
        if is_taken_back and held is not None and is_given(held):
            for task in needing(view, volume.id, each.node_id, each.epoch):
                name = volume.spec.annotations.name
                return _conflict(name, "it is needed", f"by task {states.task_name(task)}")
    return None


def _refuse_task(view: "View", task: Task, among: Batch) -> SwarmError | None:
    before = view.get(Task, task.id)
    if before is not None and before.volumes == task.volumes and before.node_id == task.node_id:
        return None
    given = {each.object.id: each.object for each in among.changes}
    for each in task.volumes:
        volume = given.get(each.volume_id) or view.get(Volume, each.volume_id)
        holder = holder_of(volume, task.node_id) if isinstance(volume, Volume) else None
        if not isinstance(volume, Volume) or holder is None or not _fits(holder, each):
            return _conflict(
                each.source, "its node does not hold it", "it was taken back meanwhile"
            )
        why = why_closed(volume) or clash(
            volume, each.read_only, users_that_only_read(view, volume, task.id)
        )
        if why:
            return _conflict(volume.spec.annotations.name, "a task cannot use it now", why)
    return None


def _fits(holder: Holder, attachment: objects_pb2.VolumeAttachment) -> bool:
    return holder.epoch == attachment.epoch and is_given(holder)


def _refuse_service(view: "View", service: Service) -> SwarmError | None:
    wanted = named_by(service.spec.task)
    if not wanted:
        return None
    before = view.get(Service, service.id)
    if before is not None:
        # What it had already was looked at then: an orchestrator's write must not fail for it.
        wanted -= volumes_of_service(before)
    return _missing(view, wanted)


def _missing(view: "View", wanted: Iterable[str]) -> SwarmError | None:
    for volume_id in sorted(wanted):
        volume = view.get(Volume, volume_id)
        if volume is None or volume.removing:
            return SwarmError(
                Code.CONFLICT,
                f"volume {volume_id} was removed meanwhile",
                remedy="create it again, then repeat the change",
            )
    return None


def _needs(service: Service, volume_id: str) -> bool:
    if volume_id in named_by(service.spec.task):
        return True
    going_back = service.update_status.state in UNDER_WAY
    return going_back and volume_id in named_by(service.previous_spec.task)


def _conflict(name: str, what: str, why: str) -> SwarmError:
    return SwarmError(
        Code.CONFLICT, f"volume {name}: {what}", why=why, remedy="read it again and repeat"
    )


def _defect(name: str, why: str) -> SwarmError:
    return SwarmError(
        Code.INTERNAL, f"volume {name} cannot change so", why=why, remedy="report it as a defect"
    )
