"""Where each RPC is answered."""

import pytest

from api.v1 import control_pb2
from manager.ca.roles import ROLES, method
from manager.forwarding.methods import Where, where


@pytest.mark.parametrize(
    ("service", "rpc", "place"),
    [
        ("Control", "GetService", Where.HERE_UP_TO_DATE),
        ("Control", "ListNodes", Where.HERE_UP_TO_DATE),
        ("Control", "Watch", Where.HERE_UP_TO_DATE),
        ("Control", "Events", Where.HERE_UP_TO_DATE),
        ("Control", "Backup", Where.HERE_UP_TO_DATE),
        ("Control", "GetGroup", Where.HERE),
        ("Control", "CreateService", Where.LEADER),
        ("Control", "RotateJoinToken", Where.LEADER),
        ("Control", "ExplainTask", Where.HERE_UP_TO_DATE),
        ("Control", "ExplainService", Where.HERE_UP_TO_DATE),
        ("Logs", "Subscribe", Where.LEADER),
        ("Exec", "Run", Where.LEADER),
        ("ExecBroker", "Attach", Where.HERE),
        ("CaRenewal", "Renew", Where.LEADER),
        ("Ca", "GetRoot", Where.HERE),
        ("Ca", "Issue", Where.LEADER),
        ("ManagerGroup", "Join", Where.LEADER),
        ("Raft", "Exchange", Where.HERE),
        ("Dispatcher", "Session", Where.HERE),
        ("Health", "Check", Where.HERE),
    ],
)
def test_where_a_call_is_answered(service: str, rpc: str, place: Where) -> None:
    assert method(service, rpc) in ROLES
    assert where(method(service, rpc)) is place


def test_whatever_changes_the_state_can_be_sent_again() -> None:
    """A call that is passed on may be sent twice: it needs an id that makes that harmless."""
    service = control_pb2.DESCRIPTOR.services_by_name["Control"]
    for rpc in service.methods:
        if where(f"/{service.full_name}/{rpc.name}") is Where.LEADER and rpc.name != "GetGroup":
            assert "request_id" in rpc.input_type.fields_by_name, rpc.name
