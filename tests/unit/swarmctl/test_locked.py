"""A manager that waits for its key: what it tells of itself, and what calls are answered."""

import asyncio

import pytest

from api.errors import SwarmError
from api.v1 import host_pb2, types_pb2
from swarmctl.locked import LockedLife
from swarmctl.switch import Switch
from tests.support.members import MEMBERSHIP


def refusal(switch: Switch) -> SwarmError:
    with pytest.raises(SwarmError) as refused:
        switch._target()  # what any call on the socket gets
    return refused.value


def test_it_tells_its_place_and_how_to_go_on() -> None:
    async def scenario() -> None:
        switch = Switch()
        life = LockedLife(MEMBERSHIP, switch)
        await life.prepare(None)
        life.begin()
        assert life.info() == host_pb2.SwarmInfo(
            state=host_pb2.SwarmInfo.STATE_LOCKED,
            node_id=MEMBERSHIP.node_id,
            cluster_id=MEMBERSHIP.cluster_id,
            role=types_pb2.NODE_ROLE_MANAGER,
            managers=MEMBERSHIP.managers,
        )
        assert life.complaint() == str(refusal(switch))
        assert "Run on its host: swarmctl swarm unlock" in life.complaint()
        await life.stop()
        assert "not part of a swarm" in refusal(switch).what

    asyncio.run(scenario())


def test_it_is_not_left_by_mistake() -> None:
    async def scenario() -> None:
        life = LockedLife(MEMBERSHIP, Switch())
        with pytest.raises(SwarmError) as refused:
            await life.leave(force=False)
        assert "--force" in refused.value.remedy
        await life.leave(force=True)

    asyncio.run(scenario())
