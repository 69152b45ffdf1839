"""Clients that read logs and agents that send them, over gRPC."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from contextlib import asynccontextmanager
from typing import Any

import grpc
import pytest

from api import states
from api.errors import Code
from api.times import timestamp
from api.v1 import logs_pb2, logs_pb2_grpc, objects_pb2
from hostkit.clock import monotonic, wall
from manager.control.listener import Listener
from manager.control.log_exchange import BATCH_LINES, MAX_BYTES, MAX_LINES
from manager.control.logs import LogBrokerService, LogsService
from manager.state.changes import StoredObject, copy, create, update
from manager.state.watch import WatchHub
from tests.support.builders import DOWN, node, service, task
from tests.support.counter import counter
from tests.support.direct_proposer import DirectProposer
from tests.support.rpc import LIMIT, as_node, ending, failure, read, served, write
from tests.support.sealed_store import SealedStore

Line = logs_pb2.LogMessage
WEB = logs_pb2.LogSelector(service_ids=["web"])


class Bench:
    """The service `web` with a task on each of two nodes; clients and agents come and go."""

    def __init__(self) -> None:
        self.store = SealedStore()
        self.hub = WatchHub()
        self.proposer = DirectProposer(self.store, wall, self.hub)
        self.logs = LogsService(
            store=self.store, hub=self.hub, monotonic=monotonic, ids=counter("r")
        )
        self.clients: Any = None
        self.agents: Any = None

    def subscribe(self, selector: logs_pb2.LogSelector = WEB, *, follow: bool = False) -> Any:
        options = logs_pb2.LogOptions(follow=follow, tail=-1)
        return self.clients.Subscribe(
            logs_pb2.SubscribeLogsRequest(selector=selector, options=options)
        )

    def listen(self, node_id: str) -> Any:
        return self.agents.Listen(logs_pb2.ListenRequest(), metadata=as_node(node_id))

    def publish(self, node_id: str) -> Any:
        return self.agents.Publish(metadata=as_node(node_id))

    async def write(self, *objects: StoredObject) -> None:
        await write(self.proposer, *map(create, objects))

    async def down(self, node_id: str) -> None:
        found = self.store.get(objects_pb2.Node, node_id)
        assert found is not None
        changed = copy(found)
        changed.status.state = DOWN
        await write(self.proposer, update(changed))


@asynccontextmanager
async def bench() -> AsyncIterator[Bench]:
    made = Bench()
    await made.write(
        service("web", 2),
        node("n1"),
        node("n2"),
        task("t1", slot=1, node_id="n1"),
        task("t2", slot=2, node_id="n2"),
        task("other", "db", node_id="n1"),
    )

    def add(server: grpc.aio.Server) -> None:
        logs_pb2_grpc.add_LogsServicer_to_server(made.logs, server)
        logs_pb2_grpc.add_LogBrokerServicer_to_server(LogBrokerService(made.logs), server)

    async with served(add) as channel:
        made.clients = logs_pb2_grpc.LogsStub(channel)
        made.agents = logs_pb2_grpc.LogBrokerStub(channel)
        yield made
    made.store.check_seals()


def run(scenario: Callable[[], Awaitable[None]]) -> None:
    async def limited() -> None:
        async with asyncio.timeout(3 * LIMIT):
            await scenario()

    asyncio.run(limited())


def lines(task_id: str, numbers: Iterable[int], size: int = 0) -> list[Line]:
    return [Line(task_id=task_id, data=b"%d" % i + b"." * size) for i in numbers]


async def send(call: Any, subscription_id: str, messages: Iterable[Line] = (), **more: Any) -> None:
    async with asyncio.timeout(LIMIT):
        await call.write(
            logs_pb2.PublishLogsMessage(subscription_id=subscription_id, messages=messages, **more)
        )


async def answer(call: Any) -> Any:
    async with asyncio.timeout(LIMIT):
        return await call


async def drain(call: Any) -> tuple[list[Line], list[str]]:
    """Everything that a client gets up to the end."""
    found: list[Line] = []
    warnings: list[str] = []
    async with asyncio.timeout(LIMIT):
        while (batch := await call.read()) is not grpc.aio.EOF:
            assert len(batch.messages) <= BATCH_LINES
            found += batch.messages
            warnings += batch.warnings
    return found, warnings


def of_task(task_id: str, found: Iterable[Line]) -> list[int]:
    return [int(line.data.strip(b".")) for line in found if line.task_id == task_id]


async def serve(b: Bench, node_id: str, listener: Any, messages: list[Line]) -> None:
    """An agent that sends all it has, ten lines at a time."""
    asked = await read(listener)
    call = b.publish(node_id)
    for start in range(0, len(messages), 10):
        await send(call, asked.id, messages[start : start + 10])
    await send(call, asked.id, done=True)
    await answer(call)


def test_lines_of_two_nodes_come_each_in_order_and_then_it_ends() -> None:
    async def scenario() -> None:
        async with bench() as b:
            ears = {node_id: b.listen(node_id) for node_id in ("n1", "n2")}
            client = b.subscribe()
            (found, warnings), *_ = await asyncio.gather(
                drain(client),
                serve(b, "n1", ears["n1"], lines("t1", range(250))),
                serve(b, "n2", ears["n2"], lines("t2", range(95))),
            )
            assert warnings == []
            assert of_task("t1", found) == list(range(250))
            assert of_task("t2", found) == list(range(95))
            assert {(line.task_id, line.node_id, line.service_id) for line in found} == {
                ("t1", "n1", "web"),
                ("t2", "n2", "web"),
            }

    run(scenario)


def test_an_agent_is_told_what_the_client_wants() -> None:
    async def scenario() -> None:
        async with bench() as b:
            ear = b.listen("n1")
            client = b.subscribe(logs_pb2.LogSelector(task_ids=["t1"]), follow=True)
            asked = await read(ear)
            assert list(asked.selector.task_ids) == ["t1"]
            assert asked.options == logs_pb2.LogOptions(follow=True, tail=-1)
            client.cancel()

    run(scenario)


def test_a_client_that_leaves_has_the_agents_stop() -> None:
    async def scenario() -> None:
        async with bench() as b:
            ear = b.listen("n1")
            client = b.subscribe(follow=True)
            asked = await read(ear)
            call = b.publish("n1")
            await send(call, asked.id, lines("t1", [1]))
            assert of_task("t1", (await read(client)).messages) == [1]
            client.cancel()
            closing = await read(ear)
            assert (closing.id, closing.close) == (asked.id, True)
            assert (await failure(call)).code is Code.NOT_FOUND
            late = b.publish("n1")
            await send(late, asked.id, lines("t1", [2]))
            assert (await failure(late)).code is Code.NOT_FOUND

    run(scenario)


def test_a_follower_gets_the_lines_of_a_task_that_starts_later() -> None:
    async def scenario() -> None:
        async with bench() as b:
            await b.write(node("n3"))
            ear, late_ear = b.listen("n1"), b.listen("n3")
            client = b.subscribe(follow=True)
            await read(ear)
            await b.write(task("t3", slot=3, node_id="n3", state=states.ASSIGNED))
            asked = await read(late_ear)
            call = b.publish("n3")
            await send(call, asked.id, lines("t3", [7]))
            assert of_task("t3", (await read(client)).messages) == [7]
            client.cancel()

    run(scenario)


def test_a_dead_node_warns_and_the_rest_is_read() -> None:
    async def scenario() -> None:
        async with bench() as b:
            await b.down("n2")
            ear = b.listen("n1")
            client = b.subscribe()
            (found, warnings), _ = await asyncio.gather(
                drain(client), serve(b, "n1", ear, lines("t1", range(3)))
            )
            assert of_task("t1", found) == [0, 1, 2]
            assert len(warnings) == 1
            assert warnings[0].startswith("node n2 (n2) is down: ")

    run(scenario)


def test_a_node_that_dies_while_it_sends_ends_the_reading() -> None:
    async def scenario() -> None:
        async with bench() as b:
            ear = b.listen("n1")
            client = b.subscribe(logs_pb2.LogSelector(task_ids=["t1"]))
            asked = await read(ear)
            call = b.publish("n1")
            await send(call, asked.id, lines("t1", [1]))
            first = await read(client)
            assert of_task("t1", first.messages) == [1]
            await b.down("n1")
            found, warnings = await drain(client)
            assert found == []
            assert warnings[0].startswith("node n1 (n1) is down: ")
            assert (await failure(call)).code is Code.NOT_FOUND

    run(scenario)


def test_a_stream_that_breaks_off_warns() -> None:
    async def scenario() -> None:
        async with bench() as b:
            ear = b.listen("n1")
            client = b.subscribe(logs_pb2.LogSelector(task_ids=["t1"]))
            asked = await read(ear)
            call = b.publish("n1")
            await send(call, asked.id, lines("t1", [1]))
            await read(client)
            call.cancel()
            _, warnings = await drain(client)
            assert warnings[0].startswith("node n1 (n1) broke off: ")

    run(scenario)


def stamped(*moments: int) -> list[Line]:
    """Lines of t1, numbered in their order, with these times."""
    found = lines("t1", range(len(moments)))
    for line, moment in zip(found, moments, strict=True):
        line.at.seconds = moment
    return found


def test_a_follower_of_a_node_that_comes_back_misses_nothing() -> None:
    async def scenario() -> None:
        async with bench() as b:
            log = stamped(1000, 1001, 1001, 1001, 1002)
            ear = b.listen("n1")
            client = b.subscribe(logs_pb2.LogSelector(task_ids=["t1"]), follow=True)
            asked = await read(ear)
            call = b.publish("n1")
            await send(call, asked.id, log[:3])
            assert of_task("t1", (await read(client)).messages) == [0, 1, 2]
            ear.cancel()
            call.cancel()
            assert (await read(client)).warnings[0].startswith("node n1 (n1) broke off: ")
            again = await read(b.listen("n1"))
            assert again.id == asked.id
            assert again.options.since == timestamp(1001)
            call = b.publish("n1")
            await send(call, asked.id, log[1:])
            assert of_task("t1", (await read(client)).messages) == [3, 4]
            client.cancel()

    run(scenario)


def test_an_agent_that_listens_anew_ends_its_older_streams() -> None:
    async def scenario() -> None:
        async with bench() as b:
            log = stamped(1000, 1001)
            ear = b.listen("n1")
            client = b.subscribe(logs_pb2.LogSelector(task_ids=["t1"]), follow=True)
            asked = await read(ear)
            older = b.publish("n1")
            await send(older, asked.id, log[:1])
            await read(client)
            # The network went away without a word: the old streams still seem to be open.
            assert (await read(b.listen("n1"))).id == asked.id
            assert (await failure(older)).code is Code.NOT_FOUND
            newer = b.publish("n1")
            await send(newer, asked.id, log)
            assert of_task("t1", (await read(client)).messages) == [1]
            client.cancel()

    run(scenario)


def test_an_agent_that_opens_a_second_stream_goes_on_with_it() -> None:
    async def scenario() -> None:
        async with bench() as b:
            ear = b.listen("n1")
            client = b.subscribe(logs_pb2.LogSelector(task_ids=["t1"]), follow=True)
            asked = await read(ear)
            calls = [b.publish("n1") for _ in range(2)]
            for number, call in enumerate(calls):
                await send(call, asked.id, lines("t1", [number]))
                assert of_task("t1", (await read(client)).messages) == [number]
            assert (await failure(calls[0])).code is Code.NOT_FOUND
            client.cancel()

    run(scenario)


def test_a_request_that_nobody_heard_is_taken_back() -> None:
    async def scenario() -> None:
        listener = Listener[logs_pb2.Subscription]("n1")
        for subscription_id in ("r1", "r2"):
            listener.tell(logs_pb2.Subscription(id=subscription_id))
        listener.tell(logs_pb2.Subscription(id="r1", close=True))
        assert await listener.next() == logs_pb2.Subscription(id="r2")
        listener.tell(logs_pb2.Subscription(id="r2", close=True))
        assert (await listener.next()).close

    run(scenario)


@pytest.mark.parametrize(
    ("sender", "task_id", "subscription", "code"),
    [
        ("n1", "t2", "r1", Code.DENIED),  # another node's task
        ("n1", "other", "r1", Code.DENIED),  # its own, but nobody asked
        ("n3", "t1", "r1", Code.DENIED),  # a node that was not asked
        ("n1", "t1", "r9", Code.NOT_FOUND),
        ("n1", "t1", "", Code.NOT_FOUND),
    ],
)
def test_a_node_publishes_only_what_it_was_asked_for(
    sender: str, task_id: str, subscription: str, code: Code
) -> None:
    async def scenario() -> None:
        async with bench() as b:
            ear = b.listen("n1")
            client = b.subscribe(follow=True)
            await read(ear)
            call = b.publish(sender)
            await send(call, subscription, lines(task_id, [1]))
            assert (await failure(call)).code is code
            client.cancel()

    run(scenario)


def test_a_stream_serves_one_subscription() -> None:
    async def scenario() -> None:
        async with bench() as b:
            ear = b.listen("n1")
            clients = [b.subscribe(follow=True) for _ in range(2)]
            ids = [(await read(ear)).id for _ in clients]
            call = b.publish("n1")
            await send(call, ids[0])
            await send(call, ids[1])
            assert (await failure(call)).code is Code.INVALID

    run(scenario)


def test_lines_of_a_task_that_is_reaped_meanwhile_still_come() -> None:
    async def scenario() -> None:
        async with bench() as b:
            ear = b.listen("n1")
            client = b.subscribe(follow=True)
            asked = await read(ear)
            call = b.publish("n1")
            await send(call, asked.id, [*lines("t1", [1]), *lines("vanished", [1])])
            assert [line.task_id for line in (await read(client)).messages] == ["t1"]
            client.cancel()

    run(scenario)


def test_a_slow_reader_holds_its_senders_back_and_fills_no_memory() -> None:
    async def scenario() -> None:
        async with bench() as b:
            ear = b.listen("n1")
            client = b.subscribe(logs_pb2.LogSelector(task_ids=["t1"]))
            asked = await read(ear)
            call = b.publish("n1")
            sent = 0
            size = 4096
            # Nobody reads: sooner or later a message is not taken any more.
            stuck = False
            while not stuck:
                writing = asyncio.create_task(
                    send(call, asked.id, lines("t1", range(sent, sent + 10), size))
                )
                done, _ = await asyncio.wait([writing], timeout=1.0)
                stuck = not done
                sent += 10
                assert sent * size < 200 * MAX_BYTES
            reading = b.logs.exchange.reading(asked.id)
            waiting = reading.waiting()
            assert waiting.lines <= MAX_LINES + 10
            assert waiting.bytes <= MAX_BYTES + 20 * size

            async def finish() -> None:
                await writing
                await send(call, asked.id, done=True)
                await answer(call)

            (found, warnings), _ = await asyncio.gather(drain(client), finish())
            assert warnings == []
            assert of_task("t1", found) == list(range(sent))

    run(scenario)


def test_a_newer_ear_replaces_the_older() -> None:
    async def scenario() -> None:
        async with bench() as b:
            older = b.listen("n1")
            client = b.subscribe(logs_pb2.LogSelector(task_ids=["t1"]))
            asked = await read(older)
            newer = b.listen("n1")
            # It had not begun to send, so it is asked once more.
            assert (await read(newer)).id == asked.id
            assert (await ending(older)).code is Code.REFUSED
            client.cancel()
            assert (await read(newer)).close

    run(scenario)


def test_bad_requests_are_refused() -> None:
    async def scenario() -> None:
        async with bench() as b:
            nothing, unknown = logs_pb2.LogSelector(), logs_pb2.LogSelector(task_ids=["no"])
            assert (await ending(b.subscribe(nothing))).code is Code.INVALID
            assert (await ending(b.subscribe(unknown))).code is Code.NOT_FOUND
            assert (await ending(b.listen("n9"))).code is Code.NOT_FOUND
            call = b.publish("n1")
            await call.done_writing()
            await answer(call)

    run(scenario)


def test_the_end_of_leading_ends_every_stream() -> None:
    async def scenario() -> None:
        async with bench() as b:
            ear = b.listen("n1")
            client = b.subscribe(follow=True)
            asked = await read(ear)
            call = b.publish("n1")
            await send(call, asked.id, lines("t1", [1]))
            await read(client)
            b.logs.end()
            for ended in (client, ear):
                assert (await ending(ended)).code is Code.UNAVAILABLE
            assert (await failure(call)).code is Code.NOT_FOUND

    run(scenario)
