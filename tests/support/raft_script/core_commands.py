"""Commands that call the core of one member: time, proposals, changes, reads, hand-over."""

from collections.abc import Sequence
from functools import partial

from api.v1.raft_pb2 import ConfChange, Member, MemberChange
from tests.support.raft_script.cluster import Cluster
from tests.support.raft_script.registry import handles
from tests.support.raft_script.script import Command, ScriptError

_CHANGES = {
    "add-voter": MemberChange.TYPE_ADD_VOTER,
    "add-learner": MemberChange.TYPE_ADD_LEARNER,
    "remove": MemberChange.TYPE_REMOVE,
    "update": MemberChange.TYPE_UPDATE,
}
_TRANSITIONS = {
    "implicit": ConfChange.TRANSITION_IMPLICIT,
    "explicit": ConfChange.TRANSITION_EXPLICIT,
}


@handles("tick")
def _tick(cluster: Cluster, command: Command) -> None:
    """`tick 1 2 [n=10]`, or `tick all`: in turn, one tick each, n times."""
    for _ in range(command.number("n", 1)):
        for host in cluster.chosen(command.ids):
            host.node.tick()


@handles("campaign")
def _campaign(cluster: Cluster, command: Command) -> None:
    """`campaign 1`: starts an election now."""
    cluster.attempt(cluster.host(command.member).node.campaign)


@handles("propose")
def _propose(cluster: Cluster, command: Command) -> None:
    """`propose 1 hello a*100`: one entry for each word; `-` is an empty one."""
    node = cluster.host(command.member).node
    words = _data(command.words[1:])
    cluster.propose(lambda: node.propose(*words))


def _data(words: Sequence[str]) -> list[bytes]:
    found = []
    for word in words:
        text, star, count = word.partition("*")
        found.append(b"" if word == "-" else (text * int(count) if star else word).encode())
    return found


@handles("change")
def _change(cluster: Cluster, command: Command) -> None:
    """`change 1 add-voter=4,5 remove=2 [implicit|explicit]`; without changes: leave joint."""
    change = ConfChange()
    for word in command.words[1:]:
        change.transition = _TRANSITIONS[word]
    for key in command.options:
        if key not in _CHANGES:
            raise ScriptError(f"no such change: {key}")
        for raft_id in command.numbers(key):
            change.changes.add(type=_CHANGES[key], member=Member(raft_id=raft_id))
    node = cluster.host(command.member).node
    cluster.propose(lambda: node.propose_conf_change(change))


@handles("transfer")
def _transfer(cluster: Cluster, command: Command) -> None:
    """`transfer 1 to=2`: 1 is asked to see to it that 2 leads."""
    node = cluster.host(command.member).node
    cluster.attempt(lambda: node.transfer_leader(command.number("to")))


@handles("read")
def _read(cluster: Cluster, command: Command) -> None:
    """`read 1 r1 r2`: asks for a safe index under each context."""
    node = cluster.host(command.member).node
    for context in command.words[1:]:
        cluster.attempt(partial(node.read_index, context.encode()))


@handles("forget-leader")
def _forget_leader(cluster: Cluster, command: Command) -> None:
    """`forget-leader 2`."""
    cluster.attempt(cluster.host(command.member).node.forget_leader)


@handles("unreachable")
def _unreachable(cluster: Cluster, command: Command) -> None:
    """`unreachable 1 peer=2`: 1 is told that sending to 2 failed."""
    node = cluster.host(command.member).node
    cluster.attempt(lambda: node.report_unreachable(command.number("peer")))


@handles("report-snapshot")
def _report_snapshot(cluster: Cluster, command: Command) -> None:
    """`report-snapshot 1 peer=2 ok|failed`: 1 is told how sending a snapshot to 2 ended."""
    node = cluster.host(command.member).node
    went_well = {"ok": True, "failed": False}[command.words[1]]
    cluster.attempt(lambda: node.report_snapshot(command.number("peer"), went_well))
