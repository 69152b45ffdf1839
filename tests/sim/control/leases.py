"""How a simulated host keeps leases of volumes, by the rules of the contract: in the place of its
guardians, which outlive the agent and do not stand still with it.
"""

import asyncio
from collections.abc import Callable, Collection
from random import Random
from typing import TYPE_CHECKING, Any, NoReturn

import grpc

from api.times import seconds_of
from api.v1 import dispatcher_pb2, dispatcher_pb2_grpc, objects_pb2, volume_pb2
from tests.sim.control.calls import Call, Channel

if TYPE_CHECKING:
    from tests.sim.control.host import Host

Message = dispatcher_pb2.AssignmentsMessage
Change = dispatcher_pb2.AssignmentChange
Key = tuple[str, int]
"""A volume's id, and an epoch."""

SKEW = 0.04
TICKS = 2**20
"""Of a clock, in a second."""
PAUSE = 0.2


class LeaseKeeper:
    """The leases of one host. `clock` only runs forward, at a pace of its own."""

    def __init__(self, host: "Host", seed: int) -> None:
        self._host = host
        self._world = host.world
        self._pace = 1 + Random(f"{seed} {host.name}").uniform(-SKEW, SKEW)
        self.session_id = ""
        self._told: dict[Key, tuple[float, int]] = {}  # term and version
        self._lost: dict[Key, float] = {}
        self._until: dict[Key, float] = {}
        self._unsaid: dict[Key, None] = {}
        self._pending: list[tuple[Key, float]] = []

    def clock(self) -> float:
        """What the host's clock shows, in ticks: else waits by it would shrink without end."""
        return int(self._world.loop.time() * self._pace * TICKS) / TICKS

    def may_write(self, volume_id: str) -> bool:
        """Whether anything here may."""
        return any(k[0] == volume_id and at > self.clock() for k, at in self._until.items())

    def has_all(self, task: objects_pb2.Task) -> bool:
        """Whether the task may start."""
        keys = [(each.volume_id, each.epoch) for each in task.volumes]
        return all(self._until.get(key, 0.0) > self.clock() for key in keys)

    def follow(self, message: Message) -> None:
        """What the node is told."""
        items = [each for each in message.changes if each.WhichOneof("item") == "volume"]
        if message.type == Message.TYPE_COMPLETE:
            self._lose(lambda key: key not in {_key(each) for each in items})
        for change in items:
            key = _key(change)
            if change.action == Change.ACTION_UPDATE:
                self._lose(lambda other, key=key: other[0] == key[0] and other != key)  # type: ignore[misc]
                self._pending.append((key, seconds_of(change.volume.term)))
            elif key[1]:
                if key in self._lost:
                    self._pending.append((key, self._lost.pop(key)))
                self._let_go(key)
            else:
                self._lose(lambda other, key=key: other[0] == key[0])  # type: ignore[misc]
        if message.version:
            for key, term in self._pending:
                self._told[key] = term, message.version
            self._pending.clear()

    def renewed(self, sent: float, applied: int) -> None:
        """A manager said so, in answer to a heartbeat that was sent at this moment."""
        for key, (term, version) in self._told.items():
            if version <= applied:
                self._until[key] = max(sent + term, self._until.get(key, 0.0))
                delay = (self._until[key] - self.clock()) / self._pace
                self._world.network.later(max(0.0, delay), self._look, key)
                self._world.checks.one_writer(key[0])

    def lose_power(self) -> None:
        """Nothing is left."""
        for held in (self._told, self._lost, self._until, self._unsaid, self._pending):
            held.clear()

    async def say(self, channel: grpc.aio.Channel) -> NoReturn:
        """Tells the managers what was let go, until it is cancelled or fails."""
        stub = dispatcher_pb2_grpc.DispatcherStub(channel)
        while True:
            await asyncio.sleep(PAUSE)
            said = list(self._unsaid)
            if said:
                words = [volume_pb2.NodeVolumeStatus(volume_id=v, epoch=e) for v, e in said]
                await stub.UpdateVolumeStatus(
                    dispatcher_pb2.UpdateVolumeStatusRequest(
                        session_id=self.session_id, updates=words
                    ),
                    timeout=5.0,
                )
                for key in said:
                    self._unsaid.pop(key, None)

    def _lose(self, is_lost: Callable[[Key], bool]) -> None:
        for key in [each for each in self._told if is_lost(each)]:
            self._lost[key] = self._told.pop(key)[0]
            self._let_go(key)

    def _let_go(self, key: Key) -> None:
        """Once nothing uses it, nor the volume by an older lease; the agent stops the tasks."""
        if any(
            k[0] == key[0] and k[1] < key[1] and u > self.clock() for k, u in self._until.items()
        ):
            self._world.network.later(PAUSE, self._let_go, key)
            return
        if any(_uses(each.task, key) for each in self._running()):
            if self._until.get(key, 0.0) > self.clock():
                self._world.network.later(PAUSE, self._let_go, key)
                return
            self._kill(key)
        for held in (self._told, self._lost, self._until):
            held.pop(key, None)
        self._unsaid[key] = None

    def _look(self, key: Key) -> None:
        """The timer of the kernel: what has no lease does not write."""
        if self._until.get(key, 0.0) <= self.clock() + 1e-6:
            self._until.pop(key, None)
            self._kill(key)

    def _kill(self, key: Key) -> None:
        for container in self._running():
            if _uses(container.task, key):
                self._world.note("{}: the lease of {} is over", self._host.name, key)
                self._host.kill_container(container)

    def _running(self) -> Collection[Any]:
        return [each for each in self._host.containers.values() if each.running]


class LeasedChannel(Channel):
    """An agent's channel: notes when heartbeats were sent, and what they renewed."""

    keeper: LeaseKeeper

    def _method(self, path: str, serialize: Any, deserialize: Any) -> Callable[..., Call]:
        begin = super()._method(path, serialize, deserialize)
        if not path.endswith("/Heartbeat"):
            return begin

        def beat(request: dispatcher_pb2.HeartbeatRequest, **named: Any) -> Call:
            sent = self.keeper.clock()
            call = begin(request, **named)

            def answered(done: asyncio.Future[None]) -> None:
                was_answered = not done.cancelled() and done.exception() is None
                if was_answered and call.answer.leases_renewed:
                    self.keeper.renewed(counts_from(self.keeper, sent), request.applied)

            call.done.add_done_callback(answered)
            return call

        return beat


def counts_from(keeper: LeaseKeeper, sent: float) -> float:
    """The moment from which a renewal lasts: that of sending."""
    return sent


def _key(change: Change) -> Key:
    return change.volume.id, change.volume.epoch


def _uses(task: objects_pb2.Task, key: Key) -> bool:
    return any((each.volume_id, each.epoch) == key for each in task.volumes)
