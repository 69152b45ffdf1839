"""Hosts of one swarm within the process of a test: real managers on loopback, agents without
containers.
"""

import asyncio
import secrets
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import grpc

from api.channel import node_channel
from api.enroll import enroll
from api.identity import Credentials, make_csr, new_key
from api.v1 import control_pb2, control_pb2_grpc, objects_pb2, specs_pb2, types_pb2
from hostkit.clock import wall
from manager.ca.bootstrap import FirstObjects, first_objects
from swarmctl import safe
from swarmctl.life import Life
from swarmctl.membership import Membership, MembershipStore
from swarmctl.switch import Switch
from tests.support.counter import counter
from tests.support.fake_executor import FakeExecutor
from tests.support.ports import free_pair

MANAGER, WORKER = types_pb2.NODE_ROLE_MANAGER, types_pb2.NODE_ROLE_WORKER
LIMIT = 60.0


class Host:
    """A state directory and the life in it."""

    def __init__(self, state_dir: Path) -> None:
        self.memberships = MembershipStore(state_dir)
        self.state_dir = state_dir
        self.switch = Switch()
        self.executor = FakeExecutor()
        self.failures: list[BaseException] = []
        self.life: Life | None = None
        self._request_ids = counter(f"{state_dir.name}-")

    async def begin(
        self,
        membership: Membership,
        credentials: Credentials,
        first: FirstObjects | None = None,
        *,
        joining: bool,
    ) -> None:
        """A new life with these credentials."""
        kept = safe.made(self.memberships, credentials, manager=membership.manager)
        await self._live(membership, kept, first, joining=joining)
        self.memberships.save(membership)

    async def resume(self) -> None:
        """Goes on after `stop`."""
        membership = self.memberships.read()
        assert membership is not None
        await self._live(membership, safe.found(self.memberships, membership), None, joining=False)

    async def _live(
        self,
        membership: Membership,
        kept: safe.NodeSafe,
        first: FirstObjects | None,
        *,
        joining: bool,
    ) -> None:
        self.life = Life(
            membership,
            kept,
            executor=self.executor,
            memberships=self.memberships,
            state_dir=self.state_dir,
            switch=self.switch,
            failed=self.failures.append,
        )
        await self.life.prepare(first, joining=joining)
        self.life.begin()

    async def stop(self) -> None:
        """In order, as when the daemon is told to end."""
        life, self.life = self.life, None
        if life is not None:
            await life.stop()

    @property
    def present(self) -> Life:
        """The life; it must have begun."""
        assert self.life is not None
        return self.life

    @property
    def node_id(self) -> str:
        """Of this host."""
        return self.present.membership.node_id

    @asynccontextmanager
    async def control(self) -> AsyncIterator[Any]:
        """The Control service of this very manager, called as a manager."""
        found = self.memberships.load()
        assert found is not None
        membership, credentials = found
        channel: grpc.aio.Channel = node_channel(membership.advertise_address, credentials)
        async with channel:
            yield control_pb2_grpc.ControlStub(channel)

    async def create(self, name: str) -> objects_pb2.Service:
        """A service without tasks, through this manager."""
        spec = specs_pb2.ServiceSpec(annotations=types_pb2.Annotations(name=name))
        spec.replicated.replicas = 0
        spec.task.container.image = "app:1"
        request = control_pb2.CreateServiceRequest(spec=spec, request_id=self._request_ids())
        async with self.control() as control:
            made: objects_pb2.Service = await control.CreateService(request, timeout=20)
            return made

    async def services(self) -> set[str]:
        """Names of all services, as this manager reads them."""
        async with self.control() as control:
            answer = await control.ListServices(control_pb2.ListServicesRequest(), timeout=20)
            return {each.spec.annotations.name for each in answer.services}

    async def node(self, node_id: str) -> objects_pb2.Node:
        """A node, as this manager reads it."""
        async with self.control() as control:
            found: objects_pb2.Node = await control.GetNode(
                control_pb2.GetRequest(key=node_id), timeout=20
            )
            return found

    async def set_role(self, node_id: str, role: types_pb2.NodeRole.ValueType) -> None:
        """`node promote` or `node demote`, through this manager; again if somebody came between."""
        async with self.control() as control:
            while True:
                node = await self.node(node_id)
                request = control_pb2.UpdateNodeRequest(
                    key=node_id,
                    spec=node.spec,
                    version=node.meta.version,
                    request_id=self._request_ids(),
                )
                request.spec.role = role
                try:
                    await control.UpdateNode(request, timeout=20)
                except grpc.aio.AioRpcError as error:
                    if error.code() is not grpc.StatusCode.ABORTED:
                        raise
                else:
                    return


