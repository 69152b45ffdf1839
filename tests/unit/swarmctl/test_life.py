"""A life in a swarm, with a real manager: it starts whole or not at all, and heals its identity."""

import asyncio
import secrets
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from api.enroll import enroll
from api.errors import Code, SwarmError
from api.identity import Credentials, make_csr, new_key
from api.v1 import host_pb2, objects_pb2, specs_pb2
from hostkit.clock import wall
from manager.ca.authority import sign
from manager.ca.bootstrap import FirstObjects, first_objects
from manager.control.images import no_registry
from manager.raft.durable.key_file import LockedError
from swarmctl import safe
from swarmctl.host_parts import HostParts
from swarmctl.life import Life
from swarmctl.membership import Membership, MembershipStore
from swarmctl.switch import Switch
from tests.support.fake_executor import FakeExecutor
from tests.support.ports import free_pair
from worker.attachments import Attachments
from worker.node_networks import NoNetworks
from worker.node_volumes import NoVolumes

DAY = 86400.0
LIMIT = 20.0
ACTIVE = host_pb2.SwarmInfo.STATE_ACTIVE


class Host:
    """A state directory, and the lives that were begun in it."""

    def __init__(self, state_dir: Path) -> None:
        self.state_dir = state_dir
        self.memberships = MembershipStore(state_dir)
        self.failures: list[BaseException] = []

    def life(
        self, membership: Membership, credentials: Credentials, kek: bytes | None = None
    ) -> Life:
        if self.memberships.read() is not None:
            kept = safe.found(self.memberships, membership, kek)
        else:
            kept = safe.made(self.memberships, credentials, manager=membership.manager, kek=kek)
            self.memberships.save(membership)
        parts = HostParts(
            executor=FakeExecutor(),
            networks=NoNetworks(),
            volumes=NoVolumes(),
            attachments=Attachments(),
            memberships=self.memberships,
            state_dir=self.state_dir,
            switch=Switch(),
            ask_registry=no_registry,
            failed=self.failures.append,
        )
        return Life(membership, kept, parts)


class Founder(Host):
    """The host of a swarm that was made `age` seconds ago."""

    def __init__(self, state_dir: Path, age: float = 0.0, *, autolock: bool = False) -> None:
        super().__init__(state_dir)
        key = new_key()
        address = f"127.0.0.1:{free_pair()}"
        node_id = "m" * 25
        self.first: FirstObjects = first_objects(
            specs_pb2.ClusterSpec(autolock=autolock),
            cluster_id="c" * 25,
            node_id=node_id,
            csr_pem=make_csr(key),
            now=wall() - age,
            secret=secrets.token_bytes,
            address=address,
        )
        self.kek = self.first.cluster.unlock_key or None
        self.root = objects_pb2.RootCa()
        self.root.CopyFrom(self.first.cluster.root_ca)
        self.credentials = Credentials(key, self.first.certificate_pem, self.root.certificate_pem)
        self.membership = Membership(
            node_id=node_id,
            cluster_id="c" * 25,
            manager=True,
            advertise_address=address,
            listen_address=address,
            managers=(address,),
        )

    def expired(self, node_id: str) -> Credentials:
        """A worker's credentials whose time was over yesterday."""
        key = new_key()
        certificate = sign(
            self.root,
            make_csr(key),
            node_id=node_id,
            role="worker",
            cluster_id=self.membership.cluster_id,
            now=wall() - 2 * DAY,
            expiry=DAY,
        )
        return Credentials(key, certificate, self.root.certificate_pem)

    @asynccontextmanager
    async def living(self, first: FirstObjects | None) -> AsyncIterator[Life]:
        life = self.life(self.membership, self.credentials, self.kek)
        try:
            await life.prepare(first)
            life.begin()
            yield life
        finally:
            await life.stop()


async def until_active(life: Life) -> None:
    async with asyncio.timeout(LIMIT):
        while life.info().state != ACTIVE:  # noqa: ASYNC110 - nothing else tells of it
            await asyncio.sleep(0.01)


def saved(host: Host) -> Credentials:
    found = host.memberships.load()
    assert found is not None
    return found[1]


def test_a_manager_lives_stops_twice_and_lives_again(tmp_path: Path) -> None:
    async def scenario() -> None:
        founder = Founder(tmp_path)
        for first in (founder.first, None):
            async with founder.living(first) as life:
                await until_active(life)
                assert life.complaint() == ""
                await life.stop()
        assert founder.failures == []

    asyncio.run(scenario())


