"""Which of the nodes that can take a task gets it: the emptiest, so that tasks spread out.

The order, from best to worst: nodes where tasks like this did not keep failing, nodes with fewer
tasks of the service, nodes with fewer tasks in all, and last the smaller id, so that the same state
always gives the same choice. CPU and memory load have no part in it (SwarmKit, scheduler.go).
"""

from enum import Enum

from manager.scheduler.nodes import GroupKey, NodeInfo
from manager.scheduler.tree import Rank


class NoAnswer(Enum):
    """Why it is not known yet which node is the best."""

    TOO_FAR = "it is not among the first, and another order has to find it"
    NOT_YET = "there was no time left to bring an order up to date"


def rank(node: NodeInfo, group: GroupKey, now: float) -> Rank:
    """The node's place in the order for tasks of the group, but for its id: the least is best."""
    faulty = bool(node.failures) and bool(node.faulty_until(group, now))
    return (faulty, node.of_service.get(group[0], 0), node.tasks)
