"""What is told of a membership, by what is known of the managers."""

from dataclasses import replace

import pytest

from api.errors import Code, SwarmError
from api.identity import Identity
from api.v1 import host_pb2, types_pb2
from swarmctl.membership_words import missing, swarm_info
from tests.support.members import MEMBERSHIP

IDENTITY = Identity("manager", MEMBERSHIP.node_id, MEMBERSHIP.cluster_id, 7, 1000.0)
AWAY = SwarmError(Code.UNAVAILABLE, "no manager answers")
REMOVED = SwarmError(Code.UNAUTHENTICATED, "this node was removed from the swarm")
ACTIVE, PENDING = host_pb2.SwarmInfo.STATE_ACTIVE, host_pb2.SwarmInfo.STATE_PENDING


@pytest.mark.parametrize(
    ("in_touch", "trouble", "state", "lacks"),
    [
        (True, None, ACTIVE, ""),
        (True, AWAY, ACTIVE, ""),
        (True, REMOVED, PENDING, str(REMOVED)),
        (False, None, PENDING, "no manager has been reached yet"),
        (False, AWAY, PENDING, "no manager has been reached yet"),
        (False, REMOVED, PENDING, str(REMOVED)),
    ],
)
def test_what_is_told(
    in_touch: bool,
    trouble: SwarmError | None,
    state: host_pb2.SwarmInfo.State.ValueType,
    lacks: str,
) -> None:
    told = swarm_info(MEMBERSHIP, IDENTITY, ["a:2377"], in_touch=in_touch, trouble=trouble)
    assert (told.state, told.error) == (state, str(trouble or ""))
    assert missing(in_touch=in_touch, trouble=trouble) == lacks


@pytest.mark.parametrize(
    ("manager", "role"),
    [(True, types_pb2.NODE_ROLE_MANAGER), (False, types_pb2.NODE_ROLE_WORKER)],
)
def test_who_and_where_it_is(manager: bool, role: types_pb2.NodeRole.ValueType) -> None:
    membership = replace(MEMBERSHIP, manager=manager)
    told = swarm_info(membership, IDENTITY, ["a:2377"], in_touch=True, trouble=None)
    assert (told.role, told.node_id, list(told.managers)) == (role, IDENTITY.id, ["a:2377"])
    assert told.certificate_expires_at.seconds == 1000
