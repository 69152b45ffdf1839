"""A host that asks for its place in a swarm, and managers that do not answer in time."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from api.channel import ca_server_credentials
from api.errors import Code, SwarmError
from api.v1 import ca_pb2, ca_pb2_grpc, host_pb2, objects_pb2
from manager.state.changes import batch, delete
from manager.state.proposer import propose_one
from swarmctl.joining import Joiner, Joining
from tests.support.trust import TrustedCluster, add_ca, serving

Node = objects_pb2.Node
ADDRESS = "127.0.0.1:1"


class Busy(ca_pb2_grpc.CaServicer):
    """An identity port that makes the node, and has no time to say so until it is free."""

    def __init__(self, cluster: TrustedCluster) -> None:
        self._service = cluster.ca_service()
        self.made = asyncio.Event()
        self.free = asyncio.Event()

    async def GetRoot(self, request: ca_pb2.GetRootRequest, context: Any) -> ca_pb2.GetRootResponse:
        return await self._service.GetRoot(request, context)

    async def Issue(self, request: ca_pb2.IssueRequest, context: Any) -> ca_pb2.IssueResponse:
        answer = await self._service.Issue(request, context)
        self.made.set()
        await self.free.wait()
        return answer


@asynccontextmanager
async def busy(cluster: TrustedCluster) -> AsyncIterator[tuple[Busy, str]]:
    port = Busy(cluster)
    async with serving(add_ca, port, ca_server_credentials(cluster.manager)) as number:
        yield port, f"127.0.0.1:{number - 1}"


async def join(joiner: Joiner, manager: str, token: str, timeout: float = 20.0) -> Joining:
    request = host_pb2.JoinSwarmRequest(token=token, managers=[manager])
    return await joiner.join(request, address=ADDRESS, listen=ADDRESS, timeout=timeout)


async def unanswered(joiner: Joiner, port: Busy, manager: str, token: str) -> None:
    """Asks, and gives up once the node is made."""
    asking = asyncio.create_task(join(joiner, manager, token))
    await port.made.wait()
    asking.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asking
    port.free.set()


def nodes(cluster: TrustedCluster) -> list[Node]:
    return [each for each in cluster.store.all(Node) if each.id != cluster.manager.identity.id]


def test_who_asks_again_is_the_node_that_was_made_without_a_word() -> None:
    async def run() -> None:
        cluster = await TrustedCluster().start()
        joiner = Joiner()
        async with busy(cluster) as (port, manager):
            await unanswered(joiner, port, manager, cluster.root.worker_token)
            (made,) = nodes(cluster)
            joined = await join(joiner, manager, cluster.root.worker_token)
            assert joined.membership.node_id == made.id
            again = await join(joiner, manager, cluster.root.worker_token)
            assert again.membership.node_id != made.id

    asyncio.run(run())


def test_who_asks_for_another_role_is_another_node() -> None:
    async def run() -> None:
        cluster = await TrustedCluster().start()
        joiner = Joiner()
        async with busy(cluster) as (port, manager):
            await unanswered(joiner, port, manager, cluster.root.worker_token)
            joined = await join(joiner, manager, cluster.root.manager_token)
            assert joined.membership.manager
            assert len(nodes(cluster)) == 2

    asyncio.run(run())


def test_a_node_that_was_removed_is_asked_for_once_and_then_anew() -> None:
    async def run() -> None:
        cluster = await TrustedCluster().start()
        joiner = Joiner()
        async with busy(cluster) as (port, manager):
            await unanswered(joiner, port, manager, cluster.root.worker_token)
            (made,) = nodes(cluster)
            await propose_one(cluster.proposer, batch(delete(made)))
            with pytest.raises(SwarmError) as caught:
                await join(joiner, manager, cluster.root.worker_token)
            assert caught.value.code is Code.UNAUTHENTICATED
            joined = await join(joiner, manager, cluster.root.worker_token)
            assert joined.membership.node_id != made.id

    asyncio.run(run())
