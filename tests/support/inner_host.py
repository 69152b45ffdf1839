"""One host of a swarm within the process of a test: a real manager on loopback, an agent without
containers.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import grpc

from api.channel import node_channel
from api.identity import Credentials
from api.pieces import gathered
from api.v1 import control_pb2, control_pb2_grpc, objects_pb2, specs_pb2, types_pb2
from manager.ca.bootstrap import FirstObjects
from manager.control.images import no_registry
from manager.restoring import Restored
from manager.server import Manager
from swarmctl import safe
from swarmctl.host_parts import HostParts
from swarmctl.life import Life
from swarmctl.membership import Membership, MembershipStore
from swarmctl.recovery import Recovery
from swarmctl.switch import Switch
from tests.support.counter import counter
from tests.support.fake_executor import FakeExecutor
from tests.support.ports import free_pair
from worker.attachments import Attachments
from worker.node_networks import NoNetworks
from worker.node_volumes import NoVolumes

LIMIT = 60.0
"""Seconds after which what a test waits for has failed."""


class Host:
    """A state directory and the life in it, which ends and begins again."""

    def __init__(self, state_dir: Path) -> None:
        self.state_dir = state_dir
        self.memberships = MembershipStore(state_dir)
        self.address = f"127.0.0.1:{free_pair()}"
        """Where its first life as a manager is reached."""
        self.failures: list[BaseException] = []
        self.life: Life | None = None
        self.recovery = Recovery(
            self.memberships,
            new_life=self._new_life,
            begun=self._goes_on,
            failed=self.failures.append,
        )
        self._executor = FakeExecutor()
        self.switch = Switch()
        """What answers cluster calls on this host's socket."""
        self._request_ids = counter(f"{state_dir.name}-")

    async def enter(
        self,
        membership: Membership,
        credentials: Credentials,
        first: FirstObjects | Restored | None = None,
    ) -> None:
        """Takes a place in a swarm, which `first` makes or brings back."""
        kek = None if first is None else first.cluster.unlock_key or None
        kept = safe.made(self.memberships, credentials, manager=membership.manager, kek=kek)
        life = await self._prepared(membership, kept, first, joining=first is None)
        self.memberships.save(membership)
        life.begin()
        self._goes_on(life)

    async def resume(self, kek: bytes | None = None) -> None:
        """Goes on with what is on the disk, which `kek` unlocks."""
        membership = self.memberships.read()
        assert membership is not None
        life = await self._prepared(membership, safe.found(self.memberships, membership, kek))
        life.begin()
        self._goes_on(life)

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
    def manager(self) -> Manager:
        """The manager in it; this host must be one."""
        assert self.present.manager is not None
        return self.present.manager

    @property
    def node_id(self) -> str:
        """Of this host."""
        return self.present.membership.node_id

    def valid_until(self) -> float:
        """When the certificate on the disk ends."""
        found = self.memberships.load()
        assert found is not None
        return found[1].identity.not_after

    def voters(self) -> int:
        """How many managers have a vote, as far as this one knows."""
        return len(self.manager.node.status().config.voters.ids())

    def stored_services(self) -> set[str]:
        """Names of the services in this manager's own copy of the state, however old."""
        services = self.manager.store.all(objects_pb2.Service)
        return {each.spec.annotations.name for each in services}

    def stored_node(self, node_id: str) -> objects_pb2.Node:
        """A node in this manager's own copy of the state."""
        found = self.manager.store.get(objects_pb2.Node, node_id)
        assert found is not None
        return found

    @asynccontextmanager
    async def control(self) -> AsyncIterator["control_pb2_grpc.ControlAsyncStub"]:
        """The Control service of this very manager, called as a manager."""
        address = self.present.membership.listen_address
        async with node_channel(address, self.present.safe.credentials) as channel:
            yield control_pb2_grpc.ControlStub(channel)

    async def create(self, name: str) -> None:
        """A service without tasks, through this manager."""
        spec = specs_pb2.ServiceSpec(annotations=types_pb2.Annotations(name=name))
        spec.replicated.replicas = 0
        spec.task.container.image = "app:1"
        request = control_pb2.CreateServiceRequest(spec=spec, request_id=self._request_ids())
        async with self.control() as control:
            await control.CreateService(request, timeout=LIMIT)

    async def services(self) -> set[str]:
        """Names of all services, as this manager reads them."""
        async with self.control() as control:
            pieces = control.ListServices(control_pb2.ListServicesRequest(), timeout=LIMIT)
            found = await gathered(pieces, into=control_pb2.ListServicesResponse())
            return {each.spec.annotations.name for each in found.services}

    async def node(self, node_id: str) -> objects_pb2.Node:
        """A node, as this manager reads it."""
        async with self.control() as control:
            return await control.GetNode(control_pb2.GetRequest(key=node_id), timeout=LIMIT)

    async def set_role(self, node_id: str, role: types_pb2.NodeRole.ValueType) -> None:
        """`node promote` or `node demote`, through this manager; again if somebody came between."""
        while True:
            node = await self.node(node_id)
            node.spec.role = role
            request = control_pb2.UpdateNodeRequest(
                key=node_id,
                spec=node.spec,
                version=node.meta.version,
                request_id=self._request_ids(),
            )
            try:
                async with self.control() as control:
                    await control.UpdateNode(request, timeout=LIMIT)
            except grpc.aio.AioRpcError as error:
                if error.code() is not grpc.StatusCode.ABORTED:
                    raise
            else:
                return

    async def _prepared(
        self,
        membership: Membership,
        kept: safe.NodeSafe,
        first: FirstObjects | Restored | None = None,
        *,
        joining: bool = False,
    ) -> Life:
        life = self._new_life(membership, kept)
        try:
            await life.prepare(first, joining=joining)
        except BaseException:
            await life.stop()
            raise
        return life

    def _new_life(self, membership: Membership, kept: safe.NodeSafe) -> Life:
        parts = HostParts(
            executor=self._executor,
            networks=NoNetworks(),
            volumes=NoVolumes(),
            attachments=Attachments(),
            memberships=self.memberships,
            state_dir=self.state_dir,
            switch=self.switch,
            ask_registry=no_registry,
            failed=self.failures.append,
        )
        return Life(membership, kept, parts)

    def _goes_on(self, life: Life) -> None:
        self.life = life