def test_a_locked_manager_lives_again_with_its_key_alone(tmp_path: Path) -> None:
    async def scenario() -> None:
        founder = Founder(tmp_path, autolock=True)
        for first in (founder.first, None):
            async with founder.living(first) as life:
                await until_active(life)
            with pytest.raises(LockedError):
                safe.found(founder.memberships, founder.membership)
            found = safe.found(founder.memberships, founder.membership, founder.kek)
            assert found.credentials == founder.credentials
        assert founder.failures == []

    asyncio.run(scenario())


def test_a_manager_whose_certificate_expired_certifies_itself(tmp_path: Path) -> None:
    async def scenario() -> None:
        founder = Founder(tmp_path, age=100 * DAY)
        assert founder.credentials.identity.not_after < wall()
        async with founder.living(founder.first) as life:
            # Its agent reaches it over mutual TLS, so both sides show the new one.
            await until_active(life)
            assert life.info().certificate_expires_at.seconds > wall()
        assert saved(founder).identity.not_after > wall()

    asyncio.run(scenario())


def test_a_worker_whose_certificate_expired_gets_a_new_one(tmp_path: Path) -> None:
    async def scenario() -> None:
        founder = Founder(tmp_path / "m")
        host = Host(tmp_path / "w")
        async with founder.living(founder.first):
            token = founder.root.worker_token
            joined = await enroll([founder.membership.listen_address], token)
            worker = replace(founder.membership, node_id=joined.node_id, manager=False)
            life = host.life(worker, founder.expired(joined.node_id))
            try:
                await life.prepare(None)
                life.begin()
                await until_active(life)
            finally:
                await life.stop()
        assert saved(host).identity.not_after > wall()
        assert host.failures == []

    asyncio.run(scenario())


@pytest.mark.parametrize("offset", [0, 1])
def test_a_taken_port_is_an_error_and_a_second_try_succeeds(tmp_path: Path, offset: int) -> None:
    async def scenario() -> None:
        founder = Founder(tmp_path)
        port = int(founder.membership.listen_address.rpartition(":")[2])
        with socket.create_server(("127.0.0.1", port + offset)):
            with pytest.raises(SwarmError, match="cannot listen on") as refused:
                async with founder.living(founder.first):
                    pass
            assert refused.value.code is Code.UNAVAILABLE
            assert founder.failures == []
            founder.memberships.clear()
        async with founder.living(founder.first) as life:
            await until_active(life)

    asyncio.run(scenario())


def test_a_manager_without_its_log_does_not_pass_for_an_empty_swarm(tmp_path: Path) -> None:
    async def scenario() -> None:
        founder = Founder(tmp_path)
        with pytest.raises(SwarmError, match="is gone from"):
            async with founder.living(None):
                pass

    asyncio.run(scenario())


def test_a_damaged_log_is_refused_each_time_with_the_same_words(tmp_path: Path) -> None:
    async def scenario() -> None:
        founder = Founder(tmp_path)
        async with founder.living(founder.first):
            pass
        spoil(tmp_path / "swarm" / "manager")
        for _ in range(2):  # the second try must not find its own lock
            with pytest.raises(SwarmError, match="damaged"):
                async with founder.living(None):
                    pass

    asyncio.run(scenario())


def test_a_damaged_memory_of_the_agent_is_told_before_a_manager_begins(tmp_path: Path) -> None:
    async def scenario() -> None:
        founder = Founder(tmp_path)
        async with founder.living(founder.first) as life:
            await until_active(life)
        (tmp_path / "agent.db").write_bytes(b"no database" * 100)
        life = founder.life(founder.membership, founder.credentials)
        with pytest.raises(SwarmError, match=r"agent\.db cannot be read"):
            await life.prepare(None)
        assert life.manager is None
        await life.stop()
        (tmp_path / "agent.db").unlink()
        async with founder.living(None) as life:
            await until_active(life)

    asyncio.run(scenario())


def spoil(folder: Path) -> None:
    """Turns the first bytes of each segment around."""
    for file in folder.glob("*.wal"):
        content = file.read_bytes()
        file.write_bytes(content[:8][::-1] + content[8:])
