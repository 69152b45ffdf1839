"""The earliest moment for each service and slot, whatever is set, put off and taken back."""

from hypothesis import given
from hypothesis import strategies as st

from manager.orchestrator.alarms import WHOLE, Alarms

Key = tuple[str, int | str]

_keys = st.sampled_from([("web", 1), ("web", 2), ("web", WHOLE), ("agent", "n1"), ("agent", WHOLE)])
_moments = st.integers(0, 20).map(float)
_acts = st.one_of(
    st.tuples(st.just("set"), _keys, _moments),
    st.tuples(st.just("cancel"), _keys),
    st.tuples(st.just("forget"), st.sampled_from(["web", "agent"])),
    st.tuples(st.just("ring"), _moments),
)


@given(st.lists(_acts, max_size=60))
def test_it_rings_when_a_plain_table_would(acts: list[tuple[object, ...]]) -> None:
    alarms = Alarms()
    table: dict[Key, float] = {}
    for act in acts:
        match act:
            case ("set", (str(service), int() | str() as slot), float(at)):
                alarms.set(service, slot, at)
                table[service, slot] = min(at, table.get((service, slot), at))
            case ("cancel", (str(service), int() | str() as slot)):
                alarms.cancel(service, slot)
                table.pop((service, slot), None)
            case ("forget", str(service)):
                alarms.forget(service)
                table = {key: at for key, at in table.items() if key[0] != service}
            case ("ring", float(now)):
                due = alarms.ring(now)
                assert sorted(due, key=str) == sorted(
                    (key for key, at in table.items() if at <= now), key=str
                )
                moments = [table.pop(key) for key in due]
                assert moments == sorted(moments)
        assert alarms.next() == min(table.values(), default=None)


def test_what_was_put_off_ten_thousand_times_is_not_kept() -> None:
    alarms = Alarms()
    for moment in range(10_000):
        alarms.cancel("web", 1)
        alarms.set("web", 1, float(moment))
    assert alarms.ring(9_998) == []
    assert alarms.ring(9_999) == [("web", 1)]
