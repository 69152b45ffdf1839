from typing import TypeAlias

import pytest

from api.identity import Identity, Role
from api.times import timestamp
from api.v1 import objects_pb2, types_pb2
from manager.ca.bootstrap import new_node
from manager.ca.members import Members, granted_role
from manager.state.changes import StoredObject, batch, create
from manager.state.store import Store

WORKER, MANAGER = types_pb2.NODE_ROLE_WORKER, types_pb2.NODE_ROLE_MANAGER
RoleValue: TypeAlias = types_pb2.NodeRole.ValueType
FAR = 4e9


def node(spec: RoleValue, observed: RoleValue, *, in_group: bool = False) -> objects_pb2.Node:
    made = new_node("n1", observed, types_pb2.NODE_AVAILABILITY_ACTIVE, 0, key=b"key")
    made.spec.role = spec
    if in_group:
        made.manager.SetInParent()
    return made


def members(*objects: StoredObject) -> Members:
    store = Store()
    if objects:
        store.apply(1, timestamp(0), [batch(*map(create, objects))])
    return Members(store)


CLUSTER = objects_pb2.Cluster(id="c1")


def identity(role: Role, object_id: str = "n1", cluster: str = "c1") -> Identity:
    return Identity(role, object_id, cluster, 1, FAR)


def test_members_are_the_nodes_and_operators_of_the_cluster() -> None:
    operator = objects_pb2.Operator(id="o1", name="alice")
    known = members(CLUSTER, node(WORKER, WORKER), operator)
    assert known.is_member(identity("worker"))
    assert known.is_member(identity("operator", "o1"))
    assert not known.is_member(identity("worker", "n2"))
    assert not known.is_member(identity("operator", "n1"))
    assert not known.is_member(identity("worker", "o1"))
    assert not known.is_member(identity("worker", cluster="c2"))


def test_a_manager_that_knows_nothing_yet_believes_the_root() -> None:
    fresh = members()
    assert fresh.is_member(identity("manager", "n9"))
    assert fresh.role_of(identity("manager", "n9")) == "manager"


@pytest.mark.parametrize(
    ("spec", "observed", "in_group", "worth", "granted"),
    [
        (WORKER, WORKER, False, "worker", WORKER),
        (MANAGER, WORKER, False, "manager", MANAGER),  # promoted
        (MANAGER, MANAGER, True, "manager", MANAGER),
        (WORKER, MANAGER, True, "manager", MANAGER),  # demoted, still has a vote
        (WORKER, MANAGER, False, "worker", WORKER),  # out of the group, not renewed yet
    ],
)
def test_a_role_changes_in_steps(
    spec: RoleValue, observed: RoleValue, in_group: bool, worth: Role, granted: RoleValue
) -> None:
    made = node(spec, observed, in_group=in_group)
    assert granted_role(made) == granted
    known = members(CLUSTER, made)
    assert known.role_of(identity("manager")) == worth
    assert known.role_of(identity("worker")) == "worker"
