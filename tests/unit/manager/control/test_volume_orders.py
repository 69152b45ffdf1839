"""Drivers that do what the swarm wants at their storage, over gRPC."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

from api.errors import Code
from api.v1 import objects_pb2, volume_pb2, volume_pb2_grpc
from hostkit.clock import monotonic, wall
from manager.control.volume_broker import VolumeBrokerService
from manager.control.volume_data import VolumeData
from manager.control.volume_orders import VolumeOrders
from manager.state.changes import StoredObject, copy, create, update
from manager.state.watch import WatchHub
from tests.support.builders import DOWN, node, volume
from tests.support.counter import counter
from tests.support.direct_proposer import DirectProposer
from tests.support.rpc import LIMIT, as_node, ending, failure, read, served, write
from tests.support.sealed_store import SealedStore

Holder = objects_pb2.VolumeHolder
Order = volume_pb2.VolumeOrder
Report = volume_pb2.VolumeOrderReport
Volume = objects_pb2.Volume


def host(name: str) -> objects_pb2.Node:
    made = node(name)
    made.description.volume_drivers.add(name="shared", creates=True, opens=True, fences=True)
    return made


class Desk:
    """Nodes n1 and n2 with the driver, and a volume that is not made yet."""

    def __init__(self, channel: Any, store: SealedStore, proposer: DirectProposer) -> None:
        self.store = store
        self.proposer = proposer
        self.broker: Any = volume_pb2_grpc.VolumeBrokerStub(channel)

    def listen(self, name: str) -> Any:
        return self.broker.Listen(volume_pb2.ListenVolumesRequest(), metadata=as_node(name))

    async def report(self, name: str, **given: Any) -> None:
        async with asyncio.timeout(LIMIT):
            await self.broker.Report(Report(**given), metadata=as_node(name))

    @property
    def data(self) -> Volume:
        found = self.store.get(Volume, "data")
        assert found is not None
        return found

    async def put(self, changed: StoredObject) -> None:
        await write(self.proposer, update(changed))


@asynccontextmanager
async def desk() -> AsyncIterator[Desk]:
    store, hub = SealedStore(), WatchHub()
    proposer = DirectProposer(store, wall, hub)
    objects: tuple[StoredObject, ...] = (host("n1"), host("n2"), volume("data"))
    await write(proposer, *(create(each) for each in objects))
    orders = VolumeOrders(
        store=store, hub=hub, proposer=proposer, monotonic=monotonic, ids=counter("o")
    )
    leading = asyncio.create_task(orders.run())
    broker = VolumeBrokerService(VolumeData(store, orders))
    async with served(
        lambda server: volume_pb2_grpc.add_VolumeBrokerServicer_to_server(broker, server)
    ) as channel:
        yield Desk(channel, store, proposer)
        leading.cancel()
        await asyncio.gather(leading, return_exceptions=True)
        orders.end()


def run(scenario: Callable[[Desk], Awaitable[None]]) -> None:
    async def limited() -> None:
        async with asyncio.timeout(3 * LIMIT), desk() as made:
            await scenario(made)

    asyncio.run(limited())


def test_a_volume_is_made_opened_and_at_last_its_lost_node_is_shut_out() -> None:
    async def scenario(d: Desk) -> None:
        agent = d.listen("n2")
        order = await read(agent)
        assert (order.verb, order.volume.name, order.volume.driver) == (
            Order.VERB_CREATE,
            "data",
            "shared",
        )
        await d.report("n2", order_id=order.id, made={"handle": "h"})
        assert d.data.made.handle == "h"
        given = copy(d.data)
        given.epoch = 1
        given.holders.add(
            node_id="n1", host_id="one", epoch=1, opens=True, state=Holder.STATE_OPENING
        )
        await d.put(given)
        order = await read(agent)
        assert (order.verb, order.host_id, order.volume.handle) == (Order.VERB_OPEN, "one", "h")
        await d.report("n2", order_id=order.id, publish_context={"device": "sdb"})
        assert (d.data.holders[0].state, d.data.holders[0].fenceable) == (Holder.STATE_HELD, True)
        lost = copy(d.store.get(objects_pb2.Node, "n1") or host("n1"))
        lost.status.state = DOWN
        await d.put(lost)
        order = await read(agent)
        assert (order.verb, order.host_id) == (Order.VERB_FENCE, "one")
        await d.report("n2", order_id=order.id)
        assert d.data.holders[0].state == Holder.STATE_FENCED

    run(scenario)


def test_what_failed_comes_again_and_says_why_meanwhile() -> None:
    async def scenario(d: Desk) -> None:
        agent = d.listen("n1")
        order = await read(agent)
        await d.report("n1", order_id=order.id, error="no room")
        assert d.data.pending == "no room"
        again = await read(agent)
        assert (again.verb, again.id == order.id) == (Order.VERB_CREATE, False)
        late = d.broker.Report(Report(order_id=order.id), metadata=as_node("n1"))
        assert (await failure(late)).code is Code.NOT_FOUND

    run(scenario)


def test_what_nobody_wants_any_more_is_taken_back_and_another_takes_over() -> None:
    async def scenario(d: Desk) -> None:
        first = d.listen("n1")
        order = await read(first)
        newer = d.listen("n1")
        assert (await ending(first)).code is Code.REFUSED
        again = await read(newer)
        assert again.id != order.id
        made = copy(d.data)
        made.made.handle = "by hand"
        await d.put(made)
        taken_back = await read(newer)
        assert (taken_back.id, taken_back.close) == (again.id, True)

    run(scenario)


def test_strangers_and_ends() -> None:
    async def scenario(d: Desk) -> None:
        assert (await ending(d.listen("n9"))).code is Code.NOT_FOUND
        agent = d.listen("n1")
        await read(agent)
        agent.cancel()
        other = d.listen("n2")
        assert (await read(other)).verb == Order.VERB_CREATE

    run(scenario)
