import asyncio

import pytest

from api.certificates import is_issued_by, is_key_of
from api.errors import Code, SwarmError
from api.identity import identity_of, make_csr, new_key
from api.v1 import objects_pb2
from manager.ca.operators import IssuedOperator, issue_operator
from manager.state.changes import batch, delete
from manager.state.proposer import propose_one
from tests.support.trust import DAY, TrustedCluster

NOW = 1_800_000_000.0
KEY = new_key()
CSR = make_csr(KEY)


async def issue(
    cluster: TrustedCluster,
    operator_id: str = "o1",
    *,
    name: str = "alice",
    request_id: str = "r1",
    csr: bytes = CSR,
) -> IssuedOperator:
    return await issue_operator(
        cluster.store,
        cluster.proposer,
        name=name,
        csr_pem=csr,
        operator_id=operator_id,
        request_id=request_id,
        now=NOW,
    )


def test_an_operator_is_stored_and_gets_a_year() -> None:
    async def run() -> None:
        cluster = await TrustedCluster(NOW).start()
        issued = await issue(cluster)
        identity = identity_of(issued.certificate_pem)
        assert (identity.role, identity.id, identity.cluster_id) == ("operator", "o1", cluster.id)
        assert identity.not_after == issued.operator.expires_at.seconds == NOW + 365 * DAY
        assert is_issued_by(issued.certificate_pem, issued.ca_pem)
        assert is_key_of(KEY, issued.certificate_pem)
        assert cluster.store.named(objects_pb2.Operator, "alice") == issued.operator

    asyncio.run(run())


def test_a_retry_is_the_same_operator_and_a_namesake_is_refused() -> None:
    async def run() -> None:
        cluster = await TrustedCluster(NOW).start()
        first = await issue(cluster)
        again = await issue(cluster, "o2")
        assert again.operator == first.operator
        assert identity_of(again.certificate_pem).id == "o1"
        with pytest.raises(SwarmError) as caught:
            await issue(cluster, "o3", request_id="r2")
        assert caught.value.code is Code.EXISTS
        await propose_one(cluster.proposer, batch(delete(first.operator)))
        with pytest.raises(SwarmError) as caught:
            await issue(cluster, "o4")
        assert caught.value.code is Code.NOT_FOUND
        assert cluster.store.count(objects_pb2.Operator) == 0

    asyncio.run(run())


@pytest.mark.parametrize(
    ("name", "csr", "field"),
    [
        ("", CSR, "name"),
        ("x" * 65, CSR, "name"),
        (" alice", CSR, "name"),
        ("a\nb", CSR, "name"),
        ("alice", b"junk", "csr_pem"),
    ],
)
def test_bad_input_changes_nothing(name: str, csr: bytes, field: str) -> None:
    async def run() -> None:
        cluster = await TrustedCluster(NOW).start()
        before = cluster.store.version
        with pytest.raises(SwarmError) as caught:
            await issue(cluster, name=name, csr=csr)
        assert (caught.value.code, caught.value.field) == (Code.INVALID, field)
        assert cluster.store.version == before

    asyncio.run(run())


def test_a_manager_without_state_cannot_issue() -> None:
    with pytest.raises(SwarmError) as caught:
        asyncio.run(issue(TrustedCluster(NOW)))
    assert caught.value.code is Code.UNAVAILABLE
