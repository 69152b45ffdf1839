"""What the events of each kind of object are called and tell. Pure; told from the object before and
after one applied change alone, so that every manager tells the same.

Words and attributes are those of Docker's swarm events where it has them: docs/reference/events.md.
A new kind of object is one more row of TABLE.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

from api.v1 import objects_pb2
from manager.events import clusters, nodes, services, tasks, volumes
from manager.events.parts import CHANGED, touched
from manager.events.steps import Attributes, Step, named
from manager.state.changes import Event, StoredObject

CREATE, UPDATE, REMOVE = "create", "update", "remove"


class Happening(NamedTuple):
    """One event, without its place in the log. `labels` are the object's, for filters alone."""

    kind: str
    action: str
    id: str
    attributes: Attributes
    labels: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Kind:
    """One kind of object: what its events tell.

    `always`: what each of them tells, by the object as it is now. `updates`: what a change of the
    object came to; nothing if it is of no concern to people. `told`: the actions beside create and
    remove, and the attributes of each beside those that are always told; for the reference and for
    filters. `confidential`: not for workers, who may not list these objects either.
    """

    word: str
    always: Callable[[Any], Attributes]
    updates: Callable[[Any, Any], Iterable[Step]]
    labels: Callable[[Any], Mapping[str, str]]
    told: Mapping[str, tuple[str, ...]]
    confidential: bool = False


def _annotated(obj: Any) -> Mapping[str, str]:  # noqa: ANN401 - any object with a spec
    labels: Mapping[str, str] = obj.spec.annotations.labels
    return labels


def _named(obj: Any) -> Attributes:  # noqa: ANN401 - as above
    return named(obj.spec.annotations.name)


def _plain(old: object, new: object) -> Iterable[Step]:
    return (Step(UPDATE, {}),)


def _respecified(old: Any, new: Any) -> Iterable[Step]:  # noqa: ANN401 - any object with a spec
    told = touched(old.spec, new.spec)
    return (Step(UPDATE, told),) if told else ()


TABLE: Mapping[type[StoredObject], Kind] = {
    objects_pb2.Cluster: Kind(
        "swarm", _named, clusters.updates, _annotated, {UPDATE: clusters.UPDATE_TELLS}
    ),
    objects_pb2.Node: Kind(
        "node", nodes.always, nodes.updates, _annotated, {UPDATE: nodes.UPDATE_TELLS}
    ),
    objects_pb2.Service: Kind(
        "service", _named, services.updates, _annotated, {UPDATE: services.UPDATE_TELLS}
    ),
    objects_pb2.Task: Kind(
        "task", tasks.always, tasks.updates, lambda task: task.service_labels, tasks.TOLD
    ),
    # What the allocator notes of a network, with every address that comes to rest, concerns nobody.
    objects_pb2.Network: Kind("network", _named, _respecified, _annotated, {UPDATE: (CHANGED,)}),
    objects_pb2.Volume: Kind("volume", _named, volumes.updates, _annotated, volumes.TOLD),
    objects_pb2.Secret: Kind("secret", _named, _plain, _annotated, {UPDATE: ()}, confidential=True),
    objects_pb2.Config: Kind("config", _named, _plain, _annotated, {UPDATE: ()}, confidential=True),
    objects_pb2.Operator: Kind(
        "operator",
        lambda operator: named(operator.name),
        _plain,
        lambda _: {},
        {UPDATE: ()},
        confidential=True,
    ),
}
"""The row of each kind of stored object."""


def events_of(change: Event) -> list[Happening]:
    """What one applied change was, as people would say it; often one event, sometimes none."""
    obj = change.object
    kind = TABLE[type(obj)]
    steps: Iterable[Step]
    if change.old is None:
        steps = (Step(CREATE, {}),)
    elif change.new is None:
        steps = (Step(REMOVE, {}),)
    else:
        steps = kind.updates(change.old, change.new)
    if not steps:
        return []
    always, labels = kind.always(obj), dict(kind.labels(obj))
    return [
        Happening(kind.word, step.action, obj.id, always | step.attributes, labels)
        for step in steps
    ]
