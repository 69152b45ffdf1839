"""Plays a scenario from its first block to its last. Compares nothing: that is the test's."""

from collections.abc import Sequence

from tests.support.raft_script import core_commands, member_commands, traffic_commands
from tests.support.raft_script.cluster import Cluster
from tests.support.raft_script.registry import run
from tests.support.raft_script.script import Block

# Each of them registers its commands when it is imported.
FAMILIES = (core_commands, member_commands, traffic_commands)


def play(blocks: Sequence[Block]) -> list[list[str]]:
    """The transcript of each block, on a fresh cluster."""
    cluster = Cluster()
    return [_play_block(cluster, block) for block in blocks]


def _play_block(cluster: Cluster, block: Block) -> list[str]:
    if block.expected is None:
        return []
    for command in block.commands:
        run(cluster, command)
    return cluster.transcript()
