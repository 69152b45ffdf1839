"""Leases over gRPC: what a heartbeat renews, and how a node lets go."""

from typing import Any

from api.errors import Code, SwarmError
from api.times import seconds_of
from api.v1 import dispatcher_pb2, objects_pb2, volume_pb2
from manager.state.changes import copy, update
from tests.support.builders import given, node, task, volume
from tests.support.rpc import as_node, failure, read, write
from tests.unit.manager.dispatcher.test_service import Bench, bench, run

Volume = objects_pb2.Volume
Word = volume_pb2.NodeVolumeStatus


def held() -> tuple[Any, ...]:
    return node("n1"), volume("data", ("n1", 1)), given(task("t1", node_id="n1"), "data", 1)


async def told(b: Bench, node_id: str = "n1") -> tuple[Any, str, Any, int]:
    """The session and its id; the assignments, and the version that they come up to."""
    call, session = await b.register(node_id)
    stream = b.assignments(node_id, session)
    message = await read(stream)
    (item,) = [c.volume for c in message.changes if c.WhichOneof("item") == "volume"]
    assert (item.id, item.epoch, item.driver, item.term.seconds) == ("data", 1, "shared", 10)
    return call, session, stream, message.version


def words(b: Bench, session: str, *said: Word) -> Any:
    request = dispatcher_pb2.UpdateVolumeStatusRequest(session_id=session, updates=said)
    return b.stub.UpdateVolumeStatus(request, metadata=as_node("n1"))


def test_a_heartbeat_renews_what_was_carried_out_by_one_who_leads_for_sure() -> None:
    async def scenario() -> None:
        async with bench(*held()) as b:
            _call, session, _stream, version = await told(b)
            assert not (await b.heartbeat("n1", session)).leases_renewed
            answer = await b.heartbeat("n1", session, version)
            assert answer.leases_renewed
            assert seconds_of(answer.period) == 10.0 / 4
            b.doubt = SwarmError(Code.UNAVAILABLE, "the others do not answer")
            answer = await b.heartbeat("n1", session, version)
            assert not answer.leases_renewed
            assert answer.period.ByteSize(), "the session goes on"

    run(scenario)


def test_who_ceases_to_lead_while_it_makes_sure_renews_nothing() -> None:
    async def scenario() -> None:
        async with bench(*held()) as b:
            _call, session, _stream, version = await told(b)
            b.loses_the_lead = True
            refused = await failure(b.heartbeat("n1", session, version))
            assert refused.code is Code.UNAVAILABLE

    run(scenario)


def test_who_holds_nothing_asks_nobody() -> None:
    async def scenario() -> None:
        async with bench(node("n2"), *held()) as b:
            _call, session = await b.register("n2")
            before = b.confirmed
            assert not (await b.heartbeat("n2", session, 9)).leases_renewed
            assert b.confirmed == before

    run(scenario)


def test_what_was_taken_from_a_node_keeps_it_from_renewing_until_it_knows() -> None:
    async def scenario() -> None:
        async with bench(*held()) as b:
            await write(b.proposer, update_of(b, "data", holder=None))
            await b.write(volume("other", ("n1", 1)))
            await b.write(volume("data2", ("n1", 1)))
            _call, session = await b.register("n1")
            stream = b.assignments("n1", session)
            message = await read(stream)
            assert (await b.heartbeat("n1", session, message.version)).leases_renewed
            await write(b.proposer, update_of(b, "other", holder=None))
            assert not (await b.heartbeat("n1", session, message.version)).leases_renewed
            message = await read(stream)
            (change,) = message.changes
            assert (change.volume.id, change.volume.epoch) == ("other", 0)
            assert (await b.heartbeat("n1", session, message.version)).leases_renewed

    run(scenario)


def update_of(b: Bench, name: str, holder: None) -> Any:
    changed = copy(b.get(Volume, name))
    changed.ClearField("holders")
    return update(changed)


def test_a_node_lets_go_of_the_epoch_that_it_names() -> None:
    async def scenario() -> None:
        async with bench(*held()) as b:
            _call, session, _stream, _version = await told(b)
            await words(b, session, Word(volume_id="data", epoch=7))
            await words(b, session, Word(volume_id="data", epoch=1, state=Word.STATE_MOUNTED))
            assert b.get(Volume, "data").holders
            await words(b, session, Word(volume_id="data", epoch=1))
            assert not b.get(Volume, "data").holders
            refused = await failure(words(b, "another", Word(volume_id="data", epoch=1)))
            assert refused.code is Code.REFUSED

    run(scenario)


def test_a_node_hears_of_a_task_once_the_storage_lets_it_in() -> None:
    async def scenario() -> None:
        opening = volume("data", ("n1", 1))
        opening.holders[0].opens = True
        opening.holders[0].state = objects_pb2.VolumeHolder.STATE_OPENING
        holder = given(task("t1", node_id="n1"), "data", 1)
        async with bench(node("n1"), opening, holder) as b:
            _call, session = await b.register("n1")
            stream = b.assignments("n1", session)
            assert not (await read(stream)).changes
            opened = copy(b.get(Volume, "data"))
            opened.holders[0].state = objects_pb2.VolumeHolder.STATE_HELD
            await write(b.proposer, update(opened))
            message = await read(stream)
            assert [c.WhichOneof("item") for c in message.changes] == ["volume", "task"]

    run(scenario)
