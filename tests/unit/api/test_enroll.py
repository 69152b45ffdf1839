import asyncio
import socket
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from typing import Any

import grpc
import pytest

from api.channel import ca_server_credentials, node_channel, node_server_credentials
from api.enroll import Enrolment, enroll, fetch_root, reenroll, renew
from api.errors import Code, SwarmError
from api.identity import Credentials, new_key
from api.token import parse_token
from api.v1 import ca_pb2, ca_pb2_grpc, objects_pb2, types_pb2
from manager.ca.authorize import Authorizer
from manager.ca.members import Members
from manager.ca.roles import ROLES
from manager.ca.service import CaRenewalService
from manager.state.changes import batch, copy, update
from manager.state.proposer import propose_one
from tests.support.elapsing import elapse
from tests.support.trust import DAY, TrustedCluster, add_ca, serving

PATIENCE = 20.0
Answer = Callable[[ca_pb2.IssueRequest], ca_pb2.IssueResponse]


@dataclass
class Impostor:
    """An identity port that shows some root, and keeps what it is told."""

    root_pem: bytes
    answer: Answer = lambda _: ca_pb2.IssueResponse()
    heard: list[ca_pb2.IssueRequest] = field(default_factory=list)

    async def get_root(self, request: object, context: object) -> ca_pb2.GetRootResponse:
        return ca_pb2.GetRootResponse(ca_pem=self.root_pem)

    async def issue(self, request: ca_pb2.IssueRequest, context: object) -> ca_pb2.IssueResponse:
        self.heard.append(request)
        return self.answer(request)


def add_impostor(impostor: Impostor, server: grpc.aio.Server) -> None:
    ca_pb2_grpc.add_CaServicer_to_server(_Servicer(impostor), server)


class _Servicer(ca_pb2_grpc.CaServicer):
    def __init__(self, impostor: Impostor) -> None:
        self.GetRoot = impostor.get_root
        self.Issue = impostor.issue

    GetRoot: Any = None
    Issue: Any = None


@asynccontextmanager
async def identity_port(cluster: TrustedCluster) -> AsyncIterator[str]:
    """Serves enrolment; gives the control address whose identity port this is."""
    secured = ca_server_credentials(cluster.manager)
    async with serving(add_ca, cluster.ca_service(), secured) as port:
        yield control_address(port)


@asynccontextmanager
async def impostor_port(impostor: Impostor, credentials: Credentials) -> AsyncIterator[str]:
    secured = ca_server_credentials(credentials)
    async with serving(add_impostor, impostor, secured) as port:
        yield control_address(port)


def control_address(identity_port: int) -> str:
    return f"127.0.0.1:{identity_port - 1}"


