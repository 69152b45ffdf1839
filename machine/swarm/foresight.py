"""What a plan would lose if it were carried out: the quorum, or the only copy of data; and what it
will ask of the operator meanwhile. Pure.

Follows the seats of the managers through the plan, action by action.
"""

import dataclasses
from collections.abc import Iterable, Iterator

from machine.provisioning import Kind
from machine.swarm.actions import (
    Action,
    Init,
    Install,
    Join,
    Remove,
    Revert,
    SetOptions,
    SetRole,
)
from machine.swarm.options import AUTOLOCK, OPTIONS
from machine.swarm.quorum import TOO_FEW_TO_SPARE, bears_absence, bears_loss
from machine.swarm.seen import TO_UNLOCK, NodeSeen, Seen
from machine.swarm.wanted import Role, SwarmWanted


def losses(actions: Iterable[Action], seen: Seen, *, may_lose_data: bool) -> Iterator[str]:
    """Why each action that loses something must not be."""
    nodes = dict(seen.nodes)
    for action in actions:
        node = nodes.get(action.node_id) or _node_of(action.host, seen, nodes)
        match action:
            case Join(role=Role.MANAGER) | SetRole(role=Role.MANAGER):
                key = node.id if node else f"new {action.host}"
                seat = node or NodeSeen(key)
                nodes[key] = dataclasses.replace(seat, is_seated=True, is_reachable=True)
            case SetRole() if node is not None and node.is_seated:
                if not bears_loss(nodes.values(), node.id):
                    yield _too_few(action.host, "taken out of the managers", nodes)
                nodes[node.id] = dataclasses.replace(node, is_seated=False)
            case Install() | Revert() if node is not None and node.is_seated and _restarts(action):
                if not bears_absence(nodes.values(), node.id):
                    yield _too_few(action.host, "restarted", nodes)
            case Remove() if node is not None:
                del nodes[node.id]
                if not may_lose_data:
                    yield from _lost_data(action.host, node, seen)


def pauses(actions: Iterable[Action], seen: Seen) -> Iterator[str]:
    """That the swarm will take no changes for a while, where a plan brings that about."""
    seated = [each for each in seen.nodes.values() if each.is_seated]
    if len(seated) > TOO_FEW_TO_SPARE:
        return
    for action in actions:
        node = _node_of(action.host, seen, dict(seen.nodes))
        if node in seated and isinstance(action, Install | Revert) and _restarts(action):
            yield "the swarm takes no changes while one of its managers is restarted"
            return


def locks(actions: Iterable[Action], wanted: SwarmWanted, seen: Seen) -> Iterator[str]:
    """What autolock asks of the operator: to note the key in time, and to give it to managers that
    are restarted, each while the run waits for it.
    """
    seated = {name for name in seen.hosts if (node := seen.node_of(name)) and node.is_seated}
    is_begun, locked = False, dict[str, None]()
    for action in actions:
        match action:
            case Init():
                is_begun |= bool(wanted.options.get(AUTOLOCK))
            case SetOptions(options=options):
                is_begun |= any(each.name == AUTOLOCK and value for each, value in options)
            case SetRole(role=Role.WORKER):
                seated.discard(action.host)
            case Install() | Revert() if action.host in seated and _restarts(action):
                locked[action.host] = None
    if is_begun:
        yield (
            "managers will ask for the unlock key after each restart: note it as soon as this is "
            "done: swarmctl swarm unlock-key"
        )
    if locked and seen.spec.get(OPTIONS[AUTOLOCK].key):
        names = ", ".join(locked)
        yield f"a manager that is restarted is locked then, and waited for ({names}): {TO_UNLOCK}"


def _node_of(host: str, seen: Seen, nodes: dict[str, NodeSeen]) -> NodeSeen | None:
    found = seen.hosts.get(host)
    return nodes.get(found.node_id) if found is not None and found.node_id else None


def _restarts(action: Install | Revert) -> bool:
    if action.version or isinstance(action, Revert):
        return True
    return any(each.kind is Kind.RESTART for each in action.changes)


def _too_few(host: str, how: str, nodes: dict[str, NodeSeen]) -> str:
    seated = [each for each in nodes.values() if each.is_seated]
    away = sorted(each.hostname or each.id for each in seated if not each.is_reachable)
    missing = f": {', '.join(away)} cannot be reached" if away else ""
    return (
        f"{host} cannot be {how} now: of {len(seated)} managers too few would be left to agree"
        f"{missing}. Bring the others back, or add a manager to the file"
    )


def _lost_data(host: str, node: NodeSeen, seen: Seen) -> Iterator[str]:
    volumes = sorted({*seen.homes.get(node.hostname, ()), *seen.homes.get(node.id, ())})
    if volumes:
        yield (
            f"{host} holds the only copy of {', '.join(volumes)}: move them: "
            "swarmctl volume migrate VOLUME NODE, or say --lose-data"
        )
