"""What is told of a host's membership: to `system info`, and to the health service. Pure."""

from collections.abc import Iterable

from api.errors import Code, SwarmError
from api.identity import Identity
from api.times import timestamp
from api.v1 import host_pb2, types_pb2
from swarmctl.membership import Membership

Info = host_pb2.SwarmInfo


def swarm_info(
    membership: Membership,
    identity: Identity,
    managers: Iterable[str],
    *,
    in_touch: bool,
    trouble: SwarmError | None,
) -> Info:
    """`managers`: addresses; `trouble`: why the agent has no session now."""
    is_manager = membership.manager
    return Info(
        state=Info.STATE_ACTIVE if in_touch and not _is_refused(trouble) else Info.STATE_PENDING,
        error="" if trouble is None else f"{trouble}",
        node_id=membership.node_id,
        cluster_id=membership.cluster_id,
        role=types_pb2.NODE_ROLE_MANAGER if is_manager else types_pb2.NODE_ROLE_WORKER,
        managers=managers,
        certificate_expires_at=timestamp(identity.not_after),
    )


def missing(*, in_touch: bool, trouble: SwarmError | None) -> str:
    """What a node lacks of being in its swarm; empty if nothing."""
    if _is_refused(trouble):
        return str(trouble)
    return "" if in_touch else "no manager has been reached yet"


def _is_refused(trouble: SwarmError | None) -> bool:
    return trouble is not None and trouble.code is Code.UNAUTHENTICATED
