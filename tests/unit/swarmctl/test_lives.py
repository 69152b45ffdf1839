"""How a host comes into a swarm, and what it leaves behind when it does not get there."""

import asyncio
import errno
from pathlib import Path

import pytest

from api.errors import Code, SwarmError
from api.v1 import host_pb2
from manager.control.images import no_registry
from swarmctl.host_parts import HostParts
from swarmctl.lives import Lives
from swarmctl.membership import Membership, MembershipStore
from swarmctl.switch import Switch
from tests.support.fake_executor import FakeExecutor
from tests.support.inner_swarm import Swarm, swarm
from tests.support.ports import free_pair
from worker.attachments import Attachments
from worker.node_networks import NoNetworks
from worker.node_volumes import NoVolumes

pytestmark = pytest.mark.managers


class FullDisk(MembershipStore):
    """A disk that takes all but the very last file."""

    def save(self, membership: Membership) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")


def lives_on(memberships: MembershipStore, state_dir: Path, switch: Switch | None = None) -> Lives:
    state_dir.mkdir(exist_ok=True)
    return Lives(
        HostParts(
            executor=FakeExecutor(),
            networks=NoNetworks(),
            volumes=NoVolumes(),
            attachments=Attachments(),
            memberships=memberships,
            state_dir=state_dir,
            switch=switch or Switch(),
            ask_registry=no_registry,
            failed=lambda error: pytest.fail(str(error)),
        )
    )


def as_manager(s: Swarm) -> host_pb2.JoinSwarmRequest:
    address = f"127.0.0.1:{free_pair()}"
    return host_pb2.JoinSwarmRequest(
        token=s.cluster.root_ca.manager_token,
        managers=[s["m1"].address],
        advertise_address=address,
        listen_address=address,
    )


def test_a_manager_that_fails_to_join_leaves_the_others_their_quorum(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with swarm(tmp_path) as s:
            lives = lives_on(FullDisk(tmp_path / "m2"), tmp_path / "m2")
            with pytest.raises(SwarmError, match="No space left") as failed:
                await lives.join(as_manager(s))
            assert failed.value.code is Code.UNAVAILABLE
            assert not (tmp_path / "m2/swarm").exists()
            await s.until(lambda: s["m1"].voters() == 1)
            async with asyncio.timeout(20):
                await s["m1"].create("alone")
            await lives.stop()

    asyncio.run(scenario())


def test_who_has_left_is_told_how_to_get_into_a_swarm_again(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with swarm(tmp_path) as s:
            switch = Switch()
            lives = lives_on(MembershipStore(tmp_path / "w1"), tmp_path / "w1", switch)
            request = as_manager(s)
            request.token = s.cluster.root_ca.worker_token
            await lives.join(request)
            assert switch._target()
            await lives.leave(force=False)
            with pytest.raises(SwarmError, match="not part of a swarm"):
                switch._target()
            await lives.stop()

    asyncio.run(scenario())
