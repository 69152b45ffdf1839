import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import grpc
import pytest

from api.channel import node_channel, node_server_credentials, unix_channel
from api.errors import Code, SwarmError
from api.identity import Credentials, Identity, make_csr, new_key
from api.new_ids import new_id
from api.serving import Caller, caller
from api.status import from_grpc
from api.v1 import objects_pb2
from manager.ca.authorize import Authorizer, refuse_call
from manager.ca.behalf import on_behalf
from manager.ca.members import Members
from manager.ca.operators import issue_operator
from manager.ca.roles import ROLES, SOCKET_ONLY
from manager.state.changes import batch, delete
from manager.state.proposer import propose_one
from tests.support.trust import TrustedCluster, add_handlers, serving

READ = "/swarm.v1.Control/GetService"
WRITE = "/swarm.v1.Control/CreateService"
WATCH = "/swarm.v1.Control/Watch"
SESSION = "/swarm.v1.Dispatcher/Heartbeat"
INFO = "/swarm.v1.Host/Info"
UNKNOWN = "/swarm.v1.Control/Unheard"


async def who(request: bytes, context: object) -> bytes:
    found = caller()
    return f"{found.role} {found.id} {found.via}".encode()


async def who_streams(request: bytes, context: object) -> AsyncIterator[bytes]:
    yield await who(request, context)


def add_everything(nothing: object, server: grpc.aio.Server) -> None:
    """Services that answer who their caller is."""
    unary: Any = grpc.unary_unary_rpc_method_handler(who)
    stream: Any = grpc.unary_stream_rpc_method_handler(who_streams)
    for service in ("Control", "Dispatcher", "Host"):
        rpcs = [
            name.rpartition("/")[2]
            for name in (READ, WRITE, SESSION, INFO, UNKNOWN)
            if f".{service}/" in name
        ]
        handlers = dict.fromkeys(rpcs, unary)
        if service == "Control":
            handlers["Watch"] = stream
        add_handlers((f"swarm.v1.{service}", handlers), server)


class Lab:
    """A cluster whose control port listens."""

    def __init__(self, cluster: TrustedCluster, port: int) -> None:
        self.cluster = cluster
        self.address = f"127.0.0.1:{port}"

    async def ask(self, credentials: Credentials, rpc: str) -> str:
        async with node_channel(self.address, credentials) as channel:
            return await ask(channel, rpc)


async def ask(channel: grpc.aio.Channel, rpc: str) -> str:
    try:
        if rpc == WATCH:
            stream: Any = channel.unary_stream(rpc)
            answers = [answer async for answer in stream(b"", timeout=10)]
            return b"".join(answers).decode()
        unary: Any = channel.unary_unary(rpc)
        answer: bytes = await unary(b"", timeout=10)
        return answer.decode()
    except grpc.aio.AioRpcError as error:
        raise from_grpc(error, rpc) from error


def authorizer(cluster: TrustedCluster) -> Authorizer:
    members = Members(cluster.store)
    return Authorizer(ROLES, members.is_member, role_of=members.role_of)


@asynccontextmanager
async def lab() -> AsyncIterator[Lab]:
    cluster = await TrustedCluster().start()
    secured = node_server_credentials(cluster.manager)
    guard = authorizer(cluster)
    async with serving(add_everything, None, secured, interceptors=[guard]) as port:
        yield Lab(cluster, port)


async def refusal(lab: Lab, credentials: Credentials, rpc: str) -> SwarmError:
    with pytest.raises(SwarmError) as caught:
        await lab.ask(credentials, rpc)
    assert caught.value.remedy
    return caught.value


def test_every_member_is_served_what_its_role_may_call() -> None:
    async def run() -> None:
        async with lab() as here:
            worker = await here.cluster.add_node("worker")
            manager = here.cluster.manager
            w, m = worker.identity.id, manager.identity.id
            for rpc in (READ, WATCH, SESSION):
                assert await here.ask(worker, rpc) == f"worker {w} tls"
                assert await here.ask(manager, rpc) == f"manager {m} tls"
            assert await here.ask(manager, WRITE) == f"manager {m} tls"
            denied = await refusal(here, worker, WRITE)
            assert denied.code is Code.DENIED
            assert "Control.CreateService is not for the role worker" in denied.what
            assert (await refusal(here, worker, INFO)).code is Code.DENIED
            assert (await refusal(here, manager, UNKNOWN)).code is Code.DENIED

    asyncio.run(run())


def test_a_removed_node_is_refused_on_the_very_next_call() -> None:
    async def run() -> None:
        async with lab() as here:
            worker = await here.cluster.add_node("worker")
            async with node_channel(here.address, worker) as channel:
                assert await ask(channel, READ)
                await here.cluster.remove_node(worker.identity.id)
                for rpc in (READ, WATCH):
                    with pytest.raises(SwarmError, match="is not a member") as caught:
                        await ask(channel, rpc)
                    assert caught.value.code is Code.UNAUTHENTICATED

    asyncio.run(run())


