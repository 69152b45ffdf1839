"""The store as the log's state machine."""

import asyncio

import pytest

from api.errors import Code, SwarmError
from api.times import timestamp
from api.v1 import objects_pb2, raft_pb2
from api.v1.objects_pb2 import Operator
from manager.state.changes import batch, create, encode
from manager.state.machine import StoreMachine
from manager.state.store import Store
from manager.state.watch import WatchHub


def entry(index: int, *names: str) -> raft_pb2.Entry:
    batches = [batch(create(Operator(id=name, name=name))) for name in names]
    command = raft_pb2.Command(
        request_id=f"r{index}", object_id="o", batches=encode(batches), at=timestamp(5.0)
    )
    return raft_pb2.Entry(index=index, term=1, data=command.SerializeToString())


def test_a_captured_store_is_put_in_anothers_place() -> None:
    async def scenario() -> None:
        origin = StoreMachine(store := Store(), WatchHub())
        origin.apply(entry(3, "a", "b"), None)
        encode_it = origin.capture()
        origin.apply(entry(4, "late"), None)

        hub, target = WatchHub(), Store()
        machine = StoreMachine(target, hub)
        machine.apply(entry(1, "stale"), None)
        subscription = hub.subscribe(lambda: None)
        install = await asyncio.to_thread(machine.prepare, encode_it())
        assert [each.id for each in target.all(Operator)] == ["stale"]
        assert subscription.take() == []
        install()
        assert subscription.take() is None
        assert [each.id for each in target.all(Operator)] == ["a", "b"]
        assert target.named(Operator, "stale") is None
        assert (target.version, target.applied_request("r3") is None) == (3, False)
        machine.apply(entry(4, "late"), None)
        assert target.capture().encode() == store.capture().encode()

    asyncio.run(scenario())


def test_a_snapshot_of_a_later_version_is_refused_before_anything_has_changed() -> None:
    store = Store()
    machine = StoreMachine(store, WatchHub())
    machine.apply(entry(1, "a"), None)
    newer = raft_pb2.StoreSnapshot(index=9, objects=[objects_pb2.Object()]).SerializeToString()
    with pytest.raises(SwarmError, match="unknown kind") as refused:
        machine.prepare(newer)
    assert refused.value.code is Code.UNSUPPORTED
    assert (store.version, store.count(Operator)) == (1, 1)


def test_a_no_op_has_no_answer_and_changes_nothing() -> None:
    store = Store()
    assert StoreMachine(store, WatchHub()).apply(raft_pb2.Entry(index=1, term=1), None) is None
    assert store.version == 0
