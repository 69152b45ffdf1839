"""Whom to try next."""

import random
from collections import Counter

from worker.managers import ManagerAddress, Managers


def addresses(**weights: int) -> list[ManagerAddress]:
    return [
        ManagerAddress(node_id=name, address=f"{name}:2377", weight=weight)
        for name, weight in weights.items()
    ]


def draws(managers: Managers, times: int = 4000) -> Counter[str]:
    chance = random.Random(7)
    chosen = (managers.choose(chance) for _ in range(times))
    return Counter(manager.node_id for manager in chosen if manager is not None)


def test_nobody_is_known() -> None:
    assert Managers([]).choose(random.Random(1)) is None


def test_weights_count_and_none_is_less_than_one() -> None:
    drawn = draws(Managers(addresses(a=1, b=3, c=0)))
    assert 2 < drawn["b"] / drawn["a"] < 4
    assert 0.7 < drawn["c"] / drawn["a"] < 1.4


def test_a_failed_manager_is_tried_seldom_but_not_forgotten() -> None:
    managers = Managers(addresses(a=1, b=1))
    managers.failed("a:2377")
    assert 4 < draws(managers)["b"] / draws(managers)["a"] < 16
    managers.succeeded("a:2377")
    assert 0.7 < draws(managers)["b"] / draws(managers)["a"] < 1.4


def test_the_last_one_is_tried_however_often_it_failed() -> None:
    managers = Managers(addresses(a=1))
    for _ in range(50):
        managers.failed("a:2377")
    assert draws(managers, 10) == {"a": 10}


def test_one_that_lives_and_does_not_lead_is_preferred_to_the_dead_but_not_clung_to() -> None:
    managers = Managers(addresses(a=1, b=1, c=1))
    for _ in range(4):
        managers.failed("b:2377")
        managers.failed("c:2377")
    managers.answered("a:2377")
    drawn = draws(managers)
    assert 2 < drawn["a"] / (drawn["b"] + drawn["c"]) < 8


def test_one_that_does_not_lead_is_as_good_as_those_that_were_not_tried() -> None:
    managers = Managers(addresses(a=1, b=1))
    managers.answered("a:2377")
    assert 0.7 < draws(managers)["b"] / draws(managers)["a"] < 1.4


def test_a_list_is_replaced_once_and_never_by_nothing() -> None:
    managers = Managers(addresses(a=1))
    assert not managers.replace(addresses(a=1))
    assert managers.replace(addresses(c=1, b=2))
    assert [manager.node_id for manager in managers.known] == ["b", "c"]
    assert not managers.replace(addresses(b=2, c=1))
    assert not managers.replace([])
    assert not managers.replace([ManagerAddress(node_id="no address")])
    assert managers.replace(addresses(b=1, c=1))


def test_failures_of_those_who_left_are_forgotten() -> None:
    managers = Managers(addresses(a=1, b=1))
    managers.failed("a:2377")
    managers.replace(addresses(b=1))
    managers.replace(addresses(a=1, b=1))
    assert 0.7 < draws(managers)["b"] / draws(managers)["a"] < 1.4


def test_a_leader_that_was_named_is_tried_next_and_once() -> None:
    managers = Managers(addresses(a=1))
    managers.name_leader("b:2377")
    chosen = [managers.choose(random.Random(1)) for _ in range(2)]
    assert [each.address for each in chosen if each is not None] == ["b:2377", "a:2377"]


def test_a_named_leader_is_known_where_nobody_else_is() -> None:
    managers = Managers([])
    managers.name_leader("b:2377")
    assert managers.choose(random.Random(1)) == ManagerAddress(address="b:2377", weight=1)