@asynccontextmanager
async def silent_port(
    taken: Callable[[], object] = lambda: None,
) -> AsyncIterator[str]:
    """A port that takes connections, tells of them, and never says a word."""
    writers: list[asyncio.StreamWriter] = []

    async def listen(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writers.append(writer)
        taken()
        await reader.read()
        writer.close()

    server = await asyncio.start_server(listen, "127.0.0.1", 0)
    async with server:
        yield control_address(server.sockets[0].getsockname()[1])
        for writer in writers:
            writer.transport.abort()


@contextmanager
def closed_port() -> Iterator[str]:
    """An address where nobody listens, nor anybody else may begin to."""
    with socket.socket() as deaf:
        deaf.bind(("127.0.0.1", 0))
        yield control_address(deaf.getsockname()[1])


async def failure(managers: list[str], token: str, timeout: float = PATIENCE) -> SwarmError:
    with pytest.raises(SwarmError) as caught:
        await enroll(managers, token, timeout=timeout)
    return caught.value


@pytest.mark.parametrize("role", ["worker", "manager"])
def test_a_joiner_gets_an_identity_that_the_control_port_accepts(role: str) -> None:
    async def run() -> None:
        cluster = await TrustedCluster().start()
        token = getattr(cluster.root, f"{role}_token")
        async with identity_port(cluster) as manager:
            drain = types_pb2.NODE_AVAILABILITY_DRAIN
            joined = await enroll([manager], token, availability=drain, timeout=PATIENCE)
        assert (joined.cluster_id, joined.role, joined.manager) == (cluster.id, role, manager)
        assert joined.credentials.identity.id == joined.node_id
        assert joined.credentials.ca_pem == cluster.root.certificate_pem
        node = cluster.store.get(objects_pb2.Node, joined.node_id)
        assert node is not None
        assert node.spec.availability == drain
        async with (
            control_port(cluster) as address,
            node_channel(address, joined.credentials) as channel,
        ):
            assert (await renew(channel, joined.credentials)).identity.id == joined.node_id

    asyncio.run(run())


@asynccontextmanager
async def control_port(cluster: TrustedCluster) -> AsyncIterator[str]:
    members = Members(cluster.store)
    guard = Authorizer(ROLES, members.is_member, role_of=members.role_of)
    service = CaRenewalService(cluster.store, cluster.proposer, wall=lambda: cluster.now)
    add = ca_pb2_grpc.add_CaRenewalServicer_to_server
    secured = node_server_credentials(cluster.manager)
    async with serving(add, service, secured, interceptors=[guard]) as port:
        yield f"127.0.0.1:{port}"


def test_a_token_of_another_cluster_is_not_told_to_this_one() -> None:
    async def run() -> None:
        real, other = TrustedCluster(), TrustedCluster()
        impostor = Impostor(other.root.certificate_pem)
        async with impostor_port(impostor, other.manager) as manager:
            refused = await failure([manager], real.root.worker_token)
        assert refused.code is Code.UNAUTHENTICATED
        assert "the token is of another cluster, or somebody is in between" in refused.why
        assert impostor.heard == []

    asyncio.run(run())


def test_somebody_in_between_who_shows_the_real_root_hears_no_secret() -> None:
    async def run() -> None:
        real, other = TrustedCluster(), TrustedCluster()
        impostor = Impostor(real.root.certificate_pem)
        for credentials in (other.manager, real.credentials("worker", "a-rogue-worker")):
            async with impostor_port(impostor, credentials) as manager:
                refused = await failure([manager], real.root.worker_token)
            assert refused.code is Code.UNAVAILABLE
        assert impostor.heard == []

    asyncio.run(run())


@pytest.mark.parametrize("shown", [b"", b"junk", new_key()])
def test_a_manager_that_shows_no_root_is_refused(shown: bytes) -> None:
    async def run() -> None:
        real = TrustedCluster()
        async with impostor_port(Impostor(shown), real.manager) as manager:
            refused = await failure([manager], real.root.worker_token)
        assert refused.code is Code.UNAUTHENTICATED

    asyncio.run(run())


def test_of_several_certificates_only_the_tokens_root_is_believed() -> None:
    async def run() -> None:
        real, other = TrustedCluster(), TrustedCluster()
        both = other.root.certificate_pem + real.root.certificate_pem
        async with impostor_port(Impostor(both), real.manager) as manager:
            address = manager.rpartition(":")
            at = f"{address[0]}:{int(address[2]) + 1}"
            token = parse_token(real.root.worker_token)
            assert await fetch_root(at, token, timeout=PATIENCE) == real.root.certificate_pem

    asyncio.run(run())


def lies(real: TrustedCluster, other: TrustedCluster) -> dict[str, Answer]:
    """Answers of a manager that has gone bad, or is of a version with a fault."""

    def answer(cluster: TrustedCluster, **changed: Any) -> Answer:
        honest: dict[str, Any] = {
            "node_id": "n1",
            "cluster_id": real.id,
            "role": types_pb2.NODE_ROLE_WORKER,
            "certificate_pem": cluster.credentials("worker", "n1").certificate_pem,
        }
        return lambda _: ca_pb2.IssueResponse(**(honest | changed))

    return {
        "for another key": answer(real),
        "from another root": answer(other),
        "no certificate": answer(real, certificate_pem=b""),
        "an empty answer": lambda _: ca_pb2.IssueResponse(),
    }


@pytest.mark.parametrize("lie", list(lies(TrustedCluster(), TrustedCluster())))
def test_an_answer_is_checked_before_it_is_believed(lie: str) -> None:
    async def run() -> None:
        real = TrustedCluster()
        impostor = Impostor(real.root.certificate_pem, lies(real, TrustedCluster())[lie])
        async with impostor_port(impostor, real.manager) as manager:
            refused = await failure([manager], real.root.worker_token)
        assert refused.code is Code.UNAUTHENTICATED
        assert len(impostor.heard) == 1

    asyncio.run(run())


@pytest.mark.parametrize(
    "contradiction",
    [{"node_id": "n2"}, {"cluster_id": "c2"}, {"role": types_pb2.NODE_ROLE_MANAGER}, {"role": 7}],
)
def test_an_answer_that_contradicts_its_certificate_is_refused(
    contradiction: dict[str, Any],
) -> None:
    async def run() -> None:
        cluster = await TrustedCluster().start()
        service = cluster.ca_service()

        class Contradicting(Impostor):
            async def issue(self, request: ca_pb2.IssueRequest, context: Any) -> Any:
                answer = await service.Issue(request, context)
                for name, value in contradiction.items():
                    setattr(answer, name, value)
                return answer

        impostor = Contradicting(cluster.root.certificate_pem)
        async with impostor_port(impostor, cluster.manager) as manager:
            refused = await failure([manager], cluster.root.worker_token)
        assert refused.code is Code.UNAUTHENTICATED
        assert "contradicts" in refused.why

    asyncio.run(run())


def test_the_next_manager_is_asked_when_one_cannot_help() -> None:
    async def run() -> None:
        cluster = await TrustedCluster().start()
        other = await TrustedCluster().start()
        async with identity_port(cluster) as good, identity_port(other) as foreign:
            with closed_port() as closed:
                managers = [closed, foreign, good]
                joined = await enroll(managers, cluster.root.worker_token, timeout=PATIENCE)
        assert joined.manager == good
        assert cluster.store.count(objects_pb2.Node) == 2

    asyncio.run(run())


def test_when_nobody_helps_each_is_named_with_its_reason() -> None:
    async def run() -> None:
        cluster, other = TrustedCluster(), await TrustedCluster().start()
        token = cluster.root.worker_token
        with closed_port() as closed:
            alone = await failure([closed], token)
            assert alone.code is Code.UNAVAILABLE
            assert "cannot be reached" in alone.what
            async with identity_port(other) as foreign:
                refused = await failure([closed, foreign, closed], token)
        # What somebody said tells more than that others are silent.
        assert refused.code is Code.UNAUTHENTICATED
        assert refused.why.count(closed) == 2
        assert foreign in refused.why

    asyncio.run(run())


def test_a_silent_manager_costs_its_share_of_the_time_only() -> None:
    async def run() -> None:
        cluster = await TrustedCluster().start()
        share = PATIENCE / 2
        async with silent_port(lambda: elapse(share)) as silent, identity_port(cluster) as good:
            refused = await failure([silent], cluster.root.worker_token, timeout=share)
            assert refused.code is Code.DEADLINE
            joined = await enroll([silent, good], cluster.root.worker_token, timeout=PATIENCE)
            assert joined.manager == good

    asyncio.run(run())


@pytest.mark.parametrize(
    ("managers", "token", "field"),
    [
        (["127.0.0.1:1"], "SWMTKN-1-cut", "token"),
        ([], None, "managers"),
        (["127.0.0.1:1", "a:b:c"], None, "managers"),
    ],
)
def test_bad_input_is_refused_before_anybody_is_asked(
    managers: list[str], token: str | None, field: str
) -> None:
    refused = asyncio.run(failure(managers, token or TrustedCluster().root.worker_token))
    assert (refused.code, refused.field) == (Code.INVALID, field)


def test_a_wrong_secret_is_refused_with_a_remedy() -> None:
    async def run() -> None:
        cluster = await TrustedCluster().start()
        async with identity_port(cluster) as manager:
            refused = await failure([manager], cluster.root.worker_token[:-25] + "0" * 25)
        assert (refused.code, refused.field) == (Code.UNAUTHENTICATED, "token")
        assert "join-token" in refused.remedy
        assert cluster.store.count(objects_pb2.Node) == 1

    asyncio.run(run())


def test_a_renewal_has_a_new_key_and_the_role_of_now() -> None:
    async def run() -> None:
        cluster = await TrustedCluster().start()
        worker = await cluster.add_node("worker")
        async with control_port(cluster) as address:
            async with node_channel(address, worker) as channel:
                renewed = await renew(channel, worker)
            assert renewed.key_pem != worker.key_pem
            assert renewed.identity.id == worker.identity.id
            assert renewed.identity.serial != worker.identity.serial
            assert renewed.identity.role == "worker"
            node = cluster.store.get(objects_pb2.Node, worker.identity.id)
            assert node is not None
            changed = copy(node)
            changed.spec.role = types_pb2.NODE_ROLE_MANAGER
            await propose_one(cluster.proposer, batch(update(changed)))
            async with node_channel(address, renewed) as channel:
                assert (await renew(channel, renewed)).identity.role == "manager"
            await cluster.remove_node(worker.identity.id)
            async with node_channel(address, renewed) as channel:
                with pytest.raises(SwarmError) as caught:
                    await renew(channel, renewed)
            assert caught.value.code is Code.UNAUTHENTICATED

    asyncio.run(run())


def test_a_node_that_was_away_too_long_comes_back() -> None:
    async def run() -> None:
        cluster = await TrustedCluster().start()
        node_id = (await cluster.add_node("worker")).identity.id
        old = cluster.credentials("worker", node_id, now=cluster.now - 9 * DAY, expiry=DAY)
        async with identity_port(cluster) as manager, control_port(cluster) as address:
            async with node_channel(address, old) as channel:
                with pytest.raises(SwarmError) as caught:
                    await renew(channel, old)
            assert caught.value.code is Code.UNAVAILABLE
            with closed_port() as closed:
                back = await reenroll([closed, manager], old, timeout=PATIENCE)
            assert isinstance(back, Enrolment)
            assert (back.node_id, back.role) == (node_id, "worker")
            async with node_channel(address, back.credentials) as channel:
                assert await renew(channel, back.credentials)
            await cluster.remove_node(node_id)
            with pytest.raises(SwarmError) as caught:
                await reenroll([manager], old, timeout=PATIENCE)
            assert caught.value.code is Code.UNAUTHENTICATED

    asyncio.run(run())


def test_the_certificate_of_another_node_is_not_taken_for_ones_own() -> None:
    async def run() -> None:
        cluster = await TrustedCluster().start()
        service = cluster.ca_service()
        old = await cluster.add_node("worker")

        class Confused(Impostor):
            async def issue(self, request: ca_pb2.IssueRequest, context: Any) -> Any:
                mixed_up = ca_pb2.IssueRequest(
                    csr_pem=request.csr_pem, token=cluster.root.worker_token
                )
                return await service.Issue(mixed_up, context)

        impostor = Confused(cluster.root.certificate_pem)
        async with impostor_port(impostor, cluster.manager) as manager:
            with pytest.raises(SwarmError, match="certificate of another node"):
                await reenroll([manager], old, timeout=PATIENCE)

    asyncio.run(run())
