"""WireGuard's netlink messages byte by byte, and as another library packs them.

No kernel was asked: those that this is tested on have no WireGuard.
"""

import base64
import socket

from pyroute2.netlink.generic.wireguard import wgmsg

from hostkit.netlink_message import Answer
from overlay_net.encrypt import messages
from overlay_net.encrypt.driver import Change, Configured
from overlay_net.encrypt.keys import key_pair
from overlay_net.encrypt.picture import Peer

FAMILY = 29
OWN = key_pair(bytes(range(32)))
A, B = bytes(range(32, 64)), bytes(range(64, 96))
PEER_A = Peer(A, ("10.99.0.2", 51820), "fd53:7761:726d::a")
PEER_B = Peer(B, ("fd99::3", 7), "fd53:7761:726d::b")
NAME = "0d000200737761726d2d776700000000"
"""The attribute IFNAME, "swarm-wg"."""
SET, GET = "01010000", "00010000"


def packed(change: Change) -> list[str]:
    found = list(messages.change(FAMILY, "swarm-wg", change))
    assert {each.type for each in found} <= {FAMILY}
    return [each.body.hex() for each in found]


def theirs(*attributes: list[object]) -> str:
    """The same as pyroute2 packs it, which numbers the members of lists from 1 on."""
    message = wgmsg()
    message["cmd"], message["version"] = 1, 1
    message["attrs"] = [["WGDEVICE_A_IFNAME", "swarm-wg"], *attributes]
    message.encode()
    return bytes(message.data[16:]).hex()


def test_key_and_port() -> None:
    (body,) = packed(Change(own=OWN, port=51820))
    assert body == SET + NAME + "24000300" + OWN.private.hex() + "06000600" + "6cca" + "0000"
    key = base64.b64encode(OWN.private)
    assert body == theirs(["WGDEVICE_A_PRIVATE_KEY", key], ["WGDEVICE_A_LISTEN_PORT", 51820])


def test_a_peer() -> None:
    (body,) = packed(Change(put=(PEER_A,)))
    assert body == (
        SET + NAME
        + "7c000880" + "78000080"  # PEERS, and the first of them
        + "24000100" + A.hex()
        + "08000300" + "02000000"  # REPLACE_ALLOWEDIPS
        + "14000400" + "0200" + "ca6c" + "0a630002" + "00" * 8  # a sockaddr_in
        + "06000500" + "1900" + "0000"  # every 25 seconds
        + "2c000980" + "28000080"  # ALLOWEDIPS, and the first of them
        + "06000100" + "0a00" + "0000"
        + "14000200" + "fd537761726d0000000000000000000a"
        + "05000300" + "80" + "000000"
    )  # fmt: skip
    allowed = {
        "attrs": [
            ["WGALLOWEDIP_A_FAMILY", socket.AF_INET6],
            ["WGALLOWEDIP_A_IPADDR", socket.inet_pton(socket.AF_INET6, PEER_A.address)],
            ["WGALLOWEDIP_A_CIDR_MASK", 128],
        ]
    }
    peer = {
        "attrs": [
            ["WGPEER_A_PUBLIC_KEY", base64.b64encode(A)],
            ["WGPEER_A_FLAGS", 2],
            ["WGPEER_A_ENDPOINT", {"addr": "10.99.0.2", "port": 51820}],
            ["WGPEER_A_PERSISTENT_KEEPALIVE_INTERVAL", 25],
            ["WGPEER_A_ALLOWEDIPS", [allowed]],
        ]
    }
    other = theirs(["WGDEVICE_A_PEERS", [peer]])
    assert body == other.replace("78000180", "78000080").replace("28000180", "28000080")


def test_a_peer_over_ipv6() -> None:
    (body,) = packed(Change(put=(PEER_B,)))
    assert "20000400" + "0a00" + "0007" + "00" * 4 + "fd99" + "00" * 13 + "03" + "00" * 4 in body


def test_peers_that_go_and_those_that_are_woken() -> None:
    gone, quiet, loud = packed(Change(drop=(A,), wake=(B,)))
    assert gone == SET + NAME + "340008803000008024000100" + A.hex() + "0800030001000000"
    woken = SET + NAME + "3c0008803800008024000100" + B.hex() + "0800030004000000"
    assert quiet == woken + "0600050000000000"
    assert loud == woken + "0600050019000000"


def test_many_peers_are_more_than_one_message() -> None:
    many = tuple(Peer(n.to_bytes(32, "big"), ("10.0.0.1", 1), "fd53::1") for n in range(450))
    found = list(messages.change(FAMILY, "swarm-wg", Change(put=many)))
    assert len(found) == 3
    assert max(len(each.body) for each in found) < 1 << 16


def test_questions() -> None:
    assert messages.ask_device(FAMILY, "swarm-wg").body.hex() == GET + NAME
    asked = messages.ask_family()
    assert (asked.type, asked.body.hex()) == (0x10, "030100000e000200776972656775617264000000")
    answer = Answer(0x10, 0, 1, bytes.fromhex("01020000060001001d000000"))
    assert messages.read_family(answer) == FAMILY
    made = messages.make_device("swarm-wg")
    assert (made.type, made.flags) == (16, 0x600)
    assert made.body[16:].hex() == (
        "0d000300737761726d2d776700000000140012800e000100776972656775617264000000"
    )


def test_an_answer_in_two_parts() -> None:
    """A dump that names a peer again in its next message, with more that it may use."""
    public = "24000400" + OWN.public.hex() + "060006006cca0000"
    first = packed(Change(put=(PEER_A,)))[0][len(SET + NAME) :]
    second = packed(Change(put=(PEER_B,)))[0][len(SET + NAME) :]
    answers = [
        Answer(FAMILY, 2, 1, bytes.fromhex(GET + NAME + public + first)),
        Answer(FAMILY, 2, 1, bytes.fromhex(GET + NAME + second)),
    ]
    both = Configured(OWN.public, 51820, {A: PEER_A, B: PEER_B})
    assert messages.read_device(answers) == both
    more = messages.read_device([*answers, answers[1]])
    assert more is not None
    assert more.peers[B].address == "", "it may use other than the one address"
    assert messages.read_device(answers[1:]) is None
