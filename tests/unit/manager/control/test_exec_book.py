"""Which sessions there may be, and when they are given up."""

from typing import Any

import pytest

from api.errors import Code, SwarmError
from api.states import FAILED, RUNNING
from api.v1 import objects_pb2
from manager.control.exec_book import (
    ATTACH_LIMIT,
    MOST,
    MOST_PER_NODE,
    START_LIMIT,
    ExecBook,
)
from manager.state.changes import StoredObject, copy, create, delete, update
from manager.state.store import Store
from tests.support.builders import DOWN, node, service, task
from tests.support.sealed_store import SealedStore

NOW = 100.0


class Paper:
    """A book over a store with the tasks t1 on n1 and t2 on n2."""

    def __init__(self) -> None:
        self.store = SealedStore()
        self.book = ExecBook()
        self.apply(create(service("web", 2)))
        for number in (1, 2):
            self.apply(create(node(f"n{number}")))
            self.apply(create(task(f"t{number}", slot=number, node_id=f"n{number}", state=RUNNING)))

    def apply(self, *changes: Any) -> None:
        self.store.must(*changes, now=NOW)

    def down(self, node_id: str) -> None:
        found = self.store.get(objects_pb2.Node, node_id)
        assert found is not None
        changed = copy(found)
        changed.status.state = DOWN
        self.apply(update(changed))

    def open(self, session_id: str = "s", task_id: str = "t1", now: float = NOW) -> None:
        self.book.open(self.store, session_id, task_id, now)

    def trouble(self, now: float, session_id: str = "s") -> str:
        found = self.book.trouble(self.store, session_id, now)
        return "" if found is None else str(found)


def code_of(call: Any) -> Code:
    with pytest.raises(SwarmError) as refused:
        call()
    return refused.value.code


@pytest.fixture
def paper() -> Paper:
    return Paper()


def test_a_session_is_asked_for_attached_and_then_lasts(paper: Paper) -> None:
    paper.open()
    assert paper.book.ask({"n2"}) == []
    assert paper.book.ask({"n1", "n2"}) == [("n1", "s")]
    assert paper.book.ask({"n1"}) == []
    paper.book.attach("s", "n1", NOW + 1)
    assert paper.book.due("s") == NOW + 1 + START_LIMIT
    paper.book.started("s")
    assert paper.book.due("s") is None
    assert paper.trouble(NOW + 1e6) == ""
    assert paper.book.close("s") == "n1"


def test_a_node_that_says_nothing_is_given_up_in_time(paper: Paper) -> None:
    paper.open()
    assert paper.book.due("s") == NOW + ATTACH_LIMIT
    paper.book.ask({"n1"})
    assert paper.trouble(NOW + ATTACH_LIMIT - 0.1) == ""
    assert "within 5 s" in paper.trouble(NOW + ATTACH_LIMIT)
    paper.book.attach("s", "n1", NOW + 4)
    assert "within 30 s" in paper.trouble(NOW + 4 + START_LIMIT)


def test_a_node_that_is_down_or_removed_ends_its_sessions_at_once(paper: Paper) -> None:
    paper.open()
    paper.open("other", "t2")
    paper.book.attach("s", "n1", NOW)
    paper.book.started("s")
    paper.down("n1")
    assert "n1 is down" in paper.trouble(NOW).replace("(", "").replace(")", "")
    assert code_of(paper.open) is Code.UNAVAILABLE
    assert paper.trouble(NOW, "other") == ""
    found = paper.store.get(objects_pb2.Node, "n2")
    assert found is not None
    paper.apply(delete(found))
    assert "was removed" in paper.trouble(NOW, "other")


def test_an_agent_that_listens_anew_is_asked_again(paper: Paper) -> None:
    paper.open()
    paper.open("attached")
    paper.book.ask({"n1"})
    paper.book.attach("attached", "n1", NOW)
    paper.book.listens("n1")
    assert paper.book.ask({"n1"}) == [("n1", "s")]


def test_who_was_not_asked_may_not_attach(paper: Paper) -> None:
    paper.open()
    paper.book.ask({"n1"})
    assert code_of(lambda: paper.book.attach("s", "n2", NOW)) is Code.DENIED
    paper.book.attach("s", "n1", NOW)
    assert code_of(lambda: paper.book.attach("s", "n1", NOW)) is Code.REFUSED
    assert code_of(lambda: paper.book.attach("unknown", "n1", NOW)) is Code.NOT_FOUND
    paper.book.close("s")
    assert code_of(lambda: paper.book.attach("s", "n1", NOW)) is Code.NOT_FOUND
    paper.book.started("s")  # too late, and nobody minds


def test_what_does_not_run_is_refused(paper: Paper) -> None:
    ended: StoredObject = task("t3", node_id="n1", state=FAILED)
    paper.apply(create(ended))
    assert code_of(lambda: paper.open(task_id="t3")) is Code.REFUSED
    assert code_of(lambda: paper.open(task_id="t4")) is Code.NOT_FOUND


def test_sessions_are_limited_on_each_node_and_in_all(paper: Paper) -> None:
    for number in range(MOST_PER_NODE):
        paper.open(f"s{number}")
    assert code_of(lambda: paper.open("more")) is Code.EXHAUSTED
    paper.open("elsewhere", "t2")
    paper.book.close("s0")
    paper.open("more")
    for number in range(3, MOST // MOST_PER_NODE + 2):
        paper.apply(create(node(f"n{number}")))
        paper.apply(create(task(f"t{number}", node_id=f"n{number}", state=RUNNING)))
    slots = [(n, each) for n in range(2, MOST) for each in range(MOST_PER_NODE - 1)]
    opened = MOST_PER_NODE + 1
    for number, each in slots[: MOST - opened]:
        paper.open(f"{number}-{each}", f"t{number}")
    assert code_of(lambda: paper.open("last", "t5")) is Code.EXHAUSTED


def test_a_session_nobody_was_asked_for_needs_no_word(paper: Paper) -> None:
    paper.open()
    assert paper.book.close("s") == ""


def test_the_store_is_only_read(paper: Paper) -> None:
    store: Store = paper.store
    paper.open()
    paper.book.lost(store, "s")
    paper.store.check_seals()
