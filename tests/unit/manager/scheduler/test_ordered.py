from contextlib import closing

from hypothesis import given
from hypothesis import strategies as st

from manager.scheduler.ordered import Ordered

CHANGES = st.lists(st.tuples(st.sampled_from("abcdef"), st.none() | st.integers(0, 4)))


@given(CHANGES)
def test_it_is_a_sorted_dictionary(changes: list[tuple[str, int | None]]) -> None:
    ordered: Ordered[tuple[int]] = Ordered()
    model: dict[str, int] = {}
    for name, key in changes:
        if key is None:
            ordered.drop(name)
            model.pop(name, None)
        else:
            ordered.put(name, (key,))
            model[name] = key
        expected = sorted((key, name) for name, key in model.items())
        assert len(ordered) == len(model)
        first = ordered.first()
        assert first == (((expected[0][0],), expected[0][1]) if expected else None)
    for _ in range(2):  # reading changes nothing
        with closing(ordered.ascending()) as names:
            assert list(names) == [name for _, name in expected] if changes else True


def test_old_entries_do_not_pile_up() -> None:
    ordered: Ordered[tuple[int]] = Ordered()
    for number in range(10_000):
        ordered.put("a", (number,))
    assert len(ordered._heap) < 100
    assert ordered.first() == ((9999,), "a")
