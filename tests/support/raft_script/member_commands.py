"""Commands that make members, break them, bring them back, and show what they hold."""

from collections.abc import Callable
from typing import Any

from api.v1.raft_pb2 import ConfState, Entry, HardState, Snapshot, SnapshotMetadata
from tests.support.raft_script.cluster import Cluster
from tests.support.raft_script.host import Host
from tests.support.raft_script.registry import handles
from tests.support.raft_script.script import Command, ScriptError
from tests.support.raft_script.status_text import log_lines, status_line, status_lines
from tests.support.raft_script.words import snapshot_text

_DEFAULTS: dict[str, Any] = {"election_tick": 10, "heartbeat_tick": 2}


def _flag(text: str) -> bool:
    if text not in ("true", "false"):
        raise ScriptError(f"neither true nor false: {text}")
    return text == "true"


def _not_flag(text: str) -> bool:
    return not _flag(text)


_OPTIONS: dict[str, tuple[str, Callable[[str], object]]] = {
    "election": ("election_tick", int),
    "heartbeat": ("heartbeat_tick", int),
    "pre-vote": ("pre_vote", _flag),
    "check-quorum": ("check_quorum", _flag),
    "max-message": ("max_size_per_msg", int),
    "max-committed": ("max_committed_size_per_ready", int),
    "max-uncommitted": ("max_uncommitted_size", int),
    "max-inflight": ("max_inflight_msgs", int),
    "max-inflight-bytes": ("max_inflight_bytes", int),
    "step-down-on-removal": ("step_down_on_removal", _flag),
    "forwarding": ("disable_proposal_forwarding", _not_flag),
}


def _settings(command: Command) -> dict[str, object]:
    """What the command says about the Config of a member."""
    known = {_OPTIONS[key][0]: key for key in command.options if key in _OPTIONS}
    odd = set(command.options) - set(known.values()) - {"learners"}
    if odd:
        raise ScriptError(f"{command.name}: unknown {', '.join(sorted(odd))}")
    return {field: _OPTIONS[key][1](command.options[key]) for field, key in known.items()}


def _bootstrap(voters: list[int], learners: list[int]) -> Snapshot:
    """The start of a group: a snapshot of nothing at index 1 of term 1, as a manager makes it."""
    conf = ConfState(voters=voters, learners=learners)
    return Snapshot(metadata=SnapshotMetadata(index=1, term=1, conf=conf))


@handles("nodes")
def _nodes(cluster: Cluster, command: Command) -> None:
    """`nodes 3 [learners=4,5] [down] [options]`: the group, at index 1 of term 1."""
    learners = command.numbers("learners")
    voters = [each for each in range(1, command.member + len(learners) + 1) if each not in learners]
    voters = voters[: command.member]
    for raft_id in sorted([*voters, *learners]):
        host = Host(raft_id, _DEFAULTS | _settings(command), cluster.say)
        host.disk.apply_snapshot(_bootstrap(voters, learners))
        host.disk.set_hard_state(HardState(term=1, commit=1))
        cluster.hosts[raft_id] = host
        if "down" not in command.words:
            host.start()
    cluster.show(cluster.hosts.values())


@handles("node")
def _node(cluster: Cluster, command: Command) -> None:
    """`node 4 [options]`: one that joins, with nothing on its disk."""
    host = Host(command.member, _DEFAULTS | _settings(command), cluster.say)
    cluster.hosts[host.id] = host
    host.start()
    cluster.show([host])


@handles("disk")
def _disk(cluster: Cluster, command: Command) -> None:
    """`disk 2 terms=1,1,4 [term=4] [vote=0] [commit=1]`: the log of a member that is down."""
    host = cluster.host(command.member)
    if host.raw is not None:
        raise ScriptError(f"{host.id} is up")
    terms = command.numbers("terms")
    entries = [
        Entry(term=term, index=index, data=f"e{index}.{term}".encode())
        for index, term in enumerate(terms[1:], start=2)
    ]
    host.disk.append(entries)
    term = command.number("term", terms[-1])
    state = HardState(term=term, vote=command.number("vote", 0), commit=command.number("commit", 1))
    host.disk.set_hard_state(state)


@handles("crash")
def _crash(cluster: Cluster, command: Command) -> None:
    """`crash 1 2`: memory is gone, the disk stays."""
    for raft_id in command.ids:
        cluster.host(raft_id).crash()


@handles("restart")
def _restart(cluster: Cluster, command: Command) -> None:
    """`restart 1 2 [options]`, from the disk; without ids, all that are down."""
    down = [host for host in cluster.hosts.values() if host.raw is None]
    for host in [cluster.host(raft_id) for raft_id in command.ids] or down:
        host.crash()
        host.options |= _settings(command)
        host.start()
        cluster.show([host])


@handles("timeout")
def _timeout(cluster: Cluster, command: Command) -> None:
    """`timeout 2 ticks=15`: what the member draws from now on."""
    cluster.host(command.member).chance.timeout = command.number("ticks")


@handles("snapshot")
def _snapshot(cluster: Cluster, command: Command) -> None:
    """`snapshot 1`: one of what is applied; the log stays."""
    host = cluster.host(command.member)
    machine = host.machine
    made = host.disk.create_snapshot(machine.applied, machine.conf, machine.data())
    cluster.say(f"  {snapshot_text(made)}")


@handles("compact")
def _compact(cluster: Cluster, command: Command) -> None:
    """`compact 1 [index=5]`: forgets the log up to the index, by default that of the snapshot."""
    host = cluster.host(command.member)
    host.disk.compact(command.number("index", host.disk.snapshot().metadata.index))
    cluster.show([host])


@handles("busy")
def _busy(cluster: Cluster, command: Command) -> None:
    """`busy 1 true`: its snapshot is not at hand for now."""
    cluster.host(command.member).disk.busy = _flag(command.words[1])


@handles("status")
def _status(cluster: Cluster, command: Command) -> None:
    """`status [1 2]`: one line each; with `full`, also configuration and progress."""
    lines = status_lines if "full" in command.words else _one_line
    for host in [cluster.host(each) for each in command.ids] or list(cluster.hosts.values()):
        for line in lines(host):
            cluster.say(line)


def _one_line(host: Host) -> list[str]:
    return [status_line(host)]


@handles("log")
def _log(cluster: Cluster, command: Command) -> None:
    """`log 1 2`: the entries on the disk."""
    for raft_id in command.ids:
        cluster.say(f"{raft_id} log")
        for line in log_lines(cluster.host(raft_id)):
            cluster.say(line)


@handles("machine")
def _machine(cluster: Cluster, command: Command) -> None:
    """`machine 1 2`: what was applied, as the machine sees it."""
    for raft_id in command.ids:
        machine = cluster.host(raft_id).machine
        cluster.say(f"{raft_id} applied={machine.applied} {machine.commands}")
