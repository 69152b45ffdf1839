"""Data of volumes on its way: managers' services over gRPC, agents' halves, and real folders."""

import asyncio
import json
import os
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from pathlib import Path
from random import Random
from typing import Any

import grpc
import pytest

from api.errors import Code, SwarmError
from api.identity import Role
from api.serving import Caller, Context, ErrorInterceptor, guarded, set_caller
from api.status import from_grpc
from api.v1 import control_pb2, objects_pb2, volume_pb2, volume_pb2_grpc
from hostkit.clock import boot, monotonic, wall
from manager.control.volume_broker import VolumeBrokerService
from manager.control.volume_data import VolumeData, VolumeDataService
from manager.control.volume_moves import VolumeMoves
from manager.control.volume_orders import VolumeOrders
from manager.state.changes import copy, create, update
from manager.state.volumes import why_closed
from manager.state.watch import WatchHub
from tests.support.builders import node, volume
from tests.support.counter import counter
from tests.support.direct_proposer import DirectProposer
from tests.support.plain_mount import VolumeBox
from tests.support.rpc import LIMIT, write
from tests.support.sealed_store import SealedStore
from tests.support.until import until
from worker.volume_orders import OrderServer
from worker.volumes import Volumes

pytestmark = pytest.mark.root

Piece = volume_pb2.VolumePiece
Volume = objects_pb2.Volume
NODES = ("n1", "n2")
CONTENT = Random(1).randbytes(2_000_000)


class Agent:
    """A node's half: it listens while it is on."""

    def __init__(self, box: VolumeBox) -> None:
        self.box = box

    @asynccontextmanager
    async def on(self, channel: grpc.aio.Channel) -> AsyncIterator[None]:
        async with self.box.recovered() as host:
            server = OrderServer(Volumes(host, boot), Random(1))
            serving = asyncio.create_task(server.serve(channel))
            try:
                yield
            finally:
                serving.cancel()
                await asyncio.gather(serving, return_exceptions=True)

    def folder(self, volume_: Volume) -> Path:
        """Where driver local has its data on this node."""
        name = f"{volume_.id}.{volume_.generation}" if volume_.generation else volume_.id
        return self.box.root / "volumes" / name / "_data"

    def volumes(self) -> list[str]:
        """All that the driver has."""
        root = self.box.root / "volumes"
        return sorted(os.listdir(root)) if root.exists() else []