class Swarm:
    """Hosts by name. The first is its founder, `m1`."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.hosts: dict[str, Host] = {}
        self.root = objects_pb2.RootCa()
        self.founder_address = ""

    def __getitem__(self, name: str) -> Host:
        return self.hosts[name]

    async def found(self) -> Host:
        """Makes the swarm."""
        key = new_key()
        address = f"127.0.0.1:{free_pair()}"
        first = first_objects(
            specs_pb2.ClusterSpec(),
            cluster_id="c" * 25,
            node_id="m" * 25,
            csr_pem=make_csr(key),
            now=wall(),
            secret=secrets.token_bytes,
            address=address,
        )
        self.root.CopyFrom(first.cluster.root_ca)
        self.founder_address = address
        credentials = Credentials(key, first.certificate_pem, self.root.certificate_pem)
        membership = Membership("m" * 25, "c" * 25, True, address, address, (address,))
        host = self.hosts["m1"] = Host(self._folder / "m1")
        await host.begin(membership, credentials, first, joining=False)
        return host

    async def join(self, name: str, *, manager: bool) -> Host:
        """Another host, by the token of its role."""
        token = self.root.manager_token if manager else self.root.worker_token
        host = self.hosts[name] = Host(self._folder / name)
        address = f"127.0.0.1:{free_pair()}"
        via = [
            each.present.membership.advertise_address
            for each in self.hosts.values()
            if each.life is not None and each.present.membership.manager
        ]
        joined = await enroll(via, token)
        membership = Membership(
            joined.node_id, joined.cluster_id, manager, address, address, tuple(via)
        )
        await host.begin(membership, joined.credentials, joining=manager)
        return host

    def managers(self) -> list[Host]:
        """Those that live and are managers."""
        return [
            each
            for each in self.hosts.values()
            if each.life is not None and each.present.membership.manager
        ]

    def leader(self) -> Host | None:
        """The manager that leads, by its own account."""
        for each in self.managers():
            manager = each.present.manager
            if manager is not None and manager.node.is_leader:
                return each
        return None

    async def until(self, condition: Callable[[], object]) -> None:
        """Waits until it holds."""
        async with asyncio.timeout(LIMIT):
            while not condition():  # noqa: ASYNC110 - parts of several hosts, which tell nobody
                await asyncio.sleep(0.02)

    async def until_manager_status(self, through: Host, node_id: str, present: bool) -> None:
        """Waits until a node has a ManagerStatus, or has none any more."""
        async with asyncio.timeout(LIMIT):
            while (await through.node(node_id)).HasField("manager") != present:  # noqa: ASYNC110
                await asyncio.sleep(0.05)

    async def stop(self) -> None:
        """Stops every host."""
        await asyncio.gather(*(host.stop() for host in self.hosts.values()))


@asynccontextmanager
async def swarm(folder: Path, *, managers: int = 1, workers: int = 0) -> AsyncIterator[Swarm]:
    """A swarm of hosts m1, m2 ... and w1, w2 ..., stopped at the end; nothing may have failed."""
    made = Swarm(folder)
    try:
        async with asyncio.timeout(2 * LIMIT):
            await made.found()
            for number in range(2, managers + 1):
                await made.join(f"m{number}", manager=True)
            for number in range(1, workers + 1):
                await made.join(f"w{number}", manager=False)
            yield made
    finally:
        await made.stop()
    assert {name: host.failures for name, host in made.hosts.items() if host.failures} == {}
