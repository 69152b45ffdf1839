"""A restore comes to an end, whatever becomes of the node that is to take the archive; and who has
an archive may go on with its volume.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import pytest

from api.errors import Code, SwarmError
from api.serving import Caller, set_caller
from api.v1 import objects_pb2, volume_pb2
from hostkit.clock import monotonic, wall
from manager.control import volume_data, volume_pipe
from manager.control.volume_data import VolumeData, VolumeDataService
from manager.control.volume_moves import VolumeMoves
from manager.control.volume_orders import VolumeOrders
from manager.state.changes import copy, create, update
from manager.state.watch import WatchHub
from tests.support.builders import DOWN, node
from tests.support.counter import counter
from tests.support.direct_proposer import DirectProposer
from tests.support.rpc import LIMIT, write
from tests.support.sealed_store import SealedStore
from tests.support.until import until

Request = volume_pb2.RestoreVolumeRequest
Volume = objects_pb2.Volume


class Desk:
    """A node n1 with driver local, an operator who restores, and a manager that leads."""

    def __init__(self) -> None:
        self.store, hub = SealedStore(), WatchHub()
        self.proposer = DirectProposer(self.store, wall, hub)
        self.orders = VolumeOrders(
            store=self.store,
            hub=hub,
            proposer=self.proposer,
            monotonic=monotonic,
            ids=counter("o"),
        )
        self.data = VolumeData(self.store, self.orders)
        moves = VolumeMoves(self.store, self.proposer, counter("v"))
        self.service = VolumeDataService(self.data, moves, hub)

    async def restore(self) -> None:
        """Sends a small archive, and waits for the volume."""
        context: Any = None
        set_caller(Caller(id="olga", role="operator", cluster_id="c", via="tls"))
        async for _ in self.service.Restore(archive(), context):
            return

    async def begun(self) -> Volume:
        """The volume that is to be filled."""
        await until(lambda: self.store.named(Volume, "db") is not None)
        return self.store.named(Volume, "db") or Volume()

    async def take(self) -> None:
        """The node takes all of the archive, and is not heard of again."""
        set_caller(Caller(id="n1", role="worker", cluster_id="c", via="tls"))
        listener = self.orders.listen("n1")
        order = await listener.next()
        async for _ in volume_data.receive(self.data, order.id):
            pass
        self.orders.leave(listener)

    async def give(self) -> None:
        """The node sends a small archive, and has yet to report that it did."""
        listener = self.orders.listen("n1")
        order = await listener.next()
        pipe, _ = self.data.source("n1", order.id)
        await pipe.put(b"x" * 1000)
        pipe.end()
        self.orders.leave(listener)

    async def saved(self) -> Volume | None:
        """The volume `db` as it is when its operator is told that the archive is whole."""
        context: Any = None
        set_caller(Caller(id="olga", role="operator", cluster_id="c", via="tls"))
        asked = volume_pb2.BackupVolumeRequest(key="db")
        async for piece in self.service.Backup(asked, context):
            if piece.WhichOneof("kind") == "end":
                return self.store.named(Volume, "db")
        return None


async def archive() -> AsyncIterator[Request]:
    head = volume_pb2.RestoreVolumeHead()
    head.spec.annotations.name = "db"
    yield Request(head=head)
    yield Request(piece=volume_pb2.VolumePiece(data=b"x" * 1000))
    yield Request(piece=volume_pb2.VolumePiece(end=volume_pb2.VolumeEnd()))


def run(scenario: Callable[[Desk], Awaitable[None]]) -> None:
    async def limited() -> None:
        desk = Desk()
        host = node("n1")
        host.description.volume_drivers.add(name="local", local=True)
        await write(desk.proposer, create(host))
        leading = asyncio.create_task(desk.orders.run())
        async with asyncio.timeout(LIMIT):
            await scenario(desk)
        leading.cancel()
        await asyncio.gather(leading, return_exceptions=True)

    asyncio.run(limited())


@pytest.mark.parametrize("begins", [False, True])
def test_a_restore_ends_if_its_node_is_not_heard_of(
    monkeypatch: pytest.MonkeyPatch, begins: bool
) -> None:
    monkeypatch.setattr(volume_pipe, "STALLED", 0.2)

    async def scenario(desk: Desk) -> None:
        restoring = asyncio.create_task(desk.restore())
        made = await desk.begun()
        if begins:
            await asyncio.create_task(desk.take())
        gone = copy(desk.store.get(objects_pb2.Node, "n1") or node("n1"))
        gone.status.state = DOWN
        await write(desk.proposer, update(gone))
        with pytest.raises(SwarmError, match="nobody has taken anything") as late:
            await restoring
        assert (late.value.code, "node ls" in late.value.remedy) == (Code.DEADLINE, True)
        given_up = desk.store.get(Volume, made.id)
        assert given_up is not None
        assert given_up.removing

    run(scenario)


def test_a_restore_ends_with_the_lead() -> None:
    async def scenario(desk: Desk) -> None:
        restoring = asyncio.create_task(desk.restore())
        await desk.begun()
        desk.data.end()
        with pytest.raises(SwarmError, match="does not lead any more") as over:
            await restoring
        assert over.value.code is Code.UNAVAILABLE

    run(scenario)


def test_who_has_the_archive_of_a_volume_may_save_it_again_at_once() -> None:
    async def scenario(desk: Desk) -> None:
        made = Volume(id="v1", home="n1")
        made.spec.annotations.name = "db"
        await write(desk.proposer, create(made))
        giving = asyncio.create_task(desk.give())
        found = await desk.saved()
        await giving
        assert found is not None
        assert not found.HasField("transfer")

    run(scenario)
