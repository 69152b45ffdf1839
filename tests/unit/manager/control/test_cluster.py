"""Nodes, join tokens and operators, as operators of the cluster may change them."""

import asyncio
import itertools
from collections.abc import Awaitable, Callable
from typing import TypeVar

import pytest

from api.errors import Code, SwarmError
from api.identity import identity_of, make_csr, new_key
from api.v1 import control_pb2, objects_pb2, specs_pb2, types_pb2
from manager.ca.authority import new_root
from manager.ca.bootstrap import first_objects
from manager.ca.tokens import role_of_token
from manager.control.cluster import ClusterAffairs
from manager.state.changes import batch, copy, create, update
from manager.state.store import Store
from tests.support.builders import node
from tests.support.counter import counter
from tests.support.direct_proposer import DirectProposer

NOW = 1_800_000_000.0
Node = objects_pb2.Node
T = TypeVar("T")


async def _await(call: Awaitable[T]) -> T:
    return await call


def run(call: Awaitable[T]) -> T:
    return asyncio.run(_await(call))


class Town:
    """A cluster of one manager and one worker, `w`."""

    def __init__(self) -> None:
        self.store = Store()
        self.needed: dict[str, SwarmError] = {}
        secrets = itertools.count()
        self.proposer = DirectProposer(self.store, lambda: NOW)
        first = first_objects(
            specs_pb2.ClusterSpec(),
            cluster_id="c" * 25,
            node_id="m" * 25,
            csr_pem=make_csr(new_key()),
            now=NOW,
            secret=lambda count: bytes([next(secrets)]) * count,
            address="10.0.0.1:2377",
        )
        run(self.proposer.propose([first.batch(), batch(create(node("w")))]))
        self.affairs = ClusterAffairs(
            self.store,
            self.proposer,
            ids=counter("operator-"),
            clock=lambda: NOW,
            needed=self.needed.get,
            secret=lambda count: b"\x07" * count,
        )

    @property
    def cluster(self) -> objects_pb2.Cluster:
        return next(self.store.all(objects_pb2.Cluster))

    def node(self, key: str = "w") -> Node:
        found = self.store.get(Node, key)
        assert found is not None
        return found

    def set_state(self, state: types_pb2.NodeState.ValueType) -> None:
        changed = copy(self.node())
        changed.status.state = state
        run(self.proposer.propose([batch(update(changed))]))

    def update_node(
        self, edit: Callable[[specs_pb2.NodeSpec], object], request_id: str, key: str = "w"
    ) -> Node:
        present = self.node(key)
        request = control_pb2.UpdateNodeRequest(
            key=key, spec=present.spec, version=present.meta.version, request_id=request_id
        )
        edit(request.spec)
        return run(self.affairs.update_node(request))

    def remove_node(self, key: str, *, force: bool = False, request_id: str = "d") -> str:
        request = control_pb2.RemoveRequest(key=key, force=force, request_id=request_id)
        return run(self.affairs.remove_node(request)).id


def refusal(call: Callable[[], object]) -> SwarmError:
    with pytest.raises(SwarmError) as refused:
        call()
    return refused.value


def test_a_node_is_drained_and_labelled() -> None:
    town = Town()
    drained = town.update_node(
        lambda s: s.MergeFrom(specs_pb2.NodeSpec(availability=types_pb2.NODE_AVAILABILITY_DRAIN)),
        "u1",
    )
    assert drained.spec.availability == types_pb2.NODE_AVAILABILITY_DRAIN
    labelled = town.update_node(lambda s: s.annotations.labels.update({"rack": "a"}), "u2")
    assert labelled.spec.annotations.labels["rack"] == "a"


def become(role: types_pb2.NodeRole.ValueType) -> Callable[[specs_pb2.NodeSpec], object]:
    return lambda spec: setattr(spec, "role", role)


def test_a_worker_is_to_be_a_manager_and_no_more() -> None:
    town = Town()
    promoted = town.update_node(become(types_pb2.NODE_ROLE_MANAGER), "u1")
    assert promoted.spec.role == types_pb2.NODE_ROLE_MANAGER
    assert promoted.role == types_pb2.NODE_ROLE_WORKER  # until it has its certificate
    demoted = town.update_node(become(types_pb2.NODE_ROLE_WORKER), "u2")
    assert demoted.spec.role == types_pb2.NODE_ROLE_WORKER


def test_a_manager_that_is_needed_is_not_demoted() -> None:
    town = Town()
    manager = "m" * 25
    town.needed[manager] = SwarmError(Code.REFUSED, "the last one")
    error = refusal(lambda: town.update_node(become(types_pb2.NODE_ROLE_WORKER), "u1", manager))
    assert error is town.needed[manager]
    assert town.node(manager).spec.role == types_pb2.NODE_ROLE_MANAGER
    labelled = town.update_node(lambda s: s.annotations.labels.update({"rack": "a"}), "u2", manager)
    assert labelled.spec.annotations.labels["rack"] == "a"


