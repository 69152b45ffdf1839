"""Hosts of one swarm within the process of a test, by name."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

from api.identity import Credentials, make_csr
from api.times import duration
from api.v1 import host_pb2, objects_pb2, specs_pb2, types_pb2
from hostkit.clock import wall
from manager.ca.authority import sign
from swarmctl.founding import found_swarm
from swarmctl.joining import Joiner
from tests.support.inner_host import LIMIT, Host

MANAGER, WORKER = types_pb2.NODE_ROLE_MANAGER, types_pb2.NODE_ROLE_WORKER
DAY = 86400.0


class Swarm:
    """Hosts by name. The first is its founder, `m1`."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.hosts: dict[str, Host] = {}
        self.cluster = objects_pb2.Cluster()
        """As it was founded: with its root, its tokens and its unlock key."""

    def __getitem__(self, name: str) -> Host:
        return self.hosts[name]

    def add(self, name: str) -> Host:
        """A host that is in no swarm yet; it takes the place of one of the same name."""
        host = self.hosts[name] = Host(self._folder / name)
        return host

    async def found(self, *, autolock: bool = False, heartbeat: float = 0.0) -> None:
        """Makes the swarm; `heartbeat`: seconds, 0: as by default."""
        host = self.add("m1")
        spec = specs_pb2.ClusterSpec(autolock=autolock)
        if heartbeat:
            spec.heartbeat_period.CopyFrom(duration(heartbeat))
        request = host_pb2.InitSwarmRequest(spec=spec)
        place = found_swarm(request, address=host.address, listen=host.address)
        self.cluster.CopyFrom(place.first.cluster)
        await host.enter(*place)

    async def join(self, name: str, *, manager: bool) -> Host:
        """Another host, by the token of its role."""
        host = self.add(name)
        root = self.cluster.root_ca
        request = host_pb2.JoinSwarmRequest(
            token=root.manager_token if manager else root.worker_token,
            managers=[each.present.membership.advertise_address for each in self.managers()],
        )
        await host.enter(*await Joiner().join(request, address=host.address, listen=host.address))
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

    def expire(self, host: Host) -> None:
        """Puts a certificate that was good for 90 days until ten days ago in place of the one on
        the disk; for the same key, of the root that the swarm began with.
        """
        found = host.memberships.load()
        assert found is not None
        membership, key = found[0], found[1].key_pem
        certificate = sign(
            self.cluster.root_ca,
            make_csr(key),
            node_id=membership.node_id,
            role="manager" if membership.manager else "worker",
            cluster_id=membership.cluster_id,
            now=wall() - 100 * DAY,
            expiry=90 * DAY,
        )
        root = self.cluster.root_ca.certificate_pem
        host.memberships.save_credentials(Credentials(key, certificate, root))
        assert host.valid_until() < wall()

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

    async def full(self, count: int) -> None:
        """Waits until so many managers have their vote, and the nodes tell of it."""
        await self.until(self.leader)
        leader = self.leader()
        assert leader is not None
        await self.until(lambda: leader.voters() == count)
        for each in self.managers():
            await self.until_manager_status(leader, each.node_id, True)

    async def stop(self) -> None:
        """Stops every host."""
        await asyncio.gather(*(host.stop() for host in self.hosts.values()))


@asynccontextmanager
async def swarm(
    folder: Path,
    *,
    managers: int = 1,
    workers: int = 0,
    autolock: bool = False,
    heartbeat: float = 0.0,
) -> AsyncIterator[Swarm]:
    """A swarm of hosts m1, m2 ... which all vote, and w1, w2 ...: stopped at the end.

    Nothing may have failed.
    """
    made = Swarm(folder)
    try:
        async with asyncio.timeout(2 * LIMIT):
            await made.found(autolock=autolock, heartbeat=heartbeat)
            for number in range(2, managers + 1):
                await made.join(f"m{number}", manager=True)
            await made.full(managers)
            for number in range(1, workers + 1):
                await made.join(f"w{number}", manager=False)
            yield made
    finally:
        await made.stop()
    assert {name: host.failures for name, host in made.hosts.items() if host.failures} == {}
