"""What the events of services tell: Docker's attributes, and why an update was paused."""

from collections.abc import Sequence

from api.v1 import objects_pb2
from manager.events.parts import CHANGED, touched
from manager.events.steps import Attributes, Step, Words, changed, shortened

UPDATE_TELLS = (
    "image.old",
    "image.new",
    "replicas.old",
    "replicas.new",
    "updatestate.old",
    "updatestate.new",
    "message",
    "iteration.old",
    "iteration.new",
    CHANGED,
)
_STATES = Words(dict(objects_pb2.UpdateStatus.State.items()), "STATE_")


def updates(old: objects_pb2.Service, new: objects_pb2.Service) -> Sequence[Step]:
    """One event, unless only the swarm's own notes about the service have changed."""
    told = {**_update(old, new), **changed("iteration", _iteration(old), _iteration(new))}
    if old.spec == new.spec:
        return (Step("update", told),) if told else ()
    told |= changed("image", _image(old), _image(new))
    told |= changed("replicas", _replicas(old), _replicas(new))
    told |= touched(old.spec, new.spec)
    return (Step("update", told),)


def _update(old: objects_pb2.Service, new: objects_pb2.Service) -> Attributes:
    was, is_now = old.update_status, new.update_status
    if was.state == is_now.state:
        return {}
    told = {}
    if was.state:
        told["updatestate.old"] = _STATES[was.state]
    if is_now.state:
        told["updatestate.new"] = _STATES[is_now.state]
    if is_now.message:
        told["message"] = shortened(is_now.message)
    return told


def _iteration(service: objects_pb2.Service) -> int:
    return service.job_status.iteration


def _image(service: objects_pb2.Service) -> str:
    return service.spec.task.container.image


def _replicas(service: objects_pb2.Service) -> int:
    return service.spec.replicated.replicas
