"""Who waits for which place in the log."""

from hypothesis import given
from hypothesis import strategies as st

from manager.raft.node.waits import Waits


def test_a_proposal_has_its_answer_when_its_entry_is_applied() -> None:
    waits: Waits[str] = Waits()
    assert waits.add(5, 2, "five") == []
    assert waits.add(6, 2, "six") == []
    assert (waits.at(5, 2), waits.at(5, 3), waits.at(7, 2)) == ("five", None, None)
    assert waits.applied(4, 2) == (None, [])
    assert waits.applied(5, 2) == ("five", [])
    assert waits.applied(5, 2) == (None, [])
    assert waits.lost() == ["six"]
    assert len(waits) == 0


def test_an_entry_of_another_term_is_not_the_proposers() -> None:
    waits: Waits[str] = Waits()
    waits.add(5, 2, "five")
    assert waits.applied(5, 3) == (None, ["five"])


def test_a_later_proposal_at_the_same_place_displaces_the_former() -> None:
    waits: Waits[str] = Waits()
    waits.add(5, 2, "old")
    assert waits.add(5, 4, "new") == ["old"]
    assert waits.applied(5, 4) == ("new", [])


def test_a_snapshot_leaves_those_behind_it_waiting() -> None:
    waits: Waits[str] = Waits()
    for index in (4, 5, 6):
        waits.add(index, 2, str(index))
    assert waits.jumped(5) == ["4", "5"]
    assert waits.applied(6, 2) == ("6", [])


_PLACE = st.tuples(st.integers(1, 6), st.integers(1, 3))
_STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("add"), _PLACE),
        st.tuples(st.just("applied"), _PLACE),
        st.tuples(st.just("jumped"), st.integers(0, 6)),
        st.tuples(st.just("lost"), st.none()),
    ),
    max_size=40,
)


@given(_STEPS)
def test_it_agrees_with_a_list_that_is_searched_each_time(
    steps: list[tuple[str, tuple[int, int] | int | None]],
) -> None:
    """And so each one who waits is told exactly once, or waits still."""
    waits: Waits[int] = Waits()
    model: list[tuple[int, int, int]] = []
    for number, (step, where) in enumerate(steps):
        if isinstance(where, tuple):
            index, term = where
            there = [who for at, _, who in model if at == index]
            mine = [who for at, of, who in model if (at, of) == where]
            assert waits.at(index, term) == (mine[0] if mine else None)
            model = [each for each in model if each[0] != index]
            if step == "add":
                assert waits.add(index, term, number) == there
                model.append((index, term, number))
            else:
                others = [who for who in there if who not in mine]
                assert waits.applied(index, term) == (mine[0] if mine else None, others)
        elif where is not None:
            assert sorted(waits.jumped(where)) == sorted(w for at, _, w in model if at <= where)
            model = [each for each in model if each[0] > where]
        else:
            assert sorted(waits.lost()) == sorted(who for _, _, who in model)
            model = []
        assert len(waits) == len(model)
