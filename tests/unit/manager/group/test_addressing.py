"""A manager that is reached at another address tells the group."""

import asyncio
import logging
from pathlib import Path

import grpc
import pytest

from manager.forwarding.channels import ManagerChannels
from manager.group.addressing import Addressing
from manager.group.group import Group
from tests.support.node_group import group
from tests.support.until import until


def test_a_manager_that_is_alone_tells_its_address_once_it_leads(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async def scenario() -> None:
        async with group(tmp_path, 1) as g:
            await g.stations[1].stop()
            found = g.stations[1].start([1])
            channels = ManagerChannels(grpc.aio.insecure_channel)
            addressing = Addressing("node1", "new:2377", Group(found), found, channels)
            telling = asyncio.create_task(addressing.run())
            await until(lambda: bool(caplog.messages))
            assert "do not know the new address new:2377 yet" in caplog.messages[0]
            assert "no leader" in caplog.messages[0]
            await g.tick_until(lambda: found.is_leader)
            await until(lambda: found.members[1].address == "new:2377")
            telling.cancel()
            await channels.close()

    with caplog.at_level(logging.INFO, "manager.group.addressing"):
        asyncio.run(scenario())
