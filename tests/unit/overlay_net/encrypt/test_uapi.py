"""What wireguard-go is asked and answers, as wireguard.com/xplatform has it."""

import pytest

from api.errors import SwarmError
from overlay_net.encrypt import uapi
from overlay_net.encrypt.driver import Change, Configured
from overlay_net.encrypt.keys import key_pair
from overlay_net.encrypt.picture import Peer

OWN = key_pair(b"\x11" * 32)
A, B = b"\xaa" * 32, b"\xbb" * 32
ANSWER = f"""\
private_key={OWN.private.hex()}
listen_port=51820
fwmark=7
public_key={A.hex()}
preshared_key={"00" * 32}
endpoint=10.99.0.2:51820
last_handshake_time_sec=0
persistent_keepalive_interval=25
allowed_ip=fd53:7761:726d::a/128
protocol_version=1
public_key={B.hex()}
endpoint=[fd99::3]:7
allowed_ip=fd53:7761:726d::b/128
allowed_ip=fd53:7761:726d::c/128
errno=0

"""


def test_a_change() -> None:
    change = Change(
        own=OWN,
        port=51820,
        put=(Peer(A, ("10.99.0.2", 51820), "fd53::a"), Peer(B, ("fd99::3", 7), "fd53::b")),
        drop=(A,),
        wake=(B,),
    )
    assert (
        uapi.question(change).decode()
        == f"""\
set=1
private_key={OWN.private.hex()}
listen_port=51820
public_key={A.hex()}
endpoint=10.99.0.2:51820
persistent_keepalive_interval=25
replace_allowed_ips=true
allowed_ip=fd53::a/128
public_key={B.hex()}
endpoint=[fd99::3]:7
persistent_keepalive_interval=25
replace_allowed_ips=true
allowed_ip=fd53::b/128
public_key={A.hex()}
remove=true
public_key={B.hex()}
update_only=true
persistent_keepalive_interval=0
public_key={B.hex()}
update_only=true
persistent_keepalive_interval=25

"""
    )


def test_an_answer() -> None:
    assert uapi.configured(ANSWER.encode()) == Configured(
        OWN.public,
        51820,
        {
            A: Peer(A, ("10.99.0.2", 51820), "fd53:7761:726d::a"),
            B: Peer(B, ("fd99::3", 7), ""),
        },
    )


def test_a_device_without_a_key_is_none() -> None:
    assert uapi.configured(b"listen_port=57082\nerrno=0\n\n") is None


@pytest.mark.parametrize("answer", [b"errno=22\n\n", b"\n\n", b"\xff"])
def test_a_refusal(answer: bytes) -> None:
    with pytest.raises(SwarmError, match="refuses"):
        uapi.check(answer)
