"""Ports of a node: which are chosen, whose they are, and what a host must have for them."""

from contextlib import nullcontext
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from api.errors import Code, SwarmError
from api.published import CHOSEN
from api.v1 import specs_pb2
from worker.node_ports import Port, check_sctp, filled, granted, refuse_listened
from worker.task_place import Place


def port(published: int = 0, **fields: Any) -> Port:
    return Port(**{"target_port": 80, "published_port": published, **fields})


def place(*ports: Port, task_id: str = "t") -> Place:
    return Place(task_id, (), ports)


def numbers(made: Place) -> list[int]:
    return [each.published_port for each in made.ports]


def test_ports_that_have_a_number_keep_it() -> None:
    asked = place(port(8080), port(9090))
    assert filled(asked, [port(8080)], lambda _: False) is asked


@given(
    st.lists(st.sampled_from([0, 0, CHOSEN.start + 5]), min_size=1, max_size=5),
    st.text(min_size=1),
    st.sets(st.sampled_from(CHOSEN)),
)
def test_others_get_one_that_nobody_has(asked: list[int], task_id: str, busy: set[int]) -> None:
    taken = [port(CHOSEN.start + 6)]
    given = place(*map(port, asked), task_id=task_id)
    made = filled(given, taken, lambda key: key[1] not in busy)
    pairs = list(zip(asked, numbers(made), strict=True))
    assert all(before in (0, after) for before, after in pairs)
    chosen = [after for before, after in pairs if not before]
    assert len(set(chosen)) == len(chosen)
    assert not set(chosen) & {*busy, *asked, CHOSEN.start + 6}
    assert set(chosen) <= set(CHOSEN)


def test_a_number_may_be_another_s_on_another_address_or_by_another_protocol() -> None:
    first = numbers(filled(place(port()), [], lambda _: True))[0]
    elsewhere = [port(first, host_ip="10.0.0.5"), port(first, protocol=Port.PROTOCOL_UDP)]
    own = place(port(host_ip="10.0.0.6"))
    assert numbers(filled(own, elsewhere, lambda _: True)) == [first]
    assert numbers(filled(place(port()), elsewhere, lambda _: True)) != [first]


def test_where_none_is_left_that_is_said() -> None:
    with pytest.raises(SwarmError, match="no port from 32768 to 60999 is free") as caught:
        filled(place(port()), [], lambda _: False)
    assert caught.value.code is Code.EXHAUSTED


def granted_numbers(*asked: Port, used: Any = (), busy: Any = ()) -> list[int]:
    made = granted(asked, set(used), lambda key: key not in set(busy))
    return [each.published_port for each in made]


def test_what_is_no_task_gets_what_it_names_and_else_the_lowest() -> None:
    assert granted_numbers(port(80), port(), port()) == [80, 32768, 32769]
    assert granted_numbers(port(), port(32768)) == [32769, 32768]
    assert granted_numbers(port(), used=[("tcp", 32768, "10.0.0.1")]) == [32769]
    assert granted_numbers(port(), used=[("udp", 32768, "")]) == [32768]
    assert granted_numbers(port(), busy=[("tcp", 32768, "")]) == [32769]
    assert granted_numbers(port(protocol=Port.PROTOCOL_UDP), port()) == [32768, 32768]
    two = port(80, host_ip="10.0.0.1"), port(80, host_ip="10.0.0.2")
    assert granted_numbers(*two) == [80, 80]


@pytest.mark.parametrize(
    ("asked", "used", "busy"),
    [
        (port(80), [("tcp", 80, "")], []),
        (port(80), [("tcp", 80, "10.0.0.1")], []),
        (port(80, host_ip="10.0.0.1"), [("tcp", 80, "")], []),
        (port(80, host_ip="::"), [("tcp", 80, "10.0.0.1")], []),
        (port(80), [], [("tcp", 80, "")]),
    ],
)
def test_who_has_it_is_not_robbed(asked: Port, used: list[Any], busy: list[Any]) -> None:
    with pytest.raises(SwarmError, match="80/tcp of this node cannot be published"):
        granted_numbers(asked, used=used, busy=busy)


def test_one_container_cannot_have_a_port_twice() -> None:
    with pytest.raises(SwarmError, match="another container has it"):
        granted_numbers(port(80), port(80, target_port=81))


def test_a_program_that_listens_keeps_its_port() -> None:
    busy = {("tcp", 22, "10.0.0.5")}
    refuse_listened([port(), port(22)], lambda key: key not in busy)
    with pytest.raises(SwarmError, match=r"port 10\.0\.0\.5:22/tcp") as caught:
        refuse_listened([port(22, host_ip="10.0.0.5")], lambda key: key not in busy)
    assert caught.value.code is Code.REFUSED
    assert caught.value.why == "a program of the host listens there"


@pytest.mark.parametrize(
    ("there", "protocol", "refused"),
    [
        ([], Port.PROTOCOL_SCTP, False),
        (["nf_conntrack_max"], Port.PROTOCOL_SCTP, True),
        (["nf_conntrack_max"], Port.PROTOCOL_UDP, False),
        (["nf_conntrack_max", "nf_conntrack_sctp_timeout_established"], Port.PROTOCOL_SCTP, False),
    ],
)
def test_sctp_needs_a_kernel_that_keeps_its_connections(
    tmp_path: Path, there: list[str], protocol: specs_pb2.PortConfig.Protocol, refused: bool
) -> None:
    for name in there:
        (tmp_path / name).touch()
    with pytest.raises(SwarmError, match="NF_CT_PROTO_SCTP") if refused else nullcontext():
        check_sctp([port(protocol=protocol)], netfilter=tmp_path)
