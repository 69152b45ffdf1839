"""Which join tokens a cluster has, and what they are worth. Pure.

The form of a token is in api/token.py.
"""

import hmac

from api.certificates import certificates_in, digest_of
from api.errors import Code, SwarmError
from api.token import JoinToken, new_token, parse_token
from api.v1 import objects_pb2, types_pb2
from manager.ca.authority import root_der
from manager.ca.roots import former
from manager.state.changes import copy

__all__ = ["JoinToken", "new_token", "parse_token", "role_of_token", "rotated"]

_REMEDY = "get a valid one with `swarmctl swarm join-token worker` on a manager"


def role_of_token(root: objects_pb2.RootCa, text: str) -> types_pb2.NodeRole.ValueType:
    """The role that a joiner with this token gets.

    INVALID if it is malformed, UNAUTHENTICATED if it is of another cluster or was rotated away.
    The time that this takes tells nothing of how much of a wrong secret is right.
    """
    token = parse_token(text)
    if not token.is_of(root_der(root)):
        if any(digest_of(each) == token.digest for each in certificates_in(former(root))):
            raise _refused("the root certificate was rotated since it was made")
        raise _refused("it belongs to another cluster")
    given = str(token).encode()
    worker = hmac.compare_digest(given, root.worker_token.encode())
    manager = hmac.compare_digest(given, root.manager_token.encode())
    if manager:
        return types_pb2.NODE_ROLE_MANAGER
    if worker:
        return types_pb2.NODE_ROLE_WORKER
    raise _refused("its secret is not, or no longer, one of this cluster's")


def rotated(
    cluster: objects_pb2.Cluster, role: types_pb2.NodeRole.ValueType, secret_bytes: bytes
) -> objects_pb2.Cluster:
    """A copy of the cluster with a new token for `role`; nodes that have joined are unaffected.

    `secret_bytes`: 16 random bytes.
    """
    changed = copy(cluster)
    token = str(new_token(root_der(cluster.root_ca), secret_bytes))
    if role == types_pb2.NODE_ROLE_MANAGER:
        changed.root_ca.manager_token = token
    else:
        changed.root_ca.worker_token = token
    return changed


def _refused(why: str) -> SwarmError:
    return SwarmError(
        Code.UNAUTHENTICATED,
        "the join token is refused",
        why=why,
        remedy=_REMEDY,
        field="token",
    )
