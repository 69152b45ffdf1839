"""Whose rights a call has that a manager passes on."""

import pytest

from api.errors import Code, SwarmError
from api.identity import EVERY_ROLE, Role
from api.serving import Caller
from manager.ca.behalf import behind, is_forwarded, on_behalf

MANAGER = Caller("manager", "m1", "c", "tls")


@pytest.mark.parametrize("role", sorted(EVERY_ROLE))
@pytest.mark.parametrize("name", ["n1", ""])
def test_the_leader_sees_the_caller_of_the_follower(role: Role, name: str) -> None:
    who = Caller(role, name, "c", "socket")
    assert behind(MANAGER, on_behalf(who)) == Caller(role, name, "c", "tls")
    assert is_forwarded(on_behalf(who))


def test_a_caller_without_a_name_is_the_manager_itself() -> None:
    assert behind(MANAGER, on_behalf(None)) is MANAGER
    assert is_forwarded(on_behalf(None))


@pytest.mark.parametrize("role", ["worker", "operator"])
def test_nobody_but_a_manager_speaks_for_others(role: Role) -> None:
    peer = Caller(role, "w1", "c", "tls")
    assert behind(peer, on_behalf(Caller("operator", "o", "c", "tls"))) is peer


@pytest.mark.parametrize("metadata", [None, (), (("other", "x"),)])
def test_an_ordinary_call_was_not_passed_on(metadata: tuple[tuple[str, str], ...] | None) -> None:
    assert not is_forwarded(metadata)
    assert behind(MANAGER, metadata) is MANAGER


@pytest.mark.parametrize("value", [b"", b"root x", b"\xff\xfe"])
def test_a_malformed_name_is_refused(value: bytes) -> None:
    with pytest.raises(SwarmError) as refused:
        behind(MANAGER, (("swarm-caller-bin", value),))
    assert refused.value.code is Code.INVALID
