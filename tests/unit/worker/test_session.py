"""Whether messages of the assignment stream follow each other."""

import pytest

from worker.session import Chain, Message


def message(applies_to: str, results_in: str, *, complete: bool = False) -> Message:
    kind = Message.TYPE_COMPLETE if complete else Message.TYPE_INCREMENTAL
    return Message(type=kind, applies_to=applies_to, results_in=results_in)


@pytest.mark.parametrize(
    ("messages", "expected"),
    [
        ([message("", "1", complete=True)], [True]),
        ([message("", "1")], [False]),
        ([message("0", "1")], [False]),
        ([message("", "1", complete=True), message("1", "2"), message("2", "3")], [True] * 3),
        ([message("", "1", complete=True), message("2", "3")], [True, False]),
        ([message("", "1", complete=True), message("", "2")], [True, False]),
        (
            [message("", "7", complete=True), message("9", "3", complete=True), message("3", "4")],
            [True] * 3,
        ),
    ],
    ids=["complete", "no complete", "stranger", "chain", "gap", "unchained", "complete again"],
)
def test_chain(messages: list[Message], expected: list[bool]) -> None:
    chain = Chain()
    assert [chain.follows(each) for each in messages] == expected


def test_a_message_after_a_gap_does_not_mend_the_chain() -> None:
    chain = Chain()
    found = [
        chain.follows(message("", "1", complete=True)),
        chain.follows(message("2", "3")),
        chain.follows(message("3", "4")),
    ]
    assert found == [True, False, False]
