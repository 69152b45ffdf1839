"""What a new spec, or the way back to the last one, makes of a service. Pure.

A rollback puts `previous_spec` in the place of `spec`, the number of replicas with it, as Docker
does; the orchestrator then brings the tasks there with the spec's rollback config. `spec_version`
grows in any case, so that the trials of what is undone count no longer. Told by the orchestrator
when an update fails, and by the control service when somebody asks; proposes nothing itself.
"""

from api.errors import Code, SwarmError
from api.v1 import objects_pb2, specs_pb2
from manager.state.changes import copy
from manager.state.networks import make_alike

Service = objects_pb2.Service
Spec = specs_pb2.ServiceSpec

UPDATING = objects_pb2.UpdateStatus.STATE_UPDATING
PAUSED = objects_pb2.UpdateStatus.STATE_PAUSED
COMPLETED = objects_pb2.UpdateStatus.STATE_COMPLETED
ROLLBACK_STARTED = objects_pb2.UpdateStatus.STATE_ROLLBACK_STARTED
ROLLBACK_PAUSED = objects_pb2.UpdateStatus.STATE_ROLLBACK_PAUSED
ROLLBACK_COMPLETED = objects_pb2.UpdateStatus.STATE_ROLLBACK_COMPLETED

UNDER_WAY = (UPDATING, ROLLBACK_STARTED)
HALTED = (PAUSED, ROLLBACK_PAUSED)


def respecified(service: Service, spec: Spec) -> Service:
    """The service with the spec that a user gave it.

    What makes other tasks begins a new rollout. A paused one goes on with whatever is said of the
    service, even if that is nothing new; only a mere change of the number of replicas leaves it
    paused. What is said again is not remembered as the previous spec, nor is what is scaled before
    a rollout has come to its end: there would be no way back.
    """
    changed = copy(service)
    if spec != service.spec:
        if not _keeps_the_way_back(service, spec):
            changed.previous_spec.CopyFrom(service.spec)
        changed.spec.CopyFrom(spec)
    if not make_alike(service.spec, spec):
        changed.spec_version += 1
        changed.ClearField("update_status")
    elif service.update_status.state in HALTED and not _is_mere_scaling(service.spec, spec):
        _resume(changed)
    return changed


def rolled_back_by_hand(service: Service) -> Service:
    """The service on its way back to its previous spec; a second time: on its way forth again.

    A rollback that is paused goes on instead. REFUSED if there is no previous spec.
    """
    name = service.spec.annotations.name
    if service.update_status.state == ROLLBACK_PAUSED:
        changed = copy(service)
        _resume(changed)
        return changed
    if not service.HasField("previous_spec"):
        is_going_back = service.update_status.state == ROLLBACK_STARTED
        raise SwarmError(
            Code.REFUSED,
            f"service {name} cannot be rolled back",
            why="it is being rolled back already"
            if is_going_back
            else "it does not have a previous spec",
            remedy=f"see: swarmctl service ps {name}"
            if is_going_back
            else "say what it shall be with swarmctl service update",
        )
    changed = _exchanged(service, "manually requested rollback")
    changed.previous_spec.CopyFrom(service.spec)
    return changed


def rolled_back_by_itself(service: Service, message: str) -> Service | None:
    """The service on its way back from a failed update; None if that would change no task.

    The failed spec is forgotten, so that nobody comes back to it by a rollback by hand.
    """
    if not service.HasField("previous_spec") or make_alike(service.previous_spec, service.spec):
        return None
    changed = _exchanged(service, message)
    changed.ClearField("previous_spec")
    return changed


def _exchanged(service: Service, message: str) -> Service:
    changed = copy(service)
    changed.spec.CopyFrom(service.previous_spec)
    changed.spec_version += 1
    changed.update_status.Clear()
    changed.update_status.state = ROLLBACK_STARTED
    changed.update_status.message = message
    return changed


def _resume(changed: Service) -> None:
    """Takes the rollout up again: with a new version, so that past failures count no longer."""
    is_rollback = changed.update_status.state == ROLLBACK_PAUSED
    changed.spec_version += 1
    changed.update_status.Clear()
    changed.update_status.state = ROLLBACK_STARTED if is_rollback else UPDATING
    changed.update_status.message = "rollback resumed" if is_rollback else "update resumed"


def _keeps_the_way_back(service: Service, spec: Spec) -> bool:
    """Whether the spec is that of a rollout not over yet, which may still have to be undone."""
    return (
        service.HasField("previous_spec")
        and service.update_status.state not in (COMPLETED, ROLLBACK_COMPLETED)
        and _is_mere_scaling(service.spec, spec)
        and not make_alike(service.previous_spec, service.spec)
    )


def _is_mere_scaling(old: Spec, new: Spec) -> bool:
    if old.replicated == new.replicated:
        return False
    scaled = Spec()
    scaled.CopyFrom(old)
    scaled.replicated.CopyFrom(new.replicated)
    return scaled == new
