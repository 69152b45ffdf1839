"""When a lease lapses, and what renews it."""

from hypothesis import given as holds_for
from hypothesis import strategies as st

from api.v1 import objects_pb2
from api.volumes import margin_of
from manager.state.changes import copy
from manager.volumes.lapses import Lapses
from manager.volumes.leases import Hold, Leases
from tests.support.builders import volume
from tests.support.sealed_store import SealedStore

Holder = objects_pb2.VolumeHolder
N1 = Hold("data", "n1", 1)
TERM, MARGIN = 10.0, 1.0


def leases(*volumes: objects_pb2.Volume, now: float = 100.0) -> Leases:
    made = Leases()
    made.begin(volumes or [volume("data", ("n1", 1))], now)
    return made


def without_holders() -> objects_pb2.Volume:
    made = copy(volume("data", ("n1", 1)))
    del made.holders[:]
    return made


def test_a_new_leader_counts_from_its_own_beginning() -> None:
    made = leases(now=100.0)
    assert made.due() == 100.0 + TERM + MARGIN
    assert made.lapse(110.9) == []
    assert made.lapse(111.0) == [N1]


def test_a_heartbeat_counts_from_its_coming() -> None:
    made = leases()
    assert made.renew("n1", 105.0, 7)
    assert made.due() == 105.0 + TERM + MARGIN
    assert made.renew("n1", 103.0, 7), "one that was overtaken takes nothing back"
    assert made.due() == 116.0


def test_what_has_lapsed_is_not_renewed_though_it_is_not_written_yet() -> None:
    made = leases()
    assert made.lapse(111.0) == [N1]
    assert not made.renew("n1", 111.0, 7)
    assert made.lapse(111.0) == [N1], "until it is written"


def test_a_node_that_lost_a_volume_renews_nothing_until_it_knows() -> None:
    other = volume("other", ("n1", 2))
    made = leases(volume("data", ("n1", 1)), other)
    made.observe(volume("data", ("n1", 1)), without_holders(), 50, 105.0)
    assert not made.renew("n1", 105.0, 49)
    assert made.renew("n1", 105.0, 50)


def test_what_a_node_gave_back_itself_it_need_not_hear_of() -> None:
    made = leases(volume("data", ("n1", 1)), volume("other", ("n1", 2)))
    made.given_back(N1)
    made.observe(volume("data", ("n1", 1)), without_holders(), 50, 105.0)
    assert made.renew("n1", 105.0, 3)


def test_a_session_in_which_nothing_was_carried_out_renews_nothing() -> None:
    assert not leases().renew("n1", 101.0, 0)


def test_a_node_beats_often_enough_for_its_shortest_lease() -> None:
    made = leases(volume("data", ("n1", 1), term=60), volume("other", ("n1", 2), term=5))
    assert made.period("n1", 2.0) == 1.25
    assert made.period("n2", 2.0) == 2.0
    assert made.holds("n1")
    assert not made.holds("n2")


def test_events_that_were_lost_are_made_good() -> None:
    made = leases()
    made.resync([volume("other", ("n2", 3))], 60, 105.0)
    assert not made.holds("n1")
    assert made.due() == 105.0 + TERM + MARGIN
    made.observe(None, volume("data", ("n1", 4)), 61, 106.0)
    assert not made.renew("n1", 106.0, 59)


def test_what_a_node_was_shut_out_from_ends_by_its_former_term_and_its_others_go_on() -> None:
    held, other = volume("data", ("n1", 1)), volume("other", ("n1", 2))
    made = leases(held, other)
    assert made.renew("n1", 103.0, 50)
    fenced = copy(held)
    fenced.holders[0].state = Holder.STATE_FENCED
    made.observe(held, fenced, 60, 104.0)
    assert not made.renew("n1", 105.0, 59), "it does not know yet"
    assert made.renew("n1", 110.0, 60)
    assert made.due() == 103.0 + TERM + MARGIN
    assert made.lapse(114.0) == [("data", "n1", 1)]
    assert made.renew("n1", 114.5, 60), "what it has lost is over, and it knows"
    made.observe(fenced, volume("data"), 61, 115.0)
    assert made.renew("n1", 116.0, 60)
    assert made.due() == 116.0 + TERM + MARGIN


def test_what_is_being_closed_is_waited_for_by_nobody() -> None:
    closing = volume("data", ("n1", 1))
    closing.holders[0].state = Holder.STATE_CLOSING
    assert leases(closing).due() is None


def test_lapses_take_the_volume_from_the_node_and_look_again_later() -> None:
    store = SealedStore()
    made = leases()
    lapses = Lapses(made)
    assert lapses.due(100.0) == 111.0
    taken = lapses.take(111.0)
    assert lapses.due(111.0) == 111.1
    assert list(lapses.batches(store, taken)) == [], "the volume is gone"


@holds_for(
    term=st.floats(5, 3600),
    paces=st.tuples(st.floats(0.96, 1.04), st.floats(0.96, 1.04)),
    way=st.floats(0, 30),
)
def test_a_lease_ends_at_its_node_before_it_lapses(
    term: float, paces: tuple[float, float], way: float
) -> None:
    """Whatever the heartbeat's way took, and with clocks that differ by what the margin is for."""
    sent = 1000.0
    node_ends = sent + term / paces[0]
    lapses = sent + way + (term + margin_of(term)) / paces[1]
    assert node_ends < lapses
