"""Hosts of one swarm in this process: each a state directory and the life that goes on in it."""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

from api.channel import node_channel
from api.enroll import enroll
from api.identity import Credentials
from api.v1 import (
    control_pb2,
    control_pb2_grpc,
    host_pb2,
    objects_pb2,
    specs_pb2,
    types_pb2,
)
from manager.ca.bootstrap import FirstObjects
from manager.restoring import Restored
from manager.server import Manager
from swarmctl import safe
from swarmctl.founding import found_swarm
from swarmctl.life import Life
from swarmctl.locked import LockedLife
from swarmctl.membership import Membership, MembershipStore
from swarmctl.recovery import Recovery
from swarmctl.safe import NodeSafe
from swarmctl.switch import Switch
from tests.support.fake_executor import FakeExecutor
from tests.support.ports import free_pair

LIMIT = 60.0


class LivingHost:
    """A host that founds, joins or restores a swarm, stops, and begins again."""

    def __init__(self, state_dir: Path) -> None:
        self.state_dir = state_dir
        self.memberships = MembershipStore(state_dir)
        self.address = f"127.0.0.1:{free_pair()}"
        self.executor = FakeExecutor()
        self.failures: list[BaseException] = []
        self.present: Life | LockedLife | None = None
        self.recovery = Recovery(
            self.memberships, new_life=self.new_life, begun=self._begun, failed=self._failed
        )

    @property
    def life(self) -> Life:
        assert isinstance(self.present, Life)
        return self.present

    @property
    def manager(self) -> Manager:
        assert self.life.manager is not None
        return self.life.manager

    @property
    def node_id(self) -> str:
        return self.life.membership.node_id

    async def found(self, *, autolock: bool = False) -> FirstObjects:
        spec = specs_pb2.ClusterSpec(autolock=autolock)
        spec.heartbeat_period.FromMilliseconds(300)
        request = host_pb2.InitSwarmRequest(spec=spec)
        made = found_swarm(request, address=self.address, listen=self.address)
        await self.enter(made.membership, made.credentials, made.first)
        return made.first

    async def join(self, token: str, manager: str) -> None:
        joined = await enroll([manager], token)
        membership = Membership(
            node_id=joined.node_id,
            cluster_id=joined.cluster_id,
            manager=joined.role == "manager",
            advertise_address=self.address,
            listen_address=self.address,
            managers=(manager,),
        )
        await self.enter(membership, joined.credentials, None)

    async def enter(
        self,
        membership: Membership,
        credentials: Credentials,
        first: FirstObjects | Restored | None,
    ) -> None:
        """As swarmctl.node.Node does it."""
        kek = None if first is None else first.cluster.unlock_key or None
        kept = safe.made(self.memberships, credentials, manager=membership.manager, kek=kek)
        life = self.new_life(membership, kept)
        try:
            await life.prepare(first, joining=first is None)
        except BaseException:
            await life.stop()
            raise
        self.memberships.save(membership)
        life.begin()
        self.present = life

    async def start(self, kek: bytes | None = None) -> None:
        """Goes on with what is on the disk."""
        membership = self.memberships.read()
        assert membership is not None
        life = self.new_life(membership, safe.found(self.memberships, membership, kek))
        await life.prepare(None)
        life.begin()
        self.present = life

    async def stop(self) -> None:
        if self.present is not None:
            await self.present.stop()

    def new_life(self, membership: Membership, kept: NodeSafe) -> Life:
        return Life(
            membership,
            kept,
            executor=self.executor,
            memberships=self.memberships,
            state_dir=self.state_dir,
            switch=Switch(),
            failed=self._failed,
        )

    @asynccontextmanager
    async def control(self) -> AsyncIterator["control_pb2_grpc.ControlAsyncStub"]:
        """Calls to this very manager, by itself."""
        address = self.life.membership.listen_address
        async with node_channel(address, self.life.safe.credentials) as channel:
            yield control_pb2_grpc.ControlStub(channel)

    async def create(self, name: str) -> None:
        """A service without tasks."""
        spec = specs_pb2.ServiceSpec(replicated=specs_pb2.ReplicatedMode())
        spec.annotations.name = name
        spec.task.container.image = "box"
        async with self.control() as control:
            request = control_pb2.CreateServiceRequest(spec=spec, request_id=name)
            await control.CreateService(request, timeout=LIMIT)

    async def make_manager(self, node_id: str) -> None:
        """`node promote`."""
        async with self.control() as control:
            node = await control.GetNode(control_pb2.GetRequest(key=node_id), timeout=LIMIT)
            request = control_pb2.UpdateNodeRequest(
                key=node_id, spec=node.spec, version=node.meta.version, request_id=f"up{node_id}"
            )
            request.spec.role = types_pb2.NODE_ROLE_MANAGER
            await control.UpdateNode(request, timeout=LIMIT)

    def services(self) -> list[str]:
        return sorted(
            each.spec.annotations.name for each in self.manager.store.all(objects_pb2.Service)
        )

    def node(self, node_id: str) -> objects_pb2.Node:
        found = self.manager.store.get(objects_pb2.Node, node_id)
        assert found is not None
        return found

    def voters(self) -> int:
        return len(self.manager.node.status().config.voters.ids())

    def _begun(self, life: Life) -> None:
        self.present = life

    def _failed(self, error: BaseException) -> None:
        self.failures.append(error)


async def until(condition: Callable[[], bool], what: str) -> None:
    try:
        async with asyncio.timeout(LIMIT):
            while not condition():  # noqa: ASYNC110 - several processes' worth of state
                await asyncio.sleep(0.02)
    except TimeoutError:
        raise AssertionError(f"never: {what}") from None


@asynccontextmanager
async def managers(folder: Path, number: int) -> AsyncIterator[Sequence[LivingHost]]:
    """So many managers, all of which vote; the first has founded the swarm."""
    hosts = [LivingHost(folder / f"m{index}") for index in range(number)]
    try:
        first = await hosts[0].found()
        token = first.cluster.root_ca.manager_token
        for index, host in enumerate(hosts[1:], 2):
            await host.join(token, hosts[0].address)
            wanted = index
            await until(lambda: hosts[0].voters() == wanted, f"{wanted} managers vote")  # noqa: B023
        yield hosts
    finally:
        for host in hosts:
            await host.stop()
