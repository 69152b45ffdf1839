"""A storage that lets hosts in one by one, and what agents have it do for the managers.

It does what it was told though its caller is gone, and sometimes only much later; its driver says
then that it failed, or nothing. Asked for a volume that is being made, it waits for that one.
"""

import asyncio
from typing import TYPE_CHECKING, NoReturn

import grpc

from api.v1 import volume_pb2, volume_pb2_grpc

if TYPE_CHECKING:
    from tests.sim.control.host import Host
    from tests.sim.control.world import World

Order = volume_pb2.VolumeOrder
Report = volume_pb2.VolumeOrderReport

SLOW, LATEST = 0.1, 40.0
"""How much of it is done late, and how many seconds later."""
LOST = 0.5
"""How much of that is given up by its driver meanwhile."""


class SharedStorage:
    """`guarded`: hosts have to be let in."""

    def __init__(self, world: "World", *, guarded: bool) -> None:
        self._world = world
        self.guarded = guarded
        self._open_to: dict[str, set[str]] = {}  # hosts, by volume
        self.made: set[str] = set()
        self._made_at: dict[str, float] = {}  # at the latest, by volume

    def lets_in(self, volume_id: str, host: str) -> bool:
        """Whether it takes what the host writes."""
        return not self.guarded or host in self._open_to.get(volume_id, ())

    def obey(self, order: Order) -> None:
        """It does so at once."""
        hosts = self._open_to.setdefault(order.volume.id, set())
        if order.verb == Order.VERB_OPEN:
            hosts.add(order.host_id)
        elif order.verb == Order.VERB_CREATE:
            self.made.add(order.volume.id)
        elif order.verb == Order.VERB_DELETE:
            self.made.discard(order.volume.id)
        else:
            hosts.discard(order.host_id)
        self._world.note("the storage obeys order {}", order.id)
        self._world.checks.one_writer(order.volume.id)

    async def serve(self, host: "Host", channel: grpc.aio.Channel) -> NoReturn:
        """Takes orders for the driver of a host until it is cancelled or fails."""
        stub = volume_pb2_grpc.VolumeBrokerStub(channel)
        async for order in stub.Listen(volume_pb2.ListenVolumesRequest()):
            if not order.close:
                await self._carry_out(host, stub, order)
        raise AssertionError("the stream of orders ended without a reason")

    async def _carry_out(
        self, host: "Host", stub: "volume_pb2_grpc.VolumeBrokerAsyncStub", order: Order
    ) -> None:
        random = self._world.random
        is_slow = random.random() < SLOW
        delay = random.uniform(0.0, LATEST if is_slow else 0.5)
        if order.verb == Order.VERB_CREATE:
            now = self._world.loop.time()
            delay = max(delay, self._made_at.get(order.volume.id, now) - now)
            self._made_at[order.volume.id] = now + delay
        self._world.network.later(delay, self.obey, order)
        report = Report(order_id=order.id)
        if is_slow and random.random() < LOST:
            delay *= random.random()
            report.error = "it took too long"
        elif order.verb == Order.VERB_CREATE:
            report.made.handle = order.volume.name
        await asyncio.sleep(delay + 0.01)
        try:
            await stub.Report(report, timeout=5.0)
        except grpc.aio.AioRpcError as error:
            self._world.note("{} may not report {}: {}", host.name, order.id, error.details())
