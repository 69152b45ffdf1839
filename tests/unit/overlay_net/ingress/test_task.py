from pathlib import Path

import hypothesis.strategies as st
from hypothesis import given

from overlay_net.ingress import task
from overlay_net.ingress.task import MARK, Task

MACS = st.integers(0, 0xFFFF_FFFF).map(lambda n: "02:42:" + n.to_bytes(4).hex(":"))


def test_a_node_s_number_is_the_end_of_its_address() -> None:
    assert task.numbers(["02:42:0a:ff:12:34"], {}) == {"02:42:0a:ff:12:34": 0x1234}


def test_a_clash_and_a_zero_are_evaded() -> None:
    found = task.numbers(["02:42:0a:fe:00:00", "02:42:0a:ff:00:00", "02:42:0a:ff:00:01"], {})
    assert list(found.values()) == [1, 2, 3]
    last = task.numbers(["02:42:0a:00:ff:ff", "02:42:0a:01:ff:ff"], {})
    assert list(last.values()) == [0xFFFF, 1]


@given(st.lists(st.sets(MACS, max_size=30), max_size=5))
def test_numbers_are_distinct_fit_a_zone_and_stay(steps: list[set[str]]) -> None:
    held: dict[str, int] = {}
    for macs in steps:
        found = task.numbers(macs, held)
        assert found.keys() == macs
        assert len(set(found.values())) == len(macs)
        assert all(0 < number <= 0xFFFF for number in found.values())
        assert all(found[mac] == held[mac] for mac in macs & held.keys())
        held = dict(found)


def test_elements() -> None:
    given_ = {"02:42:0a:ff:00:01": 1}
    assert task.content(given_).elements == {
        ("zones", "02:42:0a:ff:00:01"): "1",
        ("marks", "02:42:0a:ff:00:01"): str(MARK + 1),
    }
    assert task.egress_content(given_).elements == {("macs", str(MARK + 1)): "02:42:0a:ff:00:01"}


def test_what_a_task_s_table_is_for() -> None:
    pools = ("10.255.0.0/16", "fd00::/64", "10.254.0.0/24")
    body = task.base(Task(Path("/x"), "ing0", pools, ("172.18.0.2",))).body
    assert "ip saddr != { 10.255.0.0/16, 10.254.0.0/24 } dnat ip to 172.18.0.2\n" in body
    assert "dnat ip6" not in body
    assert "ip6 daddr != { fd00::/64, fe80::/10, ff00::/8 } reject" in body
