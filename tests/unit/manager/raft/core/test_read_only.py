"""Which reads a quorum has confirmed."""

import pytest

from manager.raft.core.quorum import Joint, Majority
from manager.raft.core.read_only import ReadOnly

TRIO = Joint(Majority((1, 2, 3)))


def number(token: int) -> bytes:
    return token.to_bytes(8, "big")


def contexts(reads: ReadOnly, voters: Joint = TRIO) -> list[bytes]:
    return [read.context for read in reads.released(voters, 1)]


def test_reads_are_released_in_order_once_a_quorum_answered_a_later_heartbeat() -> None:
    reads = ReadOnly()
    assert (reads.token, contexts(reads)) == (b"", [])
    for each in (b"a", b"b", b"c"):
        reads.add(7, 1, each)
    assert (reads.token, contexts(reads)) == (number(3), [])
    reads.confirm(2, number(2))
    assert contexts(reads) == [b"a", b"b"]
    assert contexts(reads) == []
    reads.confirm(3, number(1))
    assert contexts(reads) == []
    reads.confirm(3, number(3))
    assert (contexts(reads), reads.token) == ([b"c"], b"")


@pytest.mark.parametrize(
    ("voters", "confirming", "released"),
    [
        (Joint(Majority((1,))), (), True),
        (TRIO, (), False),
        (TRIO, (9,), False),  # a learner
        (TRIO, (3,), True),
        (Joint(Majority((1, 2, 3, 4))), (2,), False),
        (Joint(Majority((1, 2, 3, 4))), (2, 3), True),
        (Joint(Majority((1, 2)), Majority((1, 3))), (2,), False),
        (Joint(Majority((1, 2)), Majority((1, 3))), (2, 3), True),
        (Joint(Majority((2, 3))), (2,), False),  # the leader votes no more
    ],
)
def test_who_has_to_confirm(voters: Joint, confirming: tuple[int, ...], released: bool) -> None:
    reads = ReadOnly()
    reads.add(7, 1, b"a")
    for member in confirming:
        reads.confirm(member, reads.token)
    assert contexts(reads, voters) == ([b"a"] if released else [])


@pytest.mark.parametrize("token", [b"", number(0), number(2), b"what is this?"])
def test_tokens_that_were_never_given_out_confirm_nothing(token: bytes) -> None:
    reads = ReadOnly()
    reads.add(7, 1, b"a")
    reads.confirm(2, token)
    assert contexts(reads) == []


def test_an_older_answer_takes_nothing_back() -> None:
    reads = ReadOnly()
    reads.add(7, 1, b"a")
    reads.add(7, 1, b"b")
    reads.confirm(2, number(2))
    reads.confirm(2, number(1))
    assert contexts(reads) == [b"a", b"b"]
