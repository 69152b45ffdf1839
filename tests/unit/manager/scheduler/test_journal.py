from hypothesis import given
from hypothesis import strategies as st

from manager.scheduler.journal import Journal

TOUCHES = st.lists(st.tuples(st.sampled_from("abcde"), st.booleans()), max_size=30)


@given(TOUCHES)
def test_each_reader_learns_what_came_after_it_had_read(touches: list[tuple[str, bool]]) -> None:
    journal = Journal()
    for name, is_other in touches:
        journal.touch(name, is_other=is_other)
    for moment in range(len(touches) + 1):
        after = touches[moment:]
        assert sorted(journal.since(moment)) == sorted({name for name, _ in after})
        changed = {name for name, is_other in after if is_other}
        assert sorted(journal.changed_since(moment)) == sorted(changed)
    assert journal.now == len(touches)
    assert len(journal) == len({name for name, _ in touches})