class World:
    """A store, two nodes, and a volume `data` whose home is the first."""

    def __init__(self, root: Path) -> None:
        self.store, self.hub = SealedStore(), WatchHub()
        self.proposer = DirectProposer(self.store, wall, self.hub)
        self.ids = counter("id-")
        self.agents = {
            name: Agent(VolumeBox(root / name, f"/test-{name}-{os.getpid()}")) for name in NODES
        }
        self.moves = VolumeMoves(self.store, self.proposer, self.ids)
        self.stub: Any = None

    async def begin(self) -> None:
        made = volume("data", driver="local", home="n1")
        await write(self.proposer, *(create(_host(name)) for name in NODES), create(made))
        folder = self.agents["n1"].folder(self.the())
        folder.mkdir(parents=True)
        definition = {"options": {}, "labels": {}, "created_at": "2026-01-01T00:00:00Z"}
        (folder.parent / "volume.json").write_text(json.dumps(definition))
        (folder / "file").write_bytes(CONTENT)

    @asynccontextmanager
    async def leader(self, *on: str) -> AsyncIterator[None]:
        """A manager that knows nothing but the state leads; these nodes have agents."""
        orders = VolumeOrders(
            store=self.store,
            hub=self.hub,
            proposer=self.proposer,
            monotonic=monotonic,
            ids=self.ids,
        )
        data = VolumeData(self.store, orders)
        broker = VolumeBrokerService(data)
        service = VolumeDataService(data, self.moves, self.hub)
        leading = asyncio.create_task(orders.run())
        async with AsyncExitStack() as stack:
            channel = await stack.enter_async_context(_served("o", "operator", broker, service))
            self.stub = volume_pb2_grpc.VolumeDataStub(channel)
            for name in on:
                channel = await stack.enter_async_context(_served(name, "worker", broker, service))
                await stack.enter_async_context(self.agents[name].on(channel))
            try:
                yield
            finally:
                leading.cancel()
                await asyncio.gather(leading, return_exceptions=True)
                data.end()
                orders.end()

    def the(self, name: str = "data") -> Volume:
        found = self.store.named(Volume, name)
        assert found is not None
        return found

    async def put(self, changed: Volume) -> None:
        await write(self.proposer, update(changed))

    async def hold(self) -> None:
        """A task on n1 has it."""
        held = copy(self.the())
        held.epoch += 1
        held.holders.add(node_id="n1", epoch=held.epoch)
        await self.put(held)

    async def let_go(self) -> None:
        free = copy(self.the())
        del free.holders[:]
        await self.put(free)

    async def migrate(self, node_key: str) -> None:
        request = control_pb2.MigrateVolumeRequest(
            key="data", node_key=node_key, request_id=self.ids()
        )
        await self.moves.migrate(request)

    async def backup(self, **options: bool) -> bytes:
        request = volume_pb2.BackupVolumeRequest(key="data", **options)
        found, is_whole = [], False
        async for piece in self.stub.Backup(request):
            found.append(piece.data)
            is_whole = piece.WhichOneof("kind") == "end"
        assert is_whole
        return b"".join(found)

    async def restore(self, archive: bytes, name: str = "copy", node_key: str = "n2") -> Volume:
        head = volume_pb2.RestoreVolumeHead(node_key=node_key)
        head.spec.annotations.name = name

        async def messages() -> AsyncIterator[volume_pb2.RestoreVolumeRequest]:
            yield volume_pb2.RestoreVolumeRequest(head=head)
            for start in range(0, len(archive), 100_000):
                part = Piece(data=archive[start : start + 100_000])
                yield volume_pb2.RestoreVolumeRequest(piece=part)
            yield volume_pb2.RestoreVolumeRequest(piece=Piece(end=volume_pb2.VolumeEnd()))

        async for answer in self.stub.Restore(messages()):
            made: Volume = answer.volume
            return made
        raise AssertionError

    async def refused(self, call: Awaitable[object]) -> SwarmError:
        try:
            answer = await call
        except grpc.aio.AioRpcError as error:
            return from_grpc(error, "the call")
        except SwarmError as error:
            return error
        raise AssertionError(f"answered {answer}")


def _host(name: str) -> objects_pb2.Node:
    made = node(name)
    made.description.volume_drivers.add(name="local", local=True)
    return made


class _As(grpc.aio.ServerInterceptor):
    """Whoever calls is this one."""

    def __init__(self, name: str, role: Role) -> None:
        self._caller = Caller(role=role, id=name, cluster_id="cluster", via="tls")

    async def intercept_service(
        self,
        continuation: Callable[[grpc.HandlerCallDetails], Awaitable[Any]],
        handler_call_details: grpc.HandlerCallDetails,
    ) -> Any:
        return guarded(await continuation(handler_call_details), self._let_in)

    @asynccontextmanager
    async def _let_in(self, context: Context) -> AsyncIterator[None]:
        set_caller(self._caller)
        yield


@asynccontextmanager
async def _served(
    name: str, role: Role, broker: VolumeBrokerService, service: VolumeDataService
) -> AsyncIterator[grpc.aio.Channel]:
    server = grpc.aio.server(interceptors=[ErrorInterceptor(), _As(name, role)])
    volume_pb2_grpc.add_VolumeBrokerServicer_to_server(broker, server)
    volume_pb2_grpc.add_VolumeDataServicer_to_server(service, server)
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    try:
        async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
            yield channel
    finally:
        await server.stop(None)


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    made = World(tmp_path)
    try:
        yield made
    finally:
        for agent in made.agents.values():
            agent.box.clear()


def run(world: World, scenario: Callable[[], Awaitable[None]], *on: str) -> None:
    async def limited() -> None:
        await world.begin()
        async with asyncio.timeout(2 * LIMIT), world.leader(*on):
            await scenario()

    asyncio.run(limited())


def test_a_volume_moves_and_only_then_the_former_copy_goes(world: World) -> None:
    async def scenario() -> None:
        await world.hold()
        await world.migrate("n2")
        assert world.the().home == "n1"
        await world.let_go()
        await until(lambda: not world.the().HasField("transfer"))
        assert world.the().home == "n2"
        assert (world.agents["n2"].folder(world.the()) / "file").read_bytes() == CONTENT
        assert world.agents["n1"].volumes() == []
        assert len(world.agents["n2"].volumes()) == 1

    run(world, scenario, *NODES)


