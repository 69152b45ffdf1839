import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from api.certificates import is_key_of, sign_with
from api.errors import Code, SwarmError
from api.identity import Credentials, Role, identity_of, make_csr, new_key
from api.serving import Caller, set_caller
from api.times import duration
from api.v1 import ca_pb2, objects_pb2, types_pb2
from manager.ca.behalf import Metadata, on_behalf
from manager.ca.limiter import RateLimiter
from manager.ca.members import granted_role
from manager.ca.service import IN_ALL_BURST, CaRenewalService, Issuer
from manager.state.changes import Applied, Batch, batch, copy, update
from manager.state.proposer import Proposer, propose_one
from tests.support.trust import DAY, TrustedCluster

NOW = 1_800_000_000.0
KEY = new_key()
CSR = make_csr(KEY)
WORKER, MANAGER = types_pb2.NODE_ROLE_WORKER, types_pb2.NODE_ROLE_MANAGER


class _Call:
    """What the service asks of a call."""

    def __init__(self, address: str, metadata: Metadata) -> None:
        self._address = address
        self._metadata = metadata

    def peer(self) -> str:
        return f"ipv4:{self._address}:4711"

    def invocation_metadata(self) -> Metadata:
        return self._metadata


def call_from(address: str = "10.0.0.9", metadata: Metadata = ()) -> Any:
    """The context of a call from there."""
    return _Call(address, metadata)


async def issue(
    cluster: TrustedCluster, *, service: Any = None, peer: str = "10.0.0.9", **request: Any
) -> ca_pb2.IssueResponse:
    asked = ca_pb2.IssueRequest(**({"csr_pem": CSR} | request))
    chosen = service or cluster.ca_service()
    answer: ca_pb2.IssueResponse = await chosen.Issue(asked, call_from(peer))
    return answer


def node_of(cluster: TrustedCluster, node_id: str) -> objects_pb2.Node:
    node = cluster.store.get(objects_pb2.Node, node_id)
    assert node is not None
    return node


async def change(cluster: TrustedCluster, node_id: str, **spec: Any) -> None:
    changed = copy(node_of(cluster, node_id))
    for field, value in spec.items():
        setattr(changed.spec, field, value)
    await propose_one(cluster.proposer, batch(update(changed)))


@pytest.mark.parametrize("role", [WORKER, MANAGER])
def test_a_token_makes_a_node(role: types_pb2.NodeRole.ValueType) -> None:
    async def run() -> None:
        cluster = await TrustedCluster(NOW).start()
        root = cluster.root
        token = root.manager_token if role == MANAGER else root.worker_token
        drain = types_pb2.NODE_AVAILABILITY_DRAIN
        answer = await issue(cluster, token=token, availability=drain)
        node = node_of(cluster, answer.node_id)
        assert node.spec.role == node.role == answer.role == role
        assert node.spec.availability == drain
        assert node.status.state == types_pb2.NODE_STATE_UNKNOWN
        assert not node.HasField("manager")
        identity = identity_of(answer.certificate_pem)
        assert identity.role == ("manager" if role == MANAGER else "worker")
        assert (identity.id, identity.cluster_id) == (answer.node_id, cluster.id)
        assert identity.not_after == NOW + 90 * DAY
        assert is_key_of(KEY, answer.certificate_pem)
        assert answer.ca_pem == root.certificate_pem

    asyncio.run(run())


def test_the_clusters_expiry_is_obeyed() -> None:
    async def run() -> None:
        cluster = await TrustedCluster(NOW).start()
        stored = cluster.store.get(objects_pb2.Cluster, cluster.id)
        assert stored is not None
        changed = copy(stored)
        changed.spec.node_cert_expiry.CopyFrom(duration(7200))
        await propose_one(cluster.proposer, batch(update(changed)))
        answer = await issue(cluster, token=cluster.root.worker_token)
        assert identity_of(answer.certificate_pem).not_after == NOW + 7200

    asyncio.run(run())


