"""A manager that goes on alone: what its new log holds, and that no crash leaves it without one."""

import shutil
from collections.abc import Iterator
from itertools import count
from pathlib import Path

import pytest

from api.errors import Code, SwarmError
from api.v1 import objects_pb2, raft_pb2, types_pb2
from manager import new_log
from manager.config import ManagerConfig
from manager.raft.node import identity
from manager.raft.node.identity import GroupIdentity
from manager.refounding import refound, settle, steps
from manager.state.changes import StoredObject, create, wrap
from tests.support.manager_folder import (
    NOW,
    command,
    config_in,
    leave_log,
    manager_node,
    member,
    membership_change,
    replayed,
    service,
    state_of,
)

OWN, SECOND, THIRD, FOURTH = 11, 12, 13, 14
FORMER = GroupIdentity(OWN, 77, (member(OWN, "one"), member(SECOND, "two")))
ADD = raft_pb2.MemberChange.TYPE_ADD_LEARNER
NEW_RAFT, NEW_GROUP = 101, 102
WORKER, MANAGER = types_pb2.NODE_ROLE_WORKER, types_pb2.NODE_ROLE_MANAGER


def numbers() -> Iterator[int]:
    return count(NEW_RAFT)


@pytest.fixture
def config(tmp_path: Path) -> ManagerConfig:
    """One of three managers; a fourth had just been made."""
    made = config_in(tmp_path)
    objects: list[StoredObject] = [
        objects_pb2.Cluster(id="swarm"),
        manager_node("one", OWN),
        manager_node("two", SECOND),
        manager_node("three", THIRD),
        manager_node("four"),
        objects_pb2.Node(id="worker"),
    ]
    entries = [
        membership_change(7, raft_pb2.MemberChange(type=ADD, member=member(THIRD, "three"))),
        command(8, create(service("acknowledged"))),
        membership_change(9, raft_pb2.MemberChange(type=ADD, member=member(FOURTH, "four"))),
        raft_pb2.Entry(term=3, index=10),
    ]
    leave_log(made, FORMER, state_of(map(wrap, objects)), entries)
    return made


def test_the_new_group_has_all_that_was_on_the_disk(config: ManagerConfig) -> None:
    refound(config, numbers().__next__, NOW)
    place = identity.load(config.identity_file)
    assert place == GroupIdentity(NEW_RAFT, NEW_GROUP, (member(NEW_RAFT, "one"),))
    store, recovered, membership = new_log.read(config.directory, config)
    assert list(membership.members.values()) == list(place.members)
    assert membership.removed == {OWN, SECOND, THIRD, FOURTH}
    assert recovered.snapshot is not None
    assert list(recovered.snapshot.conf.voters) == [NEW_RAFT]
    assert (recovered.snapshot.index, recovered.hard_state.commit) == (10, 11)
    assert recovered.snapshot.term == 3
    # An entry that was not known to be committed may have been acknowledged.
    assert store.get(objects_pb2.Service, "acknowledged") is not None


def test_the_others_are_workers_from_then_on(config: ManagerConfig) -> None:
    refound(config, numbers().__next__, NOW)
    nodes = {node.id: node for node in replayed(config).all(objects_pb2.Node)}
    as_wished = {name: node.spec.role for name, node in nodes.items()}
    assert as_wished == {
        "one": MANAGER,
        "two": WORKER,
        "three": WORKER,
        "four": WORKER,
        "worker": WORKER,
    }
    assert {name: node.role for name, node in nodes.items()} == as_wished
    assert [name for name, node in nodes.items() if node.HasField("manager")] == ["one"]
    assert nodes["one"].manager == objects_pb2.ManagerStatus(
        address="one:2377", leader=True, reachable=True, raft_id=NEW_RAFT
    )
    assert nodes["worker"].meta.version == 0


def crashed(config: ManagerConfig, after: int) -> bool:
    """Makes so many steps and no more; whether they were all."""
    working = steps(config, numbers().__next__, NOW)
    done = sum(1 for _ in zip(range(after), working, strict=False))
    return done < after


def test_a_crash_at_any_point_leaves_the_old_group_or_the_new(config: ManagerConfig) -> None:
    saved = config.directory.parent.with_name("saved")
    shutil.copytree(config.directory.parent, saved)
    outcomes = []
    for after in count():
        shutil.rmtree(config.directory.parent)
        shutil.copytree(saved, config.directory.parent)
        complete = crashed(config, after)
        settle(config)
        settle(config)  # which may be interrupted too, and is begun again
        found = sorted(each.name for each in config.directory.parent.iterdir())
        assert found == ["manager", "manager.json", "manager.key"]
        place = identity.load(config.identity_file)
        assert place is not None
        _, _, membership = new_log.read(config.directory, config)
        assert place.raft_id in membership.members
        assert replayed(config).get(objects_pb2.Service, "acknowledged") is not None
        outcomes.append(place.group_id)
        if complete:
            break
    changes = outcomes.index(NEW_GROUP)
    assert outcomes == [FORMER.group_id] * changes + [NEW_GROUP] * (len(outcomes) - changes)
    assert 1 < changes < len(outcomes) - 2


def test_a_log_that_was_written_in_part_is_cleared_up(config: ManagerConfig) -> None:
    half = config.directory.with_name(f"manager.{NEW_GROUP:016x}")
    half.mkdir()
    (half / "00000000000000000010.snap").write_bytes(b"half")
    settle(config)
    assert not half.exists()
    half.mkdir()
    refound(config, numbers().__next__, NOW)
    assert not half.exists()
    assert replayed(config).get(objects_pb2.Service, "acknowledged") is not None


def test_what_cannot_be_read_changes_nothing(config: ManagerConfig) -> None:
    (config.directory / "0000000000000002.wal").unlink()  # so its end is missing
    (config.directory / "0000000000000001.wal").unlink()
    with pytest.raises(SwarmError):
        refound(config, numbers().__next__, NOW)
    settle(config)
    assert identity.load(config.identity_file) == FORMER


def test_a_manager_that_never_got_the_state_is_refused(tmp_path: Path) -> None:
    config = config_in(tmp_path, "late")
    place = GroupIdentity(OWN, 77, (member(OWN, "late"),))
    leave_log(config, place, state_of([wrap(objects_pb2.Cluster(id="swarm"))]), [])
    with pytest.raises(SwarmError, match="does not hold") as refused:
        refound(config, numbers().__next__, NOW)
    assert refused.value.code is Code.REFUSED
    assert identity.load(config.identity_file) == place


def test_used_ids_are_forgotten_before_they_fill_the_room(tmp_path: Path) -> None:
    config = config_in(tmp_path)
    state = state_of([wrap(manager_node("one", OWN))])
    removed = frozenset(range(1000, 5000))
    beginning = new_log.Beginning(state, 5, 1, (), NOW, removed)
    place = GroupIdentity(NEW_RAFT, NEW_GROUP, (member(NEW_RAFT, "one"),))
    new_log.write(config.directory, config, place, beginning)
    assert new_log.read(config.directory, config)[2].removed == frozenset()
