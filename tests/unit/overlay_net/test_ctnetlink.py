"""Bytes of netlink: ours as the kernel wants them, the kernel's as it wrote them, and garbage."""

import contextlib
import ipaddress
import struct

import hypothesis.strategies as st
import pytest
from hypothesis import given

from overlay_net import ctnetlink
from overlay_net.ctnetlink import Ends, Entry
from tests.support.kernel_answers import DUMPED

CLIENT, VIRTUAL, BACKEND = (ipaddress.ip_address(f"10.0.1.{n}") for n in (10, 2, 11))


def test_a_connection() -> None:
    found = ctnetlink.entry_of(DUMPED)
    assert found == Entry(
        protocol=ctnetlink.TCP,
        asked=Ends(CLIENT, 40000, VIRTUAL, 80),
        answered=Ends(BACKEND, 80, CLIENT, 40000),
        mark=7,
        name=DUMPED[4:56] + DUMPED[-8:],
    )
    assert found.translated


def test_the_deletion_names_the_connection_as_the_kernel_did() -> None:
    found = ctnetlink.entry_of(DUMPED)
    ((kind, flags, body),) = ctnetlink.messages(ctnetlink.delete_request(found, 9))
    assert (kind, flags) == (0x102, 0x5)
    assert body == b"\x02\0\0\0" + found.name


def test_a_dump_of_what_an_address_answers() -> None:
    ((kind, flags, body),) = ctnetlink.messages(ctnetlink.dump_request(BACKEND, 1))
    assert (kind, flags) == (0x101, 0x301)
    assert body == bytes.fromhex(
        "02000000" "10000280" "0c000180" "08000100" "0a00010b"
        "14001980" "08000100" "00000000" "08000200" "01000000"
    )  # fmt: skip


def test_a_dump_of_a_family_has_no_filter() -> None:
    ((_, _, body),) = ctnetlink.messages(ctnetlink.dump_request(ipaddress.IPv6Address(0), 1))
    assert body == b"\x0a\0\0\0"


def test_the_abortion_of_a_socket() -> None:
    message = ctnetlink.abort_request(Ends(CLIENT, 40000, VIRTUAL, 80), 3)
    ((kind, _, body),) = ctnetlink.messages(message)
    assert (kind, len(body)) == (21, 56)
    assert body[8:12] == struct.pack(">HH", 40000, 80)
    assert (body[12:16], body[28:32]) == (CLIENT.packed, VIRTUAL.packed)


def test_an_error_and_an_acknowledgement() -> None:
    assert ctnetlink.error_number(struct.pack("=i", -2) + b"rest") == 2
    assert ctnetlink.error_number(struct.pack("=i", 0)) == 0


def test_a_message_that_is_cut_off() -> None:
    with pytest.raises(ValueError, match="netlink message of 20 bytes in 19"):
        list(ctnetlink.messages(struct.pack("=IHHII", 20, 0, 0, 0, 0) + b"xxx"))


@given(st.binary(max_size=200) | st.integers(0, len(DUMPED)).map(lambda n: DUMPED[:n]))
def test_garbage_is_a_value_error_at_most(data: bytes) -> None:
    with contextlib.suppress(ValueError):
        list(ctnetlink.messages(data))
    with contextlib.suppress(ValueError):
        ctnetlink.entry_of(data)