def test_a_move_waits_for_nodes_and_goes_on_under_another_leader(world: World) -> None:
    async def scenario() -> None:
        await world.begin()
        async with asyncio.timeout(2 * LIMIT):
            async with world.leader("n2"):
                await world.migrate("n2")
                await until(lambda: bool(world.the().transfer.error))
                assert "node n1 does not answer" in world.the().transfer.error
            async with world.leader(*NODES):
                await until(lambda: world.the().home == "n2")
            async with world.leader("n1"):
                await until(lambda: not world.the().HasField("transfer"))
        assert world.agents["n1"].volumes() == []
        assert (world.agents["n2"].folder(world.the()) / "file").read_bytes() == CONTENT

    asyncio.run(scenario())


def test_a_move_is_given_up(world: World) -> None:
    async def scenario() -> None:
        await world.hold()
        await world.migrate("n2")
        assert (await world.refused(world.backup())).code is Code.REFUSED
        await world.migrate("")
        await world.let_go()
        await until(lambda: not world.the().HasField("transfer"))
        assert world.the().home == "n1"
        assert world.agents["n2"].volumes() == []

    run(world, scenario, *NODES)


def test_what_was_saved_comes_back_on_another_node(world: World) -> None:
    async def scenario() -> None:
        made = await world.restore(await world.backup())
        assert (made.home, made.HasField("transfer")) == ("n2", False)
        assert (world.agents["n2"].folder(made) / "file").read_bytes() == CONTENT
        assert world.the() == world.the("data")
        assert not world.the().HasField("transfer")
        refusal = await world.refused(world.restore(b"", "copy"))
        assert refusal.code is Code.EXISTS

    run(world, scenario, *NODES)


def test_what_is_damaged_leaves_neither_volume_nor_data(world: World) -> None:
    async def scenario() -> None:
        archive = await world.backup()
        refusal = await world.refused(world.restore(archive[:-1000]))
        assert "cannot be filled" in refusal.why
        await until(lambda: world.store.named(Volume, "copy") is None)
        assert world.agents["n2"].volumes() == []

    run(world, scenario, *NODES)


def test_nobody_saves_what_tasks_have_unless_he_says_how(world: World) -> None:
    async def scenario() -> None:
        await world.hold()
        refusal = await world.refused(world.backup())
        assert refusal.code is Code.REFUSED
        assert "--stop" in refusal.remedy
        assert await world.backup(live=True)
        stopping = asyncio.create_task(world.backup(stop=True))
        await until(lambda: world.the().HasField("transfer"))
        assert why_closed(world.the()) == "is being saved"
        await world.let_go()
        assert await stopping
        await until(lambda: not world.the().HasField("transfer"))

    run(world, scenario, *NODES)


def test_an_operator_who_leaves_keeps_nobody_from_the_volume(world: World) -> None:
    async def scenario() -> None:
        await world.hold()
        request = volume_pb2.BackupVolumeRequest(key="data", stop=True)
        call = world.stub.Backup(request)
        reading = asyncio.create_task(call.read())
        await until(lambda: world.the().HasField("transfer"))
        call.cancel()
        with suppress(asyncio.CancelledError):
            await reading
        await until(lambda: not world.the().HasField("transfer"))

    run(world, scenario, *NODES)


def test_a_restore_whose_leader_fell_leaves_nothing(world: World) -> None:
    async def scenario() -> None:
        await world.begin()
        async with asyncio.timeout(2 * LIMIT):
            async with world.leader("n1"):
                head = volume_pb2.RestoreVolumeHead(node_key="n2")
                head.spec.annotations.name = "copy"
                await world.moves.restore(head)
            async with world.leader(*NODES):
                await until(lambda: world.store.named(Volume, "copy") is None)
        assert world.agents["n2"].volumes() == []

    asyncio.run(scenario())


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda v: setattr(v.spec, "driver", "sshfs"), "of driver sshfs"),
        (lambda v: v.spec.driver_options.update(device="/dev/sdb"), "not in its folder"),
        (lambda v: setattr(v, "removing", True), "is being removed"),
        (lambda v: setattr(v, "home", ""), "cannot be saved"),
        (lambda v: setattr(v, "home", "n9"), "cannot be saved"),
    ],
)
def test_what_cannot_be_saved_is_refused(
    world: World, change: Callable[[Volume], object], words: str
) -> None:
    async def scenario() -> None:
        changed = copy(world.the())
        change(changed)
        await world.put(changed)
        assert words in (await world.refused(world.backup())).what

    run(world, scenario)