def test_an_update_from_an_old_version_is_refused() -> None:
    town = Town()
    request = control_pb2.UpdateNodeRequest(key="w", spec=town.node().spec, request_id="u")
    assert refusal(lambda: run(town.affairs.update_node(request))).code is Code.CONFLICT


def test_only_a_node_that_is_down_is_removed_without_force() -> None:
    town = Town()
    town.set_state(types_pb2.NODE_STATE_READY)
    assert refusal(lambda: town.remove_node("w")).code is Code.REFUSED
    town.set_state(types_pb2.NODE_STATE_DOWN)
    assert town.remove_node("w") == "w"
    assert town.remove_node("w") == "w"
    assert town.store.get(Node, "w") is None


def test_force_removes_a_node_that_is_up_but_never_a_manager() -> None:
    town = Town()
    town.set_state(types_pb2.NODE_STATE_READY)
    assert town.remove_node("w", force=True) == "w"
    error = refusal(lambda: town.remove_node("m" * 25, force=True, request_id="d2"))
    assert (error.code, "node demote" in error.remedy) == (Code.REFUSED, True)


def test_a_manager_that_was_demoted_is_not_to_be_demoted_again_before_it_is_removed() -> None:
    town = Town()
    manager = "m" * 25
    town.update_node(become(types_pb2.NODE_ROLE_WORKER), "u1", manager)
    error = refusal(lambda: town.remove_node(manager, force=True))
    assert error.code is Code.REFUSED
    assert "node demote" not in error.remedy
    assert "until it has no MANAGER STATUS" in error.remedy


@pytest.mark.parametrize("role", types_pb2.NodeRole.values())
def test_a_rotated_token_replaces_the_old_one(role: types_pb2.NodeRole.ValueType) -> None:
    town = Town()
    manager = role == types_pb2.NODE_ROLE_MANAGER
    field, other = ("manager", "worker") if manager else ("worker", "manager")
    old, kept = (getattr(town.cluster.root_ca, f"{word}_token") for word in (field, other))
    request = control_pb2.RotateJoinTokenRequest(role=role, request_id="r")
    changed = run(town.affairs.rotate_token(request))
    new = getattr(changed.root_ca, f"{field}_token")
    assert new != old
    assert getattr(changed.root_ca, f"{other}_token") == kept
    assert role_of_token(changed.root_ca, new) == role
    assert refusal(lambda: role_of_token(changed.root_ca, old)).code is Code.UNAUTHENTICATED
    assert run(town.affairs.rotate_token(request)) == changed


def test_the_root_is_rotated_once_by_a_request_and_its_retry() -> None:
    town = Town()
    request = control_pb2.RotateRootCaRequest(request_id="r")
    request.node_cert_expiry.seconds = 7200
    under_way = run(town.affairs.rotate_root(request))
    assert under_way.root_ca.rotation.key_pem
    assert under_way.spec.node_cert_expiry.seconds == 7200
    assert run(town.affairs.rotate_root(request)) == under_way
    another = control_pb2.RotateRootCaRequest(request_id="r2")
    broken_off = run(town.affairs.rotate_root(another)).root_ca.rotation.broken_off
    assert list(broken_off) == [under_way.root_ca.rotation.certificate_pem]


def test_a_rotation_with_bad_wishes_changes_nothing() -> None:
    town = Town()
    root = new_root("c" * 25, NOW)
    short = control_pb2.RotateRootCaRequest(request_id="a")
    short.node_cert_expiry.seconds = 3599
    bad = {
        "node_cert_expiry": short,
        "key_pem": control_pb2.RotateRootCaRequest(
            request_id="b", certificate_pem=root.certificate_pem
        ),
        "certificate_pem": control_pb2.RotateRootCaRequest(request_id="c", key_pem=root.key_pem),
        "request_id": control_pb2.RotateRootCaRequest(),
    }
    before = town.cluster
    for field, request in bad.items():
        error = refusal(lambda request=request: run(town.affairs.rotate_root(request)))  # type: ignore[misc]
        assert (error.code, error.field) == (Code.INVALID, field)
    assert town.cluster == before


def test_an_operator_gets_a_certificate_until_it_is_removed() -> None:
    town = Town()
    request = control_pb2.CreateOperatorRequest(
        name="alice", csr_pem=make_csr(new_key()), request_id="o"
    )
    made = run(town.affairs.create_operator(request))
    identity = identity_of(made.certificate_pem)
    assert (identity.role, identity.id) == ("operator", made.operator.id)
    assert list(made.managers) == ["10.0.0.1:2377"]
    assert made.ca_pem == town.cluster.root_ca.certificate_pem

    removal = control_pb2.RemoveRequest(key="alice", request_id="o2")
    assert run(town.affairs.remove_operator(removal)).id == made.operator.id
    assert run(town.affairs.remove_operator(removal)).id == made.operator.id
    assert town.store.count(objects_pb2.Operator) == 0
