"""Whether the managers go on agreeing while one of them is away, or once it is gone. Pure.

Every change of a swarm has to be on more than half of its managers (manager.group.moves refuses by
the same count; this is asked before anything is begun).
"""

from collections.abc import Iterable

from machine.swarm.seen import NodeSeen

TOO_FEW_TO_SPARE = 2
"""Of one manager, or of two, none can be away: a restart halts the swarm's changes meanwhile."""


def majority(managers: int) -> int:
    """How many of so many have to agree."""
    return managers // 2 + 1


def bears_absence(nodes: Iterable[NodeSeen], node_id: str) -> bool:
    """Whether that manager may be restarted: the others agree without it, as they do already if
    it is away, or never could.
    """
    seated = {each.id: each.is_reachable for each in nodes if each.is_seated}
    if len(seated) <= TOO_FEW_TO_SPARE or not seated.pop(node_id, False):
        return True
    return sum(seated.values()) >= majority(len(seated) + 1)


def bears_loss(nodes: Iterable[NodeSeen], node_id: str) -> bool:
    """Whether that manager may give up its seat: others are left, and enough of them are there."""
    left = [each for each in nodes if each.is_seated and each.id != node_id]
    return bool(left) and sum(each.is_reachable for each in left) >= majority(len(left))
