"""What may be done to the store: changes in batches, each whole or not at all; and the outcome.

Holds the in-memory form, its encoding in the log, and how much goes into one entry of that. Decides
nothing and applies nothing.
An object that is put into a change belongs to the store from then on: nobody touches it again.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from enum import Enum
from typing import TypeVar

from api.errors import Code, SwarmError
from api.v1 import objects_pb2, raft_pb2

StoredObject = (
    objects_pb2.Cluster
    | objects_pb2.Node
    | objects_pb2.Service
    | objects_pb2.Task
    | objects_pb2.Operator
    | objects_pb2.Secret
    | objects_pb2.Config
    | objects_pb2.Network
    | objects_pb2.Volume
)
T = TypeVar(
    "T",
    objects_pb2.Cluster,
    objects_pb2.Node,
    objects_pb2.Service,
    objects_pb2.Task,
    objects_pb2.Operator,
    objects_pb2.Secret,
    objects_pb2.Config,
    objects_pb2.Network,
    objects_pb2.Volume,
)

KINDS: dict[type[StoredObject], str] = {
    objects_pb2.Cluster: "cluster",
    objects_pb2.Node: "node",
    objects_pb2.Service: "service",
    objects_pb2.Task: "task",
    objects_pb2.Operator: "operator",
    objects_pb2.Secret: "secret",
    objects_pb2.Config: "config",
    objects_pb2.Network: "network",
    objects_pb2.Volume: "volume",
}
"""The kinds of stored objects and the word for each, which is also its field in api.v1 Object."""

MAX_BATCHES = 500
"""Batches in one proposal: applying it must not hold up the event loop."""
MAX_PROPOSAL_BYTES = 1 << 20
"""Bytes of the objects in one proposal, unless its one batch has more: an entry of the log takes 3
MiB, with all that is around them.
"""


class Action(Enum):
    """What a change does."""

    CREATE = raft_pb2.Change.ACTION_CREATE
    UPDATE = raft_pb2.Change.ACTION_UPDATE
    DELETE = raft_pb2.Change.ACTION_DELETE


@dataclass(frozen=True, slots=True)
class Change:
    """One step on one object.

    An update or delete applies only while the stored version is still `object.meta.version`.
    """

    action: Action
    object: StoredObject


def create(obj: StoredObject) -> Change:
    """Adds a new object; refused if its id, or its name within the kind, is taken."""
    return Change(Action.CREATE, obj)


def update(obj: StoredObject) -> Change:
    """Replaces the object from which `obj` was copied."""
    return Change(Action.UPDATE, obj)


def delete(obj: StoredObject) -> Change:
    """Removes the object at the version that `obj` has."""
    return Change(Action.DELETE, obj)


@dataclass(frozen=True, slots=True)
class Batch:
    """Changes that apply together or not at all. No two of them are about one object or name."""

    changes: tuple[Change, ...]


def batch(*changes: Change) -> Batch:
    """A batch of these changes."""
    return Batch(changes)


def proposals(batches: Iterable[Batch]) -> Iterator[list[Batch]]:
    """The batches in their order, cut into what is proposed at once; reads one batch ahead."""
    proposal: list[Batch] = []
    room = MAX_PROPOSAL_BYTES
    for each in batches:
        size = sum(change.object.ByteSize() for change in each.changes)
        if proposal and (size > room or len(proposal) == MAX_BATCHES):
            yield proposal
            proposal, room = [], MAX_PROPOSAL_BYTES
        proposal.append(each)
        room -= size
    if proposal:
        yield proposal


@dataclass(frozen=True, slots=True)
class Event:
    """What one applied change did: `old` is None after a create, `new` after a delete."""

    old: StoredObject | None
    new: StoredObject | None

    @property
    def object(self) -> StoredObject:
        """The object as it is now, or as it was before it went."""
        found = self.new if self.new is not None else self.old
        assert found is not None  # noqa: S101 - an event about nothing is never made
        return found


@dataclass(frozen=True, slots=True)
class Applied:
    """The outcome of one command: for each batch None, or why it did not apply."""

    index: int
    results: tuple[SwarmError | None, ...]
    events: tuple[Event, ...] = ()
    object_id: str = ""
    repeated: bool = field(default=False)
    """The request had been applied before; `index` and `object_id` are those of the first time."""


def copy(obj: T) -> T:
    """A copy that may be changed."""
    fresh = type(obj)()
    fresh.CopyFrom(obj)
    return fresh


def wrap(obj: StoredObject) -> objects_pb2.Object:
    """The object inside the message that can hold any kind."""
    wrapped = objects_pb2.Object()
    getattr(wrapped, KINDS[type(obj)]).CopyFrom(obj)
    return wrapped


def unwrap(wrapped: objects_pb2.Object) -> StoredObject:
    """The object inside; SwarmError UNSUPPORTED if there is none, as from a newer version's log."""
    kind = wrapped.WhichOneof("kind")
    if kind is None:
        raise _newer("an object of an unknown kind")
    obj: StoredObject = getattr(wrapped, kind)
    return obj


def encode(batches: Sequence[Batch]) -> Iterable[raft_pb2.Batch]:
    """The batches as the log holds them."""
    for each in batches:
        encoded = raft_pb2.Batch()
        for change in each.changes:
            target = encoded.changes.add(action=change.action.value)
            getattr(target.object, KINDS[type(change.object)]).CopyFrom(change.object)
        yield encoded


def decode(batches: Iterable[raft_pb2.Batch]) -> list[Batch]:
    """The batches of a log entry; SwarmError UNSUPPORTED where only a newer version knows them."""
    return [Batch(tuple(_change(change) for change in each.changes)) for each in batches]


def _change(change: raft_pb2.Change) -> Change:
    try:
        action = Action(change.action)
    except ValueError:
        raise _newer(f"an action {change.action}") from None
    return Change(action, unwrap(change.object))


def _newer(what: str) -> SwarmError:
    return SwarmError(
        Code.UNSUPPORTED,
        f"this manager's log holds {what}",
        why="a newer version of swarmd wrote it",
        remedy="run that version, or a later one",
    )
