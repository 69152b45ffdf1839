"""Which earlier certificates are exchanged for another, and which are not."""

import asyncio
from collections.abc import Callable

import pytest

from api.certificates import key_digest_of, sign_with
from api.errors import Code, SwarmError
from api.identity import Credentials, Role, make_csr, new_key
from api.times import timestamp
from api.v1 import ca_pb2, objects_pb2
from manager.ca.keys import signed
from manager.ca.proof import prove
from manager.ca.rotation import begin, finish
from manager.state.changes import Change, batch, copy, create, update
from manager.state.proposer import propose_one
from tests.support.trust import DAY, TrustedCluster

NOW = 1_700_000_000.0
CSR = make_csr(new_key())
NODE, OPERATOR = "n" * 25, "o" * 25


class Town:
    """A cluster with a node and an operator, whose papers are of its first root."""

    def __init__(self) -> None:
        self.cluster = asyncio.run(TrustedCluster(NOW).start())
        self.node = self.cluster.credentials("worker", NODE, now=NOW - 9 * DAY)
        self.operator = self.cluster.credentials("operator", OPERATOR)
        known = objects_pb2.NodeCertificate(keys=[key_digest_of(self.node.certificate_pem)])
        self.write(create(objects_pb2.Node(id=NODE, certificate=known)))
        self.write(
            create(
                objects_pb2.Operator(
                    id=OPERATOR,
                    name="alice",
                    key=key_digest_of(self.operator.certificate_pem),
                    expires_at=timestamp(NOW + DAY),
                )
            )
        )

    def write(self, change: Change) -> None:
        asyncio.run(propose_one(self.cluster.proposer, batch(change)))

    def rotate(self) -> None:
        (present,) = self.cluster.store.all(objects_pb2.Cluster)
        fresh = TrustedCluster(NOW).root
        under_way = begin(present, fresh, rotation_id="r", now=NOW)
        self.write(update(finish(under_way, bytes)))

    def forged(self, role: Role, owner: str) -> Credentials:
        """What a thief of the first root's key makes."""
        return self.cluster.credentials(role, owner)

    def proves(self, papers: Credentials, key_pem: bytes = b"") -> str:
        """Whose papers these are; SwarmError if that is not proven."""
        proof = ca_pb2.ExpiredCertificate(
            certificate_pem=papers.certificate_pem,
            signature=sign_with(key_pem or papers.key_pem, CSR),
        )
        request = ca_pb2.IssueRequest(csr_pem=CSR, expired=proof)
        return prove(self.cluster.store, request, NOW).id


@pytest.fixture
def town() -> Town:
    return Town()


def test_an_ended_certificate_of_a_trusted_root_is_enough(town: Town) -> None:
    assert town.proves(town.node) == NODE


def test_after_a_rotation_it_takes_the_key_that_is_known(town: Town) -> None:
    town.rotate()
    assert town.proves(town.node) == NODE
    assert town.proves(town.operator) == OPERATOR


REFUSED: dict[str, Callable[[Town], tuple[Credentials, bytes]]] = {
    "its key is not known to be the node's": lambda t: (t.forged("worker", NODE), b""),
    "is not a member": lambda t: (t.forged("manager", "x" * 25), b""),
    "its key is not known to be his": lambda t: (t.forged("operator", OPERATOR), b""),
    "he was removed": lambda t: (t.forged("operator", "x" * 25), b""),
    "not signed with its key": lambda t: (t.node, new_key()),
    "did not sign it": lambda t: (TrustedCluster(NOW).credentials("worker", NODE), b""),
}


@pytest.mark.parametrize("why", REFUSED)
def test_after_a_rotation_everything_else_is_refused(town: Town, why: str) -> None:
    town.rotate()
    with pytest.raises(SwarmError, match=why) as refused:
        town.proves(*REFUSED[why](town))
    assert refused.value.code is Code.UNAUTHENTICATED
    assert refused.value.remedy


def test_an_operator_of_a_trusted_root_has_nothing_to_exchange(town: Town) -> None:
    with pytest.raises(SwarmError, match="is good, or has been replaced"):
        town.proves(town.operator)


def test_an_operator_whose_year_is_over_asks_anew(town: Town) -> None:
    stored = town.cluster.store.get(objects_pb2.Operator, OPERATOR)
    assert stored is not None
    over = copy(stored)
    over.expires_at.CopyFrom(timestamp(NOW - 1))
    town.write(update(over))
    town.rotate()
    with pytest.raises(SwarmError, match="has ended"):
        town.proves(town.operator)


def test_keys_of_the_latest_certificates_count_though_the_node_never_came_with_them(
    town: Town,
) -> None:
    later = town.cluster.credentials("worker", NODE)
    stored = town.cluster.store.get(objects_pb2.Node, NODE)
    assert stored is not None
    noted = copy(stored)
    noted.certificate.keys[:] = signed(noted.certificate.keys, key_digest_of(later.certificate_pem))
    town.write(update(noted))
    town.rotate()
    assert town.proves(town.node) == town.proves(later) == NODE
