"""Who is asked, and what is made of who answers."""

from collections.abc import Iterable

import pytest

from overlay_net.check.finding import Finding
from overlay_net.check.reach import (
    LADDER,
    MOST_NODES,
    SMALL,
    Question,
    Station,
    Target,
    Whom,
    judge,
    ladder,
    questions,
    reached,
    targets,
)

HERE, TASK = Station("/host", source="192.0.2.1"), Station("/task")
UNDER = Target("", "n2", HERE, ("192.0.2.2",), 1500)
INNER = Target("front", "n2", TASK, ("10.0.1.6", "10.0.1.7"), 1450)
NAMES = {"n2": "w2", "front": "front"}


def heard(target: Target, *sizes: int, address: int = 0) -> set[Question]:
    return {Question(target.station, target.addresses[address], size) for size in sizes}


def told(asked: list[Target], *answers: set[Question]) -> list[Finding]:
    return judge(asked, frozenset(set().union(*answers)), NAMES)


def test_each_node_is_asked_at_two_tasks_at_most() -> None:
    others = [Whom("n2", "a"), Whom("n3", "b"), Whom("n2", "c"), Whom("n2", "d")]
    found = targets("front", TASK, 1450, others, "n1")
    assert {each.node: each.addresses for each in found} == {"n2": ("a", "c"), "n3": ("b",)}
    assert set(questions(found)) == {
        Question(TASK, address, size) for address in "abc" for size in (SMALL, 1450)
    }


def test_of_very_many_nodes_each_asks_others() -> None:
    others = [Whom(f"n{number}", str(number)) for number in range(1000)]
    chosen = [{each.node for each in targets("", HERE, 1500, others, salt)} for salt in "ab"]
    assert [len(each) for each in chosen] == [MOST_NODES, MOST_NODES]
    assert chosen[0] != chosen[1]


def test_whoever_is_reached_through_a_tunnel_needs_no_echo_of_his_host() -> None:
    assert told([UNDER, INNER], heard(INNER, SMALL, 1450)) == []
    assert told([UNDER, INNER], heard(INNER, SMALL, 1450, address=1)) == []


def test_a_host_that_answers_and_tunnels_that_do_not() -> None:
    (found,) = told([UNDER, INNER], heard(UNDER, SMALL, 1500))
    assert found.what == "node w2 is not reached through network front"
    assert found.network == "front"
    assert "4789" in found.why
    assert found.command == "swarmctl network check --node w2"


def test_several_networks_are_one_finding() -> None:
    other = Target("back", "n2", TASK, ("10.0.2.6",), 1450)
    (found,) = told([UNDER, INNER, other], heard(UNDER, SMALL, 1500))
    assert found.what == "node w2 is not reached through networks back, front"
    assert found.network == ""
    assert found.expected == "answers of 10.0.1.6; 10.0.1.7; 10.0.2.6"


def test_a_node_that_does_not_answer_at_all() -> None:
    (found,) = told([UNDER, INNER])
    assert found.what == "node w2 is not reached through network front"
    assert "the way between the two is cut" in found.why
    assert "192.0.2.2" in found.command


def test_large_packets_that_do_not_arrive() -> None:
    small = heard(INNER, SMALL)
    more = ladder([UNDER, INNER], frozenset(small))
    assert {each.address for each in more} == {"10.0.1.6"}
    assert {each.size for each in more} == {size for size in LADDER if size < 1450}
    (found,) = told([UNDER, INNER], small, heard(INNER, 1280, 1350, 576), heard(UNDER, SMALL))
    assert found.what == "large packets do not get to node w2 through network front"
    assert found.expected == "packets of 1450 bytes arrive"
    assert found.found == "those of 1350 bytes do, larger ones do not"
    assert not found.note


@pytest.mark.parametrize(
    ("sizes", "words"),
    [((), "does not answer an echo"), ((SMALL,), "large packets"), ((SMALL, 1500), "")],
)
def test_who_shares_no_network_is_a_note_at_most(sizes: Iterable[int], words: str) -> None:
    found = told([UNDER], heard(UNDER, *sizes))
    assert [each.note for each in found] == ([True] if words else [])
    assert all(words in each.what for each in found)


def test_who_answered() -> None:
    other = Target("front", "n3", TASK, ("10.0.1.9",), 1450)
    assert reached([UNDER, INNER, other], frozenset(heard(INNER, SMALL))) == {"n2"}
