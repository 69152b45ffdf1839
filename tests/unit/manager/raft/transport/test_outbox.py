"""The queue before a stream: what is kept, in which order, and what is dropped."""

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from api.channel import REQUEST_LIMIT
from api.v1.raft_pb2 import Entry, RaftBatch, RaftMessage
from manager.raft.transport.outbox import BATCH_BYTES, MESSAGE_BYTES, Outbox, frame, is_urgent

M = RaftMessage


def append(index: int, size: int = 0) -> RaftMessage:
    entries = [Entry(data=bytes(size))] if size else []
    return M(type=M.TYPE_APPEND, index=index, entries=entries)


def heartbeat(term: int, context: bytes = b"") -> RaftMessage:
    return M(type=M.TYPE_HEARTBEAT, term=term, context=context)


def roomy(**changed: Any) -> Outbox:
    return Outbox(**({"messages": 1000, "size": 64 << 20} | changed))


def taken(outbox: Outbox) -> list[RaftMessage]:
    return list(RaftBatch.FromString(outbox.take()).messages)


@given(st.lists(st.tuples(st.integers(0, 2**64 - 1), st.integers(0, 70_000)), max_size=20))
def test_frames_joined_are_a_batch_of_the_messages(shapes: list[tuple[int, int]]) -> None:
    messages = [append(index, size) for index, size in shapes]
    joined = b"".join(map(frame, messages))
    assert list(RaftBatch.FromString(joined).messages) == messages
    assert joined == RaftBatch(messages=messages).SerializeToString()


@given(st.lists(st.one_of(st.integers(0, 200), st.integers(300_000, 1_500_000)), max_size=12))
def test_batches_keep_the_order_and_are_about_a_mebibyte(sizes: list[int]) -> None:
    outbox = roomy()
    for index, size in enumerate(sizes):
        assert not outbox.push(append(index, size))
    order: list[int] = []
    while outbox:
        before = outbox.size
        batch = outbox.take()
        messages = RaftBatch.FromString(batch).messages
        assert messages
        assert len(messages) == 1 or len(batch) <= BATCH_BYTES
        assert outbox.size == before - len(batch)
        order += [each.index for each in messages]
    assert order == list(range(len(sizes)))
    assert outbox.size == 0
    assert outbox.take() == b""


def test_what_the_sender_does_to_a_message_later_changes_nothing() -> None:
    outbox, message = roomy(), append(1)
    outbox.push(message)
    message.index = 2
    assert taken(outbox) == [append(1)]


def fill_count(outbox: Outbox) -> None:
    for index in range(3):
        assert not outbox.push(append(index))


def fill_bytes(outbox: Outbox) -> None:
    assert not outbox.push(append(0, 900))


@pytest.mark.parametrize(
    ("limits", "fill", "more"),
    [
        ({"messages": 3}, fill_count, append(3)),
        ({"size": 1000}, fill_bytes, append(1, 900)),
    ],
)
def test_what_is_too_much_is_dropped_and_told_once_until_the_queue_was_empty(
    limits: dict[str, int], fill: Callable[[Outbox], None], more: RaftMessage
) -> None:
    outbox = roomy(**limits)
    for _ in range(2):
        fill(outbox)
        kept, size = len(outbox), outbox.size
        assert [outbox.push(more) for _ in range(3)] == [True, False, False]
        assert (len(outbox), outbox.size) == (kept, size)
        assert more not in taken(outbox)
        assert not outbox


def test_an_episode_goes_on_while_anything_of_it_waits() -> None:
    outbox = roomy(messages=2)
    big = append(0, BATCH_BYTES)
    assert [outbox.push(big) for _ in range(3)] == [False, False, True]
    outbox.take()
    assert [outbox.push(big) for _ in range(2)] == [False, False]
    outbox.take()
    outbox.take()
    assert [outbox.push(big) for _ in range(3)] == [False, False, True]


def test_clearing_ends_an_episode() -> None:
    outbox = roomy(messages=1)
    assert [outbox.push(append(0)) for _ in range(2)] == [False, True]
    outbox.clear()
    assert (len(outbox), outbox.size, outbox.take()) == (0, 0, b"")
    assert [outbox.push(append(0)) for _ in range(2)] == [False, True]


def test_nothing_is_queued_that_no_receiver_would_take() -> None:
    outbox, empty = roomy(), len(frame(append(1, MESSAGE_BYTES // 2))) - MESSAGE_BYTES // 2
    fitting = append(1, MESSAGE_BYTES - empty)
    while len(frame(fitting)) > MESSAGE_BYTES:
        fitting = append(1, len(fitting.entries[0].data) - 1)
    assert not outbox.push(fitting)
    assert outbox.push(append(1, len(fitting.entries[0].data) + 1))
    assert MESSAGE_BYTES - 8 < len(outbox.take()) < REQUEST_LIMIT


@pytest.mark.parametrize(
    ("pushed", "left"),
    [
        ([heartbeat(1), heartbeat(1), heartbeat(2)], [heartbeat(2)]),
        ([heartbeat(1), append(1), heartbeat(2)], [append(1), heartbeat(2)]),
        ([heartbeat(1), heartbeat(1, b"a")], [heartbeat(1, b"a")]),
        ([heartbeat(1, b"a"), heartbeat(2, b"a")], [heartbeat(2, b"a")]),
        # A read that waits for its round is not forgotten.
        ([heartbeat(1, b"a"), heartbeat(1)], [heartbeat(1, b"a"), heartbeat(1)]),
        (
            [heartbeat(1, b"a"), heartbeat(1), heartbeat(2, b"b")],
            [heartbeat(1, b"a"), heartbeat(2, b"b")],
        ),
    ],
)
def test_of_heartbeats_the_newest_is_kept(
    pushed: list[RaftMessage], left: list[RaftMessage]
) -> None:
    outbox = roomy()
    for message in pushed:
        assert not outbox.push(message)
    assert outbox.size == sum(len(frame(each)) for each in left)
    assert taken(outbox) == left


def test_a_heartbeat_finds_room_where_an_older_one_was() -> None:
    outbox = roomy(messages=1)
    outbox.push(heartbeat(1))
    assert not outbox.push(heartbeat(2))
    assert taken(outbox) == [heartbeat(2)]


def test_entries_and_their_answers_are_bulk_and_the_rest_is_urgent() -> None:
    bulk = {kind for kind in M.Type.values() if not is_urgent(M(type=kind))}
    assert bulk == {
        M.TYPE_UNSPECIFIED,
        M.TYPE_PROPOSE,
        M.TYPE_APPEND,
        M.TYPE_APPEND_RESPONSE,
        M.TYPE_SNAPSHOT,
    }
