"""What a node knows of networks, message after message."""

from api.v1 import dispatcher_pb2, network_pb2
from worker.network_book import (
    ENDPOINT,
    NETWORK,
    PEER,
    SERVICE,
    Book,
    Item,
    Key,
    News,
    change_of,
    item_of,
    key_of,
)

Message = dispatcher_pb2.AssignmentsMessage
Change = dispatcher_pb2.AssignmentChange

FRONT = network_pb2.NodeNetwork(id="front", name="front", vni=4097)
INGRESS = network_pb2.NodeNetwork(id="in", name="ingress", ingress=True)
NODE = network_pb2.NetworkPeer(node_id="n1", data_path_address="192.0.2.1")
WEB = network_pb2.NetworkService(network_id="front", service_id="web", name="web")
TASK = network_pb2.NetworkEndpoint(
    network_id="front", task_id="t1", name="web.1.t1", node_id="n1", addresses=["10.0.1.5/24"]
)
ALL: tuple[Item, ...] = (FRONT, NODE, WEB, TASK)
OUTLINES: tuple[Item, ...] = (
    network_pb2.NodeNetwork(id="front"),
    network_pb2.NetworkPeer(node_id="n1"),
    network_pb2.NetworkService(network_id="front", service_id="web"),
    network_pb2.NetworkEndpoint(network_id="front", task_id="t1"),
)


def complete(*items: Item) -> Message:
    return Message(type=Message.TYPE_COMPLETE, changes=map(change_of, items))


def changes(*items: Item, removed: tuple[Item, ...] = ()) -> Message:
    message = Message(type=Message.TYPE_INCREMENTAL, changes=map(change_of, items))
    for item in removed:
        message.changes.append(change_of(item))
        message.changes[-1].action = Change.ACTION_REMOVE
    return message


def known(*items: Item) -> Book:
    book = Book()
    book.follow(complete(*items))
    return book


def test_what_is_known_is_what_counts_as_told() -> None:
    early = network_pb2.NetworkService(network_id="back", service_id="db", name="db")
    book = known(*ALL, INGRESS, early)
    assert book.known() == (NODE, FRONT, WEB, TASK, INGRESS)


def test_items_are_told_from_each_other_and_kept_as_they_are() -> None:
    assert [key_of(each) for each in ALL] == [
        Key(NETWORK, "front", "front"),
        Key(PEER, "", "n1"),
        Key(SERVICE, "front", "web"),
        Key(ENDPOINT, "front", "t1"),
    ]
    assert [item_of(change_of(each)) for each in ALL] == list(ALL)
    assert item_of(Change()) is None
    assert len({key_of(each).text for each in ALL}) == len(ALL)


def test_everything_is_news_once_and_in_order() -> None:
    book = Book()
    assert book.follow(complete(*reversed(ALL))) == News(ALL)
    assert not book.follow(complete(*ALL))
    assert not book.follow(changes(*ALL))
    assert book.networks == {"front": FRONT}
    assert book.endpoints("front") == {"t1": TASK}
    assert book.services("front") == {"web": WEB}


def test_outlines_keep_what_is_there_and_nothing_else() -> None:
    assert not known(*ALL).follow(complete(*OUTLINES))
    assert not Book().follow(complete(*OUTLINES))


def test_what_a_complete_message_does_not_name_is_gone_the_other_way_round() -> None:
    book = known(*ALL)
    assert book.follow(complete()) == News((), tuple(key_of(each) for each in reversed(ALL)))
    assert not book.networks
    assert not book.endpoints("front")


def test_changes_and_removals() -> None:
    book = known(*ALL)
    serving = network_pb2.NetworkEndpoint()
    serving.CopyFrom(TASK)
    serving.serving = True
    news = book.follow(changes(serving, removed=(WEB,)))
    assert news == News((serving,), (key_of(WEB),))
    assert (news.networks(), news.has_peers()) == (frozenset({"front"}), False)
    assert not book.follow(changes(removed=(WEB,)))
    assert book.follow(changes(removed=(NODE,))).has_peers()


def test_what_comes_before_its_network_is_told_with_it() -> None:
    book = Book()
    assert book.follow(complete(NODE, TASK, WEB, OUTLINES[0])) == News((NODE,))
    assert book.follow(changes(FRONT)) == News((FRONT, WEB, TASK))


def test_the_ingress_network() -> None:
    assert known(*ALL).ingress() is None
    assert known(*ALL, INGRESS).ingress() == INGRESS


def test_another_daemon_goes_on_with_what_was_kept() -> None:
    book = Book()
    assert book.restore(ALL) == News(ALL)
    assert not book.follow(complete(*OUTLINES))


def test_what_is_the_nodes_own_no_manager_takes_back() -> None:
    bridge = network_pb2.NodeNetwork(id="bridge", name="bridge", driver="bridge")
    mine = network_pb2.NetworkEndpoint(network_id="bridge", task_id="c1", name="box")
    book = known(*ALL)
    assert not book.has_own
    assert book.own([bridge, mine]) == News((bridge, mine))
    assert book.own([bridge, mine]) == News()
    assert book.has_own
    gone = book.follow(complete())
    assert {key.network_id for key in gone.removed} == {"front", ""}
    assert dict(book.endpoints("bridge")) == {"c1": mine}
    assert book.own((), [key_of(mine), key_of(bridge)]).removed == (key_of(mine), key_of(bridge))
    assert not book.has_own
    assert not book.networks
