"""From what a user types to an object: an id, a name, or an unambiguous prefix of an id. Pure."""

from api.errors import Code, SwarmError, invalid
from api.states import task_name
from api.v1 import objects_pb2
from manager.state.changes import KINDS, StoredObject, T
from manager.state.store import View

_LIST_COMMAND = {
    objects_pb2.Service: "swarmctl service ls",
    objects_pb2.Task: "swarmctl service ps SERVICE",
    objects_pb2.Node: "swarmctl node ls",
    objects_pb2.Operator: "swarmctl swarm client-cert --ls",
    objects_pb2.Cluster: "swarmctl system info",
    objects_pb2.Secret: "swarmctl secret ls",
    objects_pb2.Config: "swarmctl config ls",
    objects_pb2.Network: "swarmctl network ls",
    objects_pb2.Volume: "swarmctl volume ls",
}


def resolve(view: View, kind: type[T], key: str) -> T:
    """The object that `key` means; NOT_FOUND or INVALID (ambiguous) with what to do."""
    if not key:
        raise invalid("key", f"the id or name of a {KINDS[kind]} is needed")
    found = view.get(kind, key) or view.named(kind, key)
    if found is not None:
        return found
    matches = [obj for obj in view.all(kind) if obj.id.startswith(key) or _called(obj, key)]
    exact = [obj for obj in matches if _called(obj, key)]
    if exact:
        matches = exact
    if len(matches) == 1:
        return matches[0]
    if matches:
        raise invalid(
            "key",
            f"{key!r} may mean {len(matches)} different {KINDS[kind]}s",
            why=", ".join(obj.id for obj in matches[:5]),
            remedy="give more characters of the id",
        )
    raise SwarmError(
        Code.NOT_FOUND,
        f"there is no {KINDS[kind]} {key!r}",
        remedy=f"see: {_LIST_COMMAND[kind]}",
    )


def _called(obj: StoredObject, key: str) -> bool:
    # Names that need not be unique: a host's, and a task's as `ps` shows it.
    if isinstance(obj, objects_pb2.Node):
        return key in (obj.description.hostname, obj.spec.annotations.name)
    if isinstance(obj, objects_pb2.Task):
        # The id first: there may be very many tasks, and making their names takes a while.
        return key.endswith(obj.id) and key == f"{task_name(obj)}.{obj.id}"
    return False
