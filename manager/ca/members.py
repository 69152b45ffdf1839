"""Who belongs to the cluster, by its state, and as what. Pure; reads the store."""

from api.identity import Identity, Role
from api.v1 import objects_pb2, types_pb2
from manager.state.store import View

_MANAGER = types_pb2.NODE_ROLE_MANAGER


class Members:
    """Answers an Authorizer's questions from the store, so that a removal counts at once."""

    def __init__(self, view: View) -> None:
        self._view = view

    def is_member(self, identity: Identity) -> bool:
        """Whether the node or operator is in the cluster, and was not removed.

        A manager that has just joined knows nobody before its first snapshot comes, and it is sent
        by one of those it does not know: until then, what the root has signed is a member.
        """
        cluster = next(self._view.all(objects_pb2.Cluster), None)
        if cluster is None:
            return True
        if cluster.id != identity.cluster_id:
            return False
        if identity.role == "operator":
            return self._view.get(objects_pb2.Operator, identity.id) is not None
        return self._view.get(objects_pb2.Node, identity.id) is not None

    def role_of(self, identity: Identity) -> Role:
        """The role that its certificate is worth now: a demoted manager's is worth a worker's."""
        node = self._view.get(objects_pb2.Node, identity.id)
        if identity.role == "manager" and node is not None and granted_role(node) != _MANAGER:
            return "worker"
        return identity.role


def granted_role(node: objects_pb2.Node) -> types_pb2.NodeRole.ValueType:
    """The role of the next certificate: what the spec says, except for a manager on its way out.

    A demoted manager keeps its role until it has left the Raft group, which its ManagerStatus
    tells: without its certificate a group of two could not agree on letting it go (SwarmKit,
    manager/role_manager.go).
    """
    return _MANAGER if node.HasField("manager") else node.spec.role
