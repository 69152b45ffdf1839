from contextlib import closing

from hypothesis import given
from hypothesis import strategies as st

from manager.scheduler.tree import Path, Rank, Tree

PATHS = [("x", "1"), ("x", "2"), ("y", "1"), ("", "")]
CHANGES = st.lists(
    st.tuples(
        st.sampled_from("abcdef"),
        st.none() | st.tuples(st.booleans(), st.integers(0, 2), st.integers(0, 2)),
        st.integers(-1, 2),
    ),
    max_size=25,
)
Places = dict[str, Rank]
Counts = dict[Path, int]


def path_of(name: str) -> Path:
    return PATHS[ord(name) % len(PATHS)]


def first_below(start: Path, places: Places, counts: Counts) -> tuple[object, ...] | None:
    """By the definition: the place of the branch's best, and its name at the end."""
    depth = len(start)
    if depth == len(PATHS[0]):
        return min(((place, n) for n, place in places.items() if path_of(n) == start), default=None)
    found = []
    for value in {path[depth] for path in PATHS if path[:depth] == start}:
        below = (*start, value)
        first = first_below(below, places, counts)
        if first is not None:
            count = sum(n for path, n in counts.items() if path[: depth + 1] == below)
            found.append(((first[0][0], count, first), value, first))  # type: ignore[index]
    best = min(found, default=None, key=lambda each: each[:2])
    return None if best is None else (best[0], *best[2][1:])


def check(tree: Tree, places: Places, counts: Counts) -> None:
    expected = first_below((), places, counts)
    assert tree.first() == (None if expected is None else expected[-1])
    for path in PATHS:
        outer = sum(n for p, n in counts.items() if p[0] == path[0])
        assert tree.counts(path) == [outer, counts.get(path, 0)]
    with closing(tree.ascending()) as names:
        found = list(names)
    assert sorted(found) == sorted(places)
    assert found[:1] == tree.foremost(1)
    assert set(tree.foremost(3)) <= set(found)


@given(CHANGES, CHANGES)
def test_the_branch_with_the_fewest_tasks_is_entered_and_a_twin_goes_its_own_way(
    before: list[tuple[str, Rank | None, int]], after: list[tuple[str, Rank | None, int]]
) -> None:
    tree = Tree()
    places: Places = {}
    counts: Counts = {}
    twin, twins = tree, (places, counts)
    for number, (name, place, more) in enumerate([*before, *after]):
        if number == len(before):
            twin, twins = tree.twin(), (dict(places), dict(counts))
        path = path_of(name)
        if place is None:
            tree.drop(path, name)
            places.pop(name, None)
        else:
            tree.put(path, name, place)
            places[name] = place
        tree.add(path, more)
        counts[path] = counts.get(path, 0) + more
        check(tree, places, counts)
    check(twin, *twins)


def test_without_labels_there_is_one_order() -> None:
    tree = Tree()
    tree.put((), "a", (False, 1, 1))
    tree.put((), "b", (False, 0, 9))
    assert tree.first() == "b"
    assert tree.counts(()) == []
    assert tree.foremost(5) == ["b", "a"]
