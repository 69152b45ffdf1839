"""What a node holds, until when, and what it says of it."""

from collections.abc import Sequence

from hypothesis import given
from hypothesis import strategies as st

from api.v1 import volume_pb2
from worker.volume_book import Change, Hold, Item, Message, Renewal, VolumeBook, hold_of

TERM = 10
UNMOUNTED = volume_pb2.NodeVolumeStatus.STATE_UNMOUNTED
MOUNTED = volume_pb2.NodeVolumeStatus.STATE_MOUNTED

Told = tuple[str, int]


def message(
    version: int,
    *told: Told,
    back: Sequence[Told] = (),
    lost: Sequence[str] = (),
    all: bool = False,
) -> Message:
    made = Message(version=version)
    made.type = Message.TYPE_COMPLETE if all else Message.TYPE_INCREMENTAL
    for volume_id, epoch in told:
        item = Item(id=volume_id, name=volume_id, epoch=epoch)
        item.term.seconds = TERM
        made.changes.add(action=Change.ACTION_UPDATE, volume=item)
    for volume_id, epoch in back:
        made.changes.add(action=Change.ACTION_REMOVE, volume=Item(id=volume_id, epoch=epoch))
    for volume_id in lost:
        made.changes.add(action=Change.ACTION_REMOVE, volume=Item(id=volume_id))
    return made


def said(book: VolumeBook) -> list[tuple[str, int, int]]:
    return [(word.volume_id, word.epoch, word.state) for word in book.words()]


A1, A2, B1 = Hold("a", 1), Hold("a", 2), Hold("b", 1)


def test_a_lease_counts_from_the_sending_of_a_heartbeat_that_knew_of_it() -> None:
    book = VolumeBook()
    assert book.follow(message(5, ("a", 1), all=True)) == []
    assert book.until(A1) == 0.0
    assert book.renew(100.0, 4) == [], "the heartbeat was sent before"
    assert book.renew(101.0, 5) == [Renewal(A1, 111.0)]
    assert book.renew(100.5, 5) == [], "an answer that was overtaken"
    assert book.until(A1) == 111.0


def test_what_is_taken_back_is_renewed_until_it_is_let_go() -> None:
    book = VolumeBook()
    book.follow(message(1, ("a", 1), all=True))
    assert book.follow(message(2, back=[("a", 1)])) == [A1]
    assert book.item(A1) is None, "no task begins with it any more"
    assert book.renew(50.0, 2) == [Renewal(A1, 60.0)]
    assert book.follow(message(3, back=[("a", 1)])) == [], "it is ending already"
    book.let_go(A1)
    assert said(book) == [("a", 1, UNMOUNTED)]
    assert not book.has_leases()


def test_what_is_taken_back_and_was_never_here_is_let_go_at_once() -> None:
    book = VolumeBook()
    assert book.follow(message(1, back=[("a", 7)])) == []
    assert said(book) == [("a", 7, UNMOUNTED)]


def test_the_word_about_a_volume_waits_for_what_is_left_of_older_epochs() -> None:
    """Whoever hears it gives the volume to another node."""
    book = VolumeBook()
    book.restore([A1])
    book.follow(message(1, back=[("a", 7)]))
    assert said(book) == []
    book.let_go(A1)
    assert sorted(said(book)) == [("a", 1, UNMOUNTED), ("a", 7, UNMOUNTED)]

    book = VolumeBook()
    book.follow(message(1, ("a", 1), ("b", 1), all=True))
    book.follow(message(2, ("a", 2)))
    book.follow(message(3, back=[("a", 2)]))
    book.let_go(A2)
    assert said(book) == []
    book.let_go(B1)
    assert said(book) == [("b", 1, UNMOUNTED)]
    book.let_go(A1)
    assert sorted(said(book)) == [("a", 1, UNMOUNTED), ("a", 2, UNMOUNTED), ("b", 1, UNMOUNTED)]


def test_what_is_lost_is_renewed_no_more() -> None:
    for loss in (message(2, lost=["a"]), message(2, all=True), message(2, ("a", 2))):
        book = VolumeBook()
        book.follow(message(1, ("a", 1), all=True))
        book.renew(10.0, 1)
        assert book.follow(loss) == [A1]
        assert all(renewal.hold != A1 for renewal in book.renew(20.0, 2))
        assert book.until(A1) == 20.0, "what it has left it may use to let go"


def test_a_loss_that_is_taken_back_by_epoch_is_renewed_again() -> None:
    book = VolumeBook()
    book.follow(message(1, ("a", 1), all=True))
    assert book.follow(message(2, all=True)) == [A1]
    assert book.follow(message(2, back=[("a", 1)])) == []
    assert book.renew(30.0, 2) == [Renewal(A1, 40.0)]


def test_what_an_earlier_daemon_mounted_waits_for_the_managers() -> None:
    book = VolumeBook()
    book.restore([A1, B1])
    assert book.renew(10.0, 0) == []
    assert book.item(A1) is None
    assert book.follow(message(4, ("a", 1), all=True)) == [B1]
    assert book.item(A1) is not None
    assert book.renew(20.0, 4) == [Renewal(A1, 30.0)]


def test_words_stay_until_a_manager_has_them() -> None:
    book = VolumeBook()
    book.follow(message(1, ("a", 1), all=True))
    book.mounted(A1)
    words = book.words()
    book.let_go(A1)
    book.said(words)
    assert said(book) == [("a", 1, UNMOUNTED)], "that one was not said"
    book.said(book.words())
    assert said(book) == []


def test_keys_of_mounts_tell_holds_from_the_hosts_own() -> None:
    assert hold_of(A2.key) == A2
    assert hold_of(Hold("own/a", 3).key) == Hold("own/a", 3)
    assert hold_of("own/a.1") is None


STEP = st.one_of(
    st.tuples(st.just("tell"), st.integers(1, 3)),
    st.tuples(st.just("back"), st.integers(1, 3)),
    st.tuples(st.just("lose"), st.just(0)),
    st.tuples(st.just("let go"), st.integers(1, 3)),
)


@given(st.lists(STEP, max_size=12))
def test_no_two_epochs_of_a_volume_are_ever_usable_and_nothing_gone_is_renewed(
    steps: list[tuple[str, int]],
) -> None:
    book, gone = VolumeBook(), set()
    for version, (what, epoch) in enumerate(steps, 1):
        hold = Hold("a", epoch)
        if what == "tell" and hold not in gone:
            book.follow(message(version, ("a", epoch)))
        elif what == "back":
            book.follow(message(version, back=[("a", epoch)]))
        elif what == "lose":
            book.follow(message(version, lost=["a"]))
        elif what == "let go":
            book.let_go(hold)
            gone.add(hold)
        usable = [each for each in (Hold("a", n) for n in (1, 2, 3)) if book.item(each)]
        assert len(usable) <= 1
        assert gone.isdisjoint(renewal.hold for renewal in book.renew(1e3 * version, version))
