"""A swarm and its hosts as a model: executes the actions of a plan, fails where it is told to, and
raises AssertionError the moment that something must never be.

What restarts is away until time passes, so that nobody gets by who does not wait.
"""

import dataclasses
import random
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from api.errors import Code, SwarmError
from machine.provisioning import Change, Kind, Tell
from machine.swarm.actions import (
    Action,
    Adjust,
    AwaitQuorum,
    AwaitReady,
    Drain,
    Init,
    Install,
    Join,
    Leave,
    Prepare,
    Remove,
    Restore,
    Revert,
    SetOptions,
    SetRole,
    Uninstall,
)
from machine.swarm.quorum import bears_absence, bears_loss, majority
from machine.swarm.seen import FORMER, HostSeen, NodeSeen, Seen, Standing
from machine.swarm.wanted import Availability, Role, SwarmWanted

BROKEN = "broken"
"""A version whose daemon does not come up."""


@dataclass
class ModelHost:
    """One host. `has_settings`: whether its swarmd.toml is as wanted."""

    version: str = ""
    has_settings: bool = False
    node_id: str = ""
    cluster_id: str = ""

    @property
    def is_up(self) -> bool:
        return bool(self.version) and self.version != BROKEN


@dataclass
class Model:
    """`chance` decides which action fails, before or after its effect; `faults`: how many may."""

    hosts: dict[str, ModelHost]
    chance: random.Random
    faults: int = 0
    version: str = "2"
    nodes: dict[str, NodeSeen] = field(default_factory=dict)
    spec: dict[str, Any] = field(default_factory=dict)
    cluster_id: str = ""
    did: list[Action] = field(default_factory=list)
    _made: int = 0
    _away: set[str] = field(default_factory=set)

    # What an operator sees.

    def seen(self) -> Seen:
        hosts = {name: self._host_seen(host) for name, host in self.hosts.items()}
        return Seen(hosts, dict(self.nodes), self.cluster_id, dict(self.spec))

    def _host_seen(self, host: ModelHost) -> HostSeen:
        found: list[Change] = []
        if host.version != self.version:
            found.append(Change(Kind.ADD, "version", f"install {self.version}"))
        if not host.has_settings:
            found.append(Change(Kind.RESTART, "settings", "swarmd.toml"))
        standing = Standing.NONE
        if host.node_id:
            known = host.node_id in self.nodes
            standing = Standing.ACTIVE if known else Standing.PENDING
            standing = standing if host.is_up else Standing.UNKNOWN
        up = host.is_up
        return HostSeen(
            has_daemon=up,
            is_installed=bool(host.version),
            version=host.version if up else "",
            standing=standing,
            node_id=host.node_id if up else "",
            cluster_id=host.cluster_id if up else "",
            changes=tuple(found),
        )

    def time_passes(self) -> None:
        """All that was restarted is back, if it can be."""
        for node_id in list(self._away):
            if self._host_of(node_id) is None or self._host(node_id).is_up:
                self._change(node_id, is_reachable=True, is_ready=True, is_down=False)
                self._away.discard(node_id)
        for node_id in self.nodes:
            if node_id not in self._away:
                self._change(node_id, is_reachable=self.nodes[node_id].is_seated, is_ready=True)

    # What hands do.

    async def leader(self) -> str:
        leader = next((n for n in self.nodes.values() if n.is_seated and n.is_reachable), None)
        return (self._host_of(leader.id) or "") if leader else ""

    async def do(self, action: Action, tell: Tell) -> None:
        fails = self.faults > 0 and self.chance.random() < 0.2
        self.faults -= fails
        if fails and self.chance.random() < 0.5:
            raise SwarmError(Code.UNAVAILABLE, f"the way to {action.host} was cut")
        self.did.append(action)
        self._do(action)
        self._check()
        if fails:
            raise SwarmError(Code.UNAVAILABLE, f"the answer of {action.host} was lost")

    def _do(self, action: Action) -> None:
        host = self.hosts.get(action.host, ModelHost())
        node_id = action.node_id or host.node_id
        match action:
            case Prepare():
                assert host.node_id in self.nodes
            case Install():
                host.version, host.has_settings = self.version, True
                self._restart(host)
            case Revert(version=version):
                host.version = version
                self._restart(host)
            case Init():
                self._init(host, action.availability)
            case Join():
                self._join(host, action)
            case Leave():
                assert host.node_id not in self.nodes, "it left while it was still a node"
                host.node_id = host.cluster_id = ""
            case Uninstall():
                assert not host.node_id, "uninstalled while it was a node"
                host.version, host.has_settings = "", False
            case _:
                self._do_to_node(action, node_id)

    def _do_to_node(self, action: Action, node_id: str) -> None:
        match action:
            case SetRole(role=role):
                self._set_role(node_id, role)
            case Adjust():
                self._adjust(node_id, action)
            case SetOptions(options=options):
                self.spec.update({each.key: value for each, value in options})
            case Drain(is_passing=is_passing):
                self._drain(node_id, is_passing)
            case Restore(availability=availability):
                labels = dict(self.nodes[node_id].labels)
                former = labels.pop(FORMER, Availability.ACTIVE.value)
                self._change(
                    node_id, labels=labels, availability=availability or Availability(former)
                )
            case Remove():
                self.nodes.pop(node_id, None)
            case _:
                self._wait(action, node_id)

    def _wait(self, action: Action, node_id: str) -> None:
        self.time_passes()
        match action:
            case AwaitQuorum(goes=goes):
                bears = bears_loss if goes else bears_absence
                if not bears(self.nodes.values(), node_id):
                    raise SwarmError(Code.DEADLINE, "too few managers are there")
            case AwaitReady(version=version):
                host = self.hosts[action.host]
                if not host.is_up or (version and host.version != version):
                    raise SwarmError(Code.DEADLINE, f"{action.host} did not become ready")
            case _:
                raise AssertionError(action)

    def _init(self, host: ModelHost, availability: Availability) -> None:
        if host.node_id:
            return
        assert not self.cluster_id, "a second swarm was made"
        assert host.is_up
        self.cluster_id = "c"
        self._enter(host, Role.MANAGER, availability)

    def _join(self, host: ModelHost, action: Join) -> None:
        if not host.is_up:
            raise SwarmError(Code.UNAVAILABLE, "swarmd does not answer")
        if not host.node_id:
            self._enter(host, action.role, action.availability)
        elif self.nodes[host.node_id].role is not action.role:
            self._set_role(host.node_id, action.role)

    def _enter(self, host: ModelHost, role: Role, availability: Availability) -> None:
        self._made += 1
        host.node_id, host.cluster_id = f"n{self._made}", self.cluster_id
        seated = role is Role.MANAGER
        name = next(name for name, each in self.hosts.items() if each is host)
        self.nodes[host.node_id] = NodeSeen(
            id=host.node_id,
            hostname=name,
            role=role,
            is_seated=seated,
            is_reachable=seated,
            is_ready=True,
            availability=availability,
            version=host.version,
        )

    def _set_role(self, node_id: str, role: Role) -> None:
        if role is Role.WORKER and self.nodes[node_id].is_seated:
            assert bears_loss(self.nodes.values(), node_id), "the managers refuse that"
        seated = role is Role.MANAGER
        self._change(node_id, role=role, is_seated=seated, is_reachable=seated)

    def _adjust(self, node_id: str, action: Adjust) -> None:
        labels = {**self.nodes[node_id].labels, **action.labels}
        for key in action.dropped:
            del labels[key]
        self._change(node_id, labels=labels)
        if action.availability is not None:
            self._change(node_id, availability=action.availability)

    def _drain(self, node_id: str, is_passing: bool) -> None:
        node = self.nodes[node_id]
        labels = dict(node.labels)
        if is_passing:
            labels.setdefault(FORMER, node.availability.value)
        self._change(node_id, labels=labels, availability=Availability.DRAIN)

    def _restart(self, host: ModelHost) -> None:
        if host.node_id in self.nodes:
            self._change(host.node_id, is_reachable=False, is_ready=False, version=host.version)
            self._away.add(host.node_id)

    def _change(self, node_id: str, **changed: Any) -> None:
        if node_id in self.nodes:
            self.nodes[node_id] = dataclasses.replace(self.nodes[node_id], **changed)

    def _host_of(self, node_id: str) -> str | None:
        return next((n for n, each in self.hosts.items() if each.node_id == node_id), None)

    def _host(self, node_id: str) -> ModelHost:
        return self.hosts[self._host_of(node_id) or ""]

    def _check(self) -> None:
        seated = [each for each in self.nodes.values() if each.is_seated]
        there = sum(each.is_reachable for each in seated)
        if self.cluster_id:
            assert seated, "the last manager is gone"
        if len(seated) > 2:
            assert there >= majority(len(seated)), "the quorum is lost"


def differences(wanted: SwarmWanted, model: Model) -> Iterable[str]:
    """What is not as the file wants it, looked at without the planner's help."""
    for host in wanted.hosts.values():
        found = model.hosts[host.name]
        node = model.nodes.get(found.node_id)
        if host.is_absent:
            if found.node_id:
                yield f"{host.name} is a node still"
            continue
        if node is None:
            yield f"{host.name} is no node"
            continue
        if found.version != wanted.version or not found.has_settings:
            yield f"{host.name} has {found}"
        if node.role is not host.role or node.is_seated != (host.role is Role.MANAGER):
            yield f"{host.name} is {node}"
        if host.labels is not None and node.labels != host.labels:
            yield f"{host.name} has labels {node.labels}"
        if FORMER in node.labels or host.availability not in (None, node.availability):
            yield f"{host.name} is {node.availability}"
