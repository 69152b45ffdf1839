"""Which role a node shall take over, from what its swarm says of it. Pure."""

from api.v1 import objects_pb2, types_pb2


def wished_role(
    node: objects_pb2.Node | None, *, manager: bool, removed: bool = False
) -> str | None:
    """The role that the node shall take over now, or None. Pure.

    A manager that shall be a worker stays one until it has lost its seat, as its status tells. One
    that was `removed`, and shall be a manager again by now, is a worker in between: a seat is lost
    for good, and it needs another.
    """
    if node is None:
        return None
    wanted = node.spec.role == types_pb2.NODE_ROLE_MANAGER
    if wanted and not manager:
        return "manager"
    if manager and (removed or not wanted) and not node.HasField("manager"):
        return "worker"
    return None