def test_an_operator_is_served_until_it_is_removed() -> None:
    async def run() -> None:
        async with lab() as here:
            cluster, key = here.cluster, new_key()
            issued = await issue_operator(
                cluster.store,
                cluster.proposer,
                name="alice",
                csr_pem=make_csr(key),
                operator_id=new_id(),
                request_id="r1",
                now=cluster.now,
            )
            alice = Credentials(key, issued.certificate_pem, issued.ca_pem)
            assert await here.ask(alice, WRITE) == f"operator {issued.operator.id} tls"
            assert (await refusal(here, alice, SESSION)).code is Code.DENIED
            info = await refusal(here, alice, INFO)
            assert (info.code, info.what) == (
                Code.DENIED,
                "Host.Info is served on the host itself only",
            )
            await propose_one(cluster.proposer, batch(delete(issued.operator)))
            assert (await refusal(here, alice, READ)).code is Code.UNAUTHENTICATED

    asyncio.run(run())


def test_what_a_manager_passes_on_for_a_removed_one_is_refused() -> None:
    async def run() -> None:
        async with lab() as here:
            worker = await here.cluster.add_node("worker")
            asking = Caller("worker", worker.identity.id, here.cluster.id, "tls")
            async with node_channel(here.address, here.cluster.manager) as channel:
                call: Any = channel.unary_unary(READ)
                answer = await call(b"", timeout=10, metadata=on_behalf(asking))
                assert answer == f"worker {worker.identity.id} tls".encode()
                await here.cluster.remove_node(worker.identity.id)
                with pytest.raises(grpc.aio.AioRpcError) as refused:
                    await call(b"", timeout=10, metadata=on_behalf(asking))
                assert refused.value.code() is grpc.StatusCode.UNAUTHENTICATED

    asyncio.run(run())


def test_who_came_in_a_moment_ago_through_another_manager_is_let_in() -> None:
    async def run() -> None:
        cluster = await TrustedCluster().start()
        worker, members = cluster.credentials("worker", "n" * 25), Members(cluster.store)
        state = {"behind": True}

        async def catch_up() -> None:
            state["behind"] = False

        def is_member(identity: Identity) -> bool:
            return members.is_member(identity) or not state["behind"]

        guard = Authorizer(ROLES, is_member, catch_up=catch_up)
        secured = node_server_credentials(cluster.manager)
        async with serving(add_everything, None, secured, interceptors=[guard]) as port:
            assert await Lab(cluster, port).ask(worker, READ) == f"worker {'n' * 25} tls"

    asyncio.run(run())


def test_strangers_with_a_certificate_of_this_root_are_refused() -> None:
    async def run() -> None:
        async with lab() as here:
            cluster = here.cluster
            unknown = cluster.credentials("worker", "never-joined")
            assert (await refusal(here, unknown, READ)).code is Code.UNAUTHENTICATED
            elsewhere = TrustedCluster()
            elsewhere.root.CopyFrom(cluster.root)
            foreign = elsewhere.credentials("manager", cluster.manager_id)
            assert (await refusal(here, foreign, READ)).code is Code.UNAUTHENTICATED
            no_subject = elsewhere.credentials("admin", "x")  # type: ignore[arg-type]
            assert (await refusal_of_junk(here, no_subject)).code is Code.UNAUTHENTICATED

    asyncio.run(run())


async def refusal_of_junk(lab: Lab, credentials: Credentials) -> SwarmError:
    with pytest.raises(SwarmError) as caught:
        await lab.ask(credentials, READ)
    return caught.value


def test_a_demoted_manager_is_worth_a_worker() -> None:
    async def run() -> None:
        async with lab() as here:
            node = await here.cluster.add_node("worker")
            promoted = here.cluster.credentials("manager", node.identity.id)
            assert await here.ask(promoted, READ) == f"worker {node.identity.id} tls"
            assert (await refusal(here, promoted, WRITE)).code is Code.DENIED

    asyncio.run(run())


def test_whoever_opens_the_socket_is_an_operator(tmp_path: Path) -> None:
    async def run() -> None:
        cluster, path = TrustedCluster(), tmp_path / "s"
        guard = authorizer(cluster)
        async with (
            serving(add_everything, None, interceptors=[guard], address=f"unix:{path}"),
            unix_channel(path) as channel,
        ):
            for rpc in (READ, WRITE, WATCH, INFO):
                assert await ask(channel, rpc) == "operator  socket"
            with pytest.raises(SwarmError, match="not for the role operator"):
                await ask(channel, SESSION)

    asyncio.run(run())


def test_a_port_in_the_clear_serves_nobody() -> None:
    async def run() -> None:
        cluster = await TrustedCluster().start()
        guard = authorizer(cluster)
        async with (
            serving(add_everything, None, interceptors=[guard]) as port,
            grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel,
        ):
            for rpc in (READ, INFO, WATCH):
                with pytest.raises(SwarmError) as caught:
                    await ask(channel, rpc)
                assert caught.value.code is Code.UNAUTHENTICATED

    asyncio.run(run())


def test_every_cell_of_the_table() -> None:
    for rpc, roles in ROLES.items():
        for role in ("worker", "manager", "operator"):
            for via in ("socket", "tls"):
                refused = refuse_call(ROLES, rpc, Caller(role, "x", "c", via))
                expected = role in roles and (via == "socket" or rpc not in SOCKET_ONLY)
                assert (refused is None) == expected


def test_the_revoked_are_only_those_that_were_removed() -> None:
    async def run() -> None:
        async with lab() as here:
            first, second = [await here.cluster.add_node("worker") for _ in range(2)]
            await here.cluster.remove_node(first.identity.id)
            assert here.cluster.store.count(objects_pb2.Node) == 2
            assert await here.ask(second, READ)
            assert (await refusal(here, first, READ)).code is Code.UNAUTHENTICATED

    asyncio.run(run())
