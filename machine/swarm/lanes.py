"""What is done with one host, in order, from what is wanted of it and how it was seen. Pure."""

from collections.abc import Callable, Iterator

from machine.provisioning import LONG, Kind
from machine.swarm.actions import (
    Action,
    Adjust,
    AwaitQuorum,
    AwaitReady,
    Drain,
    Init,
    Install,
    Join,
    Lane,
    Leave,
    Prepare,
    Remove,
    Restore,
    Revert,
    SetRole,
    Uninstall,
)
from machine.swarm.choices import Choices
from machine.swarm.seen import FORMER, NodeSeen, Seen, Standing
from machine.swarm.wanted import Availability, HostWanted, Role, SwarmWanted

Maker = Callable[[HostWanted], Lane]
_FORGOTTEN = (Standing.ACTIVE, Standing.PENDING)
"""How a host stands that its managers have removed."""


class Lanes:
    """Makes the lanes of one plan. A lane without actions: nothing is to be done."""

    def __init__(self, wanted: SwarmWanted, seen: Seen, choices: Choices) -> None:
        self._wanted = wanted
        self._seen = seen
        self._choices = choices

    def first(self, host: HostWanted) -> Lane:
        """The first manager of a swarm that is not there yet."""
        joins = Init(host.name, host.availability or Availability.ACTIVE)
        return Lane(host.name, (joins, AwaitReady(host.name), *self._labels(host, None)))

    def installed(self, host: HostWanted) -> Lane:
        """A host that is no node yet: what it needs for that. It touches nobody else."""
        is_node = self._seen.node_of(host.name) is not None
        return Lane(host.name, () if is_node else self._install(host))

    def prepared(self, host: HostWanted) -> Lane:
        """A node that is to be upgraded: what takes long of that, and ends nothing."""
        node = self._seen.node_of(host.name)
        if node is None or self._choices.goes_back or not self._is_upgraded(host, node):
            return Lane(host.name, ())
        brings = {each.step for each in self._seen.hosts[host.name].changes} & LONG
        actions = (Prepare(host.name, self._wanted.version),) if brings else ()
        return Lane(host.name, actions)

    def manager(self, host: HostWanted) -> Lane:
        """A manager but for its version: it joins, is promoted, or gets other settings."""
        node = self._seen.node_of(host.name)
        if node is None or node.role is not Role.MANAGER:
            return self._entering(host, node)
        return Lane(host.name, (*self._refreshed(host, node), *self._labels(host, node)))

    def worker(self, host: HostWanted) -> Lane:
        """The same of a worker."""
        node = self._seen.node_of(host.name)
        if node is None:
            return self._entering(host, node)
        if node.role is Role.MANAGER:
            return Lane(host.name, ())  # see demoted
        return Lane(host.name, (*self._refreshed(host, node), *self._labels(host, node)))

    def manager_version(self, host: HostWanted) -> Lane:
        """Another version on a manager: the others go on without it meanwhile."""
        node = self._seen.node_of(host.name)
        if node is None or not self._is_upgraded(host, node):
            return Lane(host.name, ())
        name, version = host.name, self._wanted.version
        before = self._seen.hosts[name].version
        return Lane(
            name,
            (
                AwaitQuorum(name, node_id=node.id),
                *self._changed(host),
                AwaitReady(name, version, node_id=node.id),
                *self._restored(host, node),
            ),
            undo=(Revert(name, before), AwaitReady(name, node_id=node.id)),
        )

    def worker_version(self, host: HostWanted) -> Lane:
        """Another version on a worker, which is empty meanwhile."""
        node = self._seen.node_of(host.name)
        if node is None or not self._is_upgraded(host, node):
            return Lane(host.name, ())
        name = host.name
        drains = self._choices.drains and not node.is_down
        before: tuple[Action, ...] = (Drain(name, is_passing=True),) if drains else ()
        after = (Restore(name, host.availability),) if drains else self._restored(host, node)
        ready = AwaitReady(name, self._wanted.version, node_id=node.id)
        back = Revert(name, self._seen.hosts[name].version)
        return Lane(
            name,
            (*before, *self._changed(host), ready, *after),
            undo=(back, AwaitReady(name, node_id=node.id), *after),
        )

    def demoted(self, host: HostWanted) -> Lane:
        """A manager that is to be a worker; its version is that of managers until then."""
        node = self._seen.node_of(host.name)
        if node is None or node.role is not Role.MANAGER:
            return Lane(host.name, ())
        name = host.name
        demote = (AwaitQuorum(name, goes=True), SetRole(name, role=Role.WORKER))
        return Lane(
            name, (*demote, AwaitReady(name), *self._install(host), *self._labels(host, node))
        )

    def removed(self, host: HostWanted) -> Lane:
        """A host that is to be no node any more."""
        found, node = self._seen.hosts[host.name], self._seen.node_of(host.name)
        if found.error:
            found_nodes = self._seen.called(host)  # of several, judge.py refuses
            return self.pruned(found_nodes[0].id, host.name) if found_nodes else Lane(host.name, ())
        actions = [*self._goes(host.name, node)] if node is not None else []
        if found.standing in _FORGOTTEN:
            actions.append(Leave(host.name))
        if self._choices.cleanup and found.is_installed:
            actions.append(Uninstall(host.name))
        return Lane(host.name, tuple(actions))

    def pruned(self, node_id: str, name: str = "") -> Lane:
        """A node whose host cannot be asked."""
        node = self._seen.nodes[node_id]
        return Lane(name or node.hostname or node_id, tuple(self._goes(name, node)))

    def node_of(self, lane: Lane) -> NodeSeen | None:
        """The node that the lane takes away; None if its host is none any more."""
        node_id = next((each.node_id for each in lane.actions if each.node_id), "")
        return self._seen.nodes.get(node_id) or self._seen.node_of(lane.host)

    def _goes(self, name: str, node: NodeSeen) -> Iterator[Action]:
        """Out of the swarm before the host forgets it: so whoever goes on sees which node it is."""
        host, key = name or node.hostname or node.id, node.id
        if not node.is_down:
            yield Drain(host, node_id=key)
        if node.role is Role.MANAGER or node.is_seated:
            yield AwaitQuorum(host, goes=True, node_id=key)
            yield SetRole(host, role=Role.WORKER, node_id=key)
        yield Remove(host, node_id=key)

    def _entering(self, host: HostWanted, node: NodeSeen | None) -> Lane:
        name, found = host.name, self._seen.hosts[host.name]
        if node is not None:
            promote = SetRole(name, role=Role.MANAGER, node_id=node.id)
            enters: tuple[Action, ...] = (*self._install(host), promote)
        elif found.standing in _FORGOTTEN:
            enters = (Leave(name), self._join(host))
        else:
            enters = (self._join(host),)
        return Lane(name, (*enters, AwaitReady(name), *self._labels(host, node)))

    def _join(self, host: HostWanted) -> Join:
        return Join(host.name, host.role, host.availability or Availability.ACTIVE)

    def _install(self, host: HostWanted) -> tuple[Action, ...]:
        found = self._seen.hosts[host.name]
        if not found.changes and not self._is_other_version(host):
            return ()
        version = self._wanted.version if self._is_other_version(host) else ""
        return (Install(host.name, found.changes, version),)

    def _changed(self, host: HostWanted) -> tuple[Action, ...]:
        """Another version: a new one, or the one before."""
        if self._choices.goes_back:
            return (Revert(host.name, self._wanted.version),)
        return self._install(host)

    def _refreshed(self, host: HostWanted, node: NodeSeen) -> Iterator[Action]:
        """Changes of a node that has the right version; the others came with it."""
        found = self._seen.hosts[host.name]
        if not found.changes or self._is_other_version(host):
            return
        restarts = any(each.kind is Kind.RESTART for each in found.changes)
        if restarts and node.is_seated:
            yield AwaitQuorum(host.name, node_id=node.id)
        yield Install(host.name, found.changes)
        yield AwaitReady(host.name, node_id=node.id)

    def _labels(self, host: HostWanted, node: NodeSeen | None) -> tuple[Action, ...]:
        """What of labels and availability is not as wanted; of a new node, its labels."""
        if node is None:
            return (Adjust(host.name, labels=host.labels),) if host.labels else ()
        present = {key: value for key, value in node.labels.items() if key != FORMER}
        labels = present if host.labels is None else host.labels
        changed = {key: value for key, value in labels.items() if present.get(key) != value}
        dropped = tuple(sorted(present.keys() - labels.keys()))
        wanted = host.availability
        upgraded = self._is_upgraded(host, node)  # which gives its availability back as well
        actions: list[Action] = [] if upgraded else [*self._restored(host, node)]
        other = wanted if wanted is not node.availability and FORMER not in node.labels else None
        if changed or dropped or other is not None:
            actions.append(Adjust(host.name, labels=changed, dropped=dropped, availability=other))
        return tuple(actions)

    def _restored(self, host: HostWanted, node: NodeSeen) -> tuple[Action, ...]:
        """Of a node that an upgrade left drained: its availability."""
        return (Restore(host.name, host.availability),) if FORMER in node.labels else ()

    def _is_upgraded(self, host: HostWanted, node: NodeSeen) -> bool:
        """Whether its version is changed by itself, and not on the way into another role."""
        keeps_role = node.is_seated == (host.role is Role.MANAGER) and node.role is host.role
        return keeps_role and self._is_other_version(host)

    def _is_other_version(self, host: HostWanted) -> bool:
        found, version = self._seen.hosts[host.name], self._wanted.version
        return bool(version) and found.version != version