def test_a_retry_is_the_same_node_and_another_request_another() -> None:
    async def run() -> None:
        cluster = await TrustedCluster(NOW).start()
        token = cluster.root.worker_token
        first = await issue(cluster, token=token)
        again = await issue(cluster, token=token, peer="10.0.0.10")
        # Not even with the other token does the retry rise above what the first call made.
        promoted = await issue(cluster, token=cluster.root.manager_token)
        assert again.node_id == promoted.node_id == first.node_id
        assert promoted.role == WORKER
        assert cluster.store.count(objects_pb2.Node) == 2
        other = await issue(cluster, token=token, csr_pem=make_csr(new_key()))
        assert other.node_id != first.node_id

    asyncio.run(run())


def test_a_retry_after_the_node_was_removed_does_not_bring_it_back() -> None:
    async def run() -> None:
        cluster = await TrustedCluster(NOW).start()
        first = await issue(cluster, token=cluster.root.worker_token)
        await cluster.remove_node(first.node_id)
        with pytest.raises(SwarmError) as caught:
            await issue(cluster, token=cluster.root.worker_token)
        assert caught.value.code is Code.UNAUTHENTICATED
        assert cluster.store.count(objects_pb2.Node) == 1

    asyncio.run(run())


REFUSED: list[tuple[dict[str, Any], Code, str]] = [
    ({"csr_pem": b"junk"}, Code.INVALID, "csr_pem"),
    ({"token": None}, Code.INVALID, "proof"),
    ({"token": "SWMTKN-1-x"}, Code.INVALID, "token"),
    ({"token": "other cluster"}, Code.UNAUTHENTICATED, "token"),
    ({"token": "wrong secret"}, Code.UNAUTHENTICATED, "token"),
    ({"availability": 9}, Code.INVALID, "availability"),
]


@pytest.mark.parametrize(("request_", "code", "field"), REFUSED)
def test_what_is_refused_changes_nothing(request_: dict[str, Any], code: Code, field: str) -> None:
    async def run() -> None:
        cluster = await TrustedCluster(NOW).start()
        right = cluster.root.worker_token
        tokens = {
            "other cluster": TrustedCluster(NOW).root.worker_token,
            "wrong secret": right[:-25] + "0" * 25,
        }
        request = {"token": right} | request_
        request["token"] = tokens.get(request["token"], request["token"])
        before = cluster.store.version
        with pytest.raises(SwarmError) as caught:
            await issue(cluster, **request)
        assert (caught.value.code, caught.value.field) == (code, field)
        assert cluster.store.version == before

    asyncio.run(run())


def test_one_address_cannot_flood() -> None:
    async def run() -> None:
        cluster, now = await TrustedCluster(NOW).start(), [0.0]
        limiter = RateLimiter(rate=1, burst=2)
        service = cluster.ca_service(limiter=limiter, monotonic=lambda: now[0])

        async def ask(peer: str) -> Code | None:
            try:
                await issue(cluster, service=service, peer=peer, token=cluster.root.worker_token)
            except SwarmError as error:
                return error.code
            return None

        assert [await ask("10.0.0.1") for _ in range(3)] == [None, None, Code.EXHAUSTED]
        assert await ask("10.0.0.2") is None
        now[0] = 1.0
        assert await ask("10.0.0.1") is None

    asyncio.run(run())


