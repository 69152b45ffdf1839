"""Ports of a node: which are chosen, and what a host must have for them."""

import socket
from contextlib import nullcontext
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from api.errors import Code, SwarmError
from api.published import CHOSEN
from api.v1 import specs_pb2
from worker.node_ports import Port, check_sctp, filled, is_free
from worker.task_place import Place

HERE = "/proc/self/ns/net"


def port(published: int = 0, **kind: object) -> Port:
    return Port(target_port=80, published_port=published, **kind)  # type: ignore[arg-type]


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
    made = filled(given, taken, lambda p: p.published_port not in busy)
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


@pytest.mark.root
@pytest.mark.parametrize("address", ["", "127.0.0.1"])
def test_a_port_on_which_a_program_listens_is_not_free(address: str) -> None:
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        server.listen()
        number = server.getsockname()[1]
        assert not is_free(HERE, port(number, host_ip=address))
        assert is_free(HERE, port(number, host_ip=address, protocol=Port.PROTOCOL_UDP))
        assert is_free(HERE, port(number, host_ip="192.0.2.77"))
    assert is_free(HERE, port(number, host_ip=address))


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
