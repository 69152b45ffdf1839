"""The open ears of agents: each node has one, and hears what was not taken back meanwhile."""

import asyncio

import pytest

from api.errors import Code, SwarmError
from api.v1 import exec_pb2
from manager.control.listener import Listener, Listeners, check_member
from manager.state.changes import create
from tests.support.builders import EPOCH, node
from tests.support.sealed_store import SealedStore

Order = exec_pb2.ExecOrder


def ears() -> Listeners[Order]:
    return Listeners("commands")


def ended(listener: Listener[Order]) -> SwarmError:
    with pytest.raises(SwarmError) as found:
        asyncio.run(listener.next())
    return found.value


def test_the_newest_stream_of_a_node_is_its_only_one() -> None:
    listeners = ears()
    older, newer, other = (listeners.open(each) for each in ("n1", "n1", "n2"))
    assert ended(older).code is Code.REFUSED
    assert not listeners.leave(older)
    assert listeners.tell("n1", Order(id="a"))
    assert asyncio.run(newer.next()).id == "a"
    assert listeners.leave(newer)
    assert not listeners.tell("n1", Order(id="b"))
    assert list(listeners) == [other.node_id]


def test_what_is_taken_back_before_it_was_heard_was_never_said() -> None:
    listeners = ears()
    listener = listeners.open("n1")
    for order in (Order(id="a"), Order(id="b"), Order(id="a", close=True)):
        listeners.tell("n1", order)
    assert asyncio.run(listener.next()).id == "b"


def test_all_end_with_the_reason() -> None:
    listeners = ears()
    both = [listeners.open(each) for each in ("n1", "n2")]
    listeners.end(SwarmError(Code.UNAVAILABLE, "it is over"))
    assert [ended(each).what for each in both] == ["it is over"] * 2


def test_who_is_no_member_is_told_so() -> None:
    store = SealedStore()
    store.must(create(node("n1")), now=EPOCH)
    check_member(store, "n1")
    with pytest.raises(SwarmError, match="node n2 is not part of this swarm"):
        check_member(store, "n2")