def test_a_flood_from_everywhere_keeps_no_honest_joiner_out() -> None:
    async def run() -> None:
        cluster = await TrustedCluster(NOW).start()
        service = cluster.ca_service(monotonic=lambda: 0.0)
        former = cluster.credentials("worker", "n1")
        proof = ca_pb2.ExpiredCertificate(certificate_pem=former.certificate_pem, signature=b"x")
        wrong: list[dict[str, Any]] = [
            {"token": cluster.root.worker_token[:-3] + "000"},
            {"expired": proof},
            {},
        ]
        codes: set[Code] = set()
        for number in range(3 * IN_ALL_BURST + 9):
            peer = f"10.{number >> 16}.{number >> 8 & 255}.{number & 255}"
            with pytest.raises(SwarmError) as refused:
                await issue(cluster, service=service, peer=peer, **wrong[number % 3])
            codes.add(refused.value.code)
        assert codes == {Code.UNAUTHENTICATED, Code.INVALID, Code.EXHAUSTED}
        assert await issue(cluster, service=service, token=cluster.root.worker_token)
        with pytest.raises(SwarmError, match="from all addresses") as refused:
            await issue(cluster, service=service, peer="10.9.9.9", expired=proof)
        assert refused.value.code is Code.EXHAUSTED

    asyncio.run(run())


@pytest.mark.parametrize(("role", "limited"), [("manager", False), ("worker", True)])
def test_what_a_manager_passes_on_was_limited_there(role: Role, limited: bool) -> None:
    async def run() -> None:
        cluster = await TrustedCluster(NOW).start()
        service = cluster.ca_service(limiter=RateLimiter(rate=1, burst=1), monotonic=lambda: 0.0)
        set_caller(Caller(role, "n", cluster.id, "tls"))
        request = ca_pb2.IssueRequest(csr_pem=CSR, token=cluster.root.worker_token)
        refusals: list[Code] = []
        for _ in range(3):
            try:
                await service.Issue(request, call_from(metadata=on_behalf(None)))
            except SwarmError as error:
                refusals.append(error.code)
        assert refusals == ([Code.EXHAUSTED] * 2 if limited else [])

    asyncio.run(run())


def expired_proof(old: Credentials, csr: bytes = CSR, key: bytes | None = None) -> Any:
    signature = sign_with(key or old.key_pem, csr)
    return ca_pb2.ExpiredCertificate(certificate_pem=old.certificate_pem, signature=signature)


def test_an_expired_certificate_proves_a_member() -> None:
    async def run() -> None:
        cluster = await TrustedCluster(NOW).start()
        node_id = (await cluster.add_node("worker")).identity.id
        old = cluster.credentials("worker", node_id, now=NOW - 9 * DAY, expiry=DAY)
        answer = await issue(cluster, expired=expired_proof(old))
        assert answer.node_id == node_id
        assert identity_of(answer.certificate_pem).not_after == NOW + 90 * DAY
        await change(cluster, node_id, role=MANAGER)
        promoted = await issue(cluster, expired=expired_proof(old))
        assert promoted.role == node_of(cluster, node_id).role == MANAGER
        await cluster.remove_node(node_id)
        with pytest.raises(SwarmError) as caught:
            await issue(cluster, expired=expired_proof(old))
        assert caught.value.code is Code.UNAUTHENTICATED

    asyncio.run(run())


Forge = Callable[[TrustedCluster, Credentials], Any]
FORGERIES: dict[str, Forge] = {
    "signed by another key": lambda _, old: expired_proof(old, key=new_key()),
    "signed another request": lambda _, old: expired_proof(old, csr=make_csr(new_key())),
    "no signature": lambda _, old: ca_pb2.ExpiredCertificate(certificate_pem=old.certificate_pem),
    "another root": lambda _, old: expired_proof(
        TrustedCluster(NOW).credentials("worker", old.identity.id)
    ),
    "an operator": lambda cluster, old: expired_proof(
        cluster.credentials("operator", old.identity.id)
    ),
    "no certificate": lambda _, old: ca_pb2.ExpiredCertificate(certificate_pem=b"junk"),
    "the root itself": lambda _, old: ca_pb2.ExpiredCertificate(certificate_pem=old.ca_pem),
}


@pytest.mark.parametrize("forgery", list(FORGERIES))
def test_forged_proofs_are_refused(forgery: str) -> None:
    async def run() -> None:
        cluster = await TrustedCluster(NOW).start()
        old = await cluster.add_node("worker")
        with pytest.raises(SwarmError) as caught:
            await issue(cluster, expired=FORGERIES[forgery](cluster, old))
        assert caught.value.code is Code.UNAUTHENTICATED

    asyncio.run(run())


