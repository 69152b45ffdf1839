from hypothesis import given
from hypothesis import strategies as st

from overlay_net.fabric.reach import Reach

KEYS = st.sampled_from([b"k1", b"k2", b"k3"])
WHO = st.sampled_from("abc")
STEPS = st.lists(
    st.one_of(
        st.tuples(WHO, st.dictionaries(KEYS, st.sampled_from([b"v1", b"v2"]), max_size=3)),
        st.tuples(WHO, st.none()),
    ),
    max_size=12,
)


@given(STEPS)
def test_it_is_what_a_plain_list_of_claims_says(
    steps: list[tuple[str, dict[bytes, bytes]]],
) -> None:
    reach = Reach()
    claims: dict[str, dict[bytes, bytes]] = {}
    shown: dict[bytes, bytes] = {}
    for who, entries in steps:
        if entries is None:
            reach.drop(who)
            claims.pop(who, None)
        else:
            if claims.get(who) != entries:
                claims.pop(who, None)
                if entries:
                    claims[who] = entries
            reach.put(who, entries)
        expected: dict[bytes, bytes] = {}
        for each in claims.values():
            expected |= each
        assert reach.entries == expected
        # Whoever follows only the changed keys sees the same.
        for key in reach.take_changed():
            shown.pop(key, None)
            if key in reach.entries:
                shown[key] = reach.entries[key]
        assert shown == expected
        assert reach.take_changed() == set()
