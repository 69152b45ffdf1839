import errno
import os
import socket
from collections.abc import Iterator

import pytest

from api.errors import Code, SwarmError
from hostkit import netns
from hostkit.netlink import Netlink, is_missing
from hostkit.netlink_message import Message
from overlay_net.fabric import links

pytestmark = pytest.mark.root
NAME = f"test-netlink-{os.getpid()}"


@pytest.fixture
def inside() -> Iterator[Netlink]:
    netns.create(NAME)
    try:
        with Netlink.inside(netns.path(NAME)) as found:
            yield found
    finally:
        netns.delete(NAME)


def names(inside: Netlink) -> set[str]:
    return {links.read_link(answer).name for answer in inside.dump(links.ask_links())}


def test_a_socket_belongs_to_its_namespace(inside: Netlink) -> None:
    inside.ask(links.make_bridge("only-there", 1500))
    assert "only-there" in names(inside)
    assert "only-there" not in {name for _, name in socket.if_nameindex()}


def test_a_missing_namespace_is_not_found() -> None:
    with pytest.raises(SwarmError) as refused:
        Netlink.inside("/run/netns/nobody-has-this")
    assert refused.value.code is Code.NOT_FOUND


def test_each_refusal_is_matched_with_its_message_and_stops_none(inside: Netlink) -> None:
    wanted = [f"b{number}" for number in range(12)]
    messages = [links.make_bridge(name, 1500) for name in wanted]
    messages[5] = links.make_bridge("b4", 1500)
    messages[9] = links.delete_link(4321)
    refused = inside.send(messages)
    assert [(messages.index(each.message), each.number) for each in refused] == [
        (4, errno.EEXIST),  # equal to the sixth, which is the one refused
        (9, errno.ENODEV),
    ]
    assert set(wanted) - names(inside) == {"b5", "b9"}


def test_more_refusals_than_one_send_holds(inside: Netlink) -> None:
    refused = inside.send([links.delete_link(5000 + number) for number in range(2000)])
    assert len(refused) == 2000
    assert all(is_missing(each.error()) for each in refused)


def test_the_kernels_words_are_kept(inside: Netlink) -> None:
    bad = Message(links.RTM_GETLINK, 0, bytes(3))
    with pytest.raises(OSError, match=r"Invalid|invalid"):
        inside.get(bad)


def test_a_question_without_an_answer(inside: Netlink) -> None:
    with pytest.raises(OSError, match="No such device") as refused:
        inside.get(links.ask_link("nobody"))
    assert is_missing(refused.value)
    inside.close()
    inside.close()