def test_an_endless_certificate_is_not_parsed() -> None:
    async def run() -> None:
        cluster = await TrustedCluster(NOW).start()
        proof = ca_pb2.ExpiredCertificate(certificate_pem=bytes(1 << 15))
        with pytest.raises(SwarmError) as caught:
            await issue(cluster, expired=proof)
        assert caught.value.field == "expired.certificate_pem"

    asyncio.run(run())


def test_renewal_follows_the_nodes_role() -> None:
    async def run() -> None:
        cluster = await TrustedCluster(NOW).start()
        node_id = (await cluster.add_node("worker")).identity.id
        service = CaRenewalService(cluster.store, cluster.proposer, wall=lambda: NOW)
        set_caller(Caller("worker", node_id, cluster.id, "tls"))

        async def renewed() -> ca_pb2.IssueResponse:
            answer = await service.Renew(ca_pb2.RenewRequest(csr_pem=CSR), call_from())
            assert node_of(cluster, node_id).role == answer.role
            return answer

        assert (await renewed()).role == WORKER
        before = cluster.store.version
        assert (await renewed()).role == WORKER
        assert cluster.store.version == before, "a retry of the same request notes nothing new"
        await change(cluster, node_id, role=MANAGER)
        assert identity_of((await renewed()).certificate_pem).role == "manager"
        await change(cluster, node_id, role=WORKER)
        assert identity_of((await renewed()).certificate_pem).role == "worker"
        with pytest.raises(SwarmError) as caught:
            await service.Renew(ca_pb2.RenewRequest(csr_pem=b"junk"), call_from())
        assert caught.value.field == "csr_pem"

    asyncio.run(run())


class Meddling:
    """A proposer beside somebody who changes the node before every proposal."""

    def __init__(self, cluster: TrustedCluster, node_id: str, times: int) -> None:
        self._cluster, self._node_id, self._left = cluster, node_id, times

    async def propose(
        self, batches: list[Batch], *, request_id: str = "", object_id: str = ""
    ) -> Applied:
        if self._left:
            self._left -= 1
            node = node_of(self._cluster, self._node_id)
            active = node.spec.availability == types_pb2.NODE_AVAILABILITY_ACTIVE
            await change(self._cluster, self._node_id, availability=1 if active else 0)
        return await self._cluster.proposer.propose(batches)


@pytest.mark.parametrize(("times", "granted"), [(1, True), (4, True), (50, False)])
def test_a_change_meanwhile_is_not_overwritten(times: int, granted: bool) -> None:
    async def run() -> None:
        cluster = await TrustedCluster(NOW).start()
        node_id = (await cluster.add_node("worker")).identity.id
        await change(cluster, node_id, role=MANAGER)
        proposer: Proposer = Meddling(cluster, node_id, times)  # type: ignore[assignment]
        issuer = Issuer(cluster.store, proposer, lambda: NOW)
        if granted:
            assert (await issuer.issue(node_id, CSR)).role == MANAGER
            assert node_of(cluster, node_id).spec.availability == times % 2
        else:
            with pytest.raises(SwarmError) as caught:
                await issuer.issue(node_id, CSR)
            assert caught.value.code is Code.CONFLICT
        assert granted_role(node_of(cluster, node_id)) == MANAGER

    asyncio.run(run())


def test_a_manager_without_state_says_so() -> None:
    async def run() -> None:
        cluster = TrustedCluster(NOW)
        for attempt in (
            issue(cluster, token=cluster.root.worker_token),
            issue(cluster, expired=expired_proof(cluster.manager)),
            cluster.ca_service().GetRoot(ca_pb2.GetRootRequest(), call_from()),
        ):
            with pytest.raises(SwarmError) as caught:
                await attempt
            assert caught.value.code is Code.UNAVAILABLE

    asyncio.run(run())
