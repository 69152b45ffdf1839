"""Ends what a host did for a swarm that it has left: tasks, and what the agent remembers of them.

The membership has been resigned before, durably, and is forgotten here last: whatever interrupts
this, the next start of the daemon finds `is_leaving` and does the rest.
"""

import asyncio
import logging
from pathlib import Path

from api.errors import SwarmError
from api.v1 import objects_pb2
from swarmctl.membership import MembershipStore
from worker.executor import Executor
from worker.node_networks import NodeNetworks
from worker.storage import AGENT_FILE, Storage

logger = logging.getLogger(__name__)


async def depart(
    executor: Executor, networks: NodeNetworks, memberships: MembershipStore, state_dir: Path
) -> None:
    """Stops and removes every task of this host, each with its grace period, and its networks, then
    forgets all.

    A task that cannot be removed is logged and left: the agent of a later swarm removes it.
    """
    tasks = await _remembered(state_dir / AGENT_FILE) if _is_remembered(state_dir) else {}
    # Containers whose removal was under way are no longer among the tasks that are remembered.
    for task_id in await executor.recover():
        tasks.setdefault(task_id, objects_pb2.Task(id=task_id))
    await asyncio.gather(*(_end(executor, task) for task in tasks.values()))
    try:
        await networks.clear()
    except SwarmError as error:
        logger.warning("networks of the swarm are not all removed: %s", error)
    forget_tasks(state_dir)
    memberships.clear()


def forget_tasks(state_dir: Path) -> None:
    """Deletes what an agent remembers; the tasks of one swarm must not be known in the next."""
    for file in state_dir.glob(f"{AGENT_FILE}*"):
        file.unlink()


def _is_remembered(state_dir: Path) -> bool:
    return (state_dir / AGENT_FILE).exists()


async def _remembered(path: Path) -> dict[str, objects_pb2.Task]:
    try:
        storage = await Storage.open(path)
        try:
            return (await storage.load()).tasks
        finally:
            await storage.close()
    except SwarmError as error:
        logger.warning("grace periods of tasks are not known, defaults are used: %s", error)
        return {}


async def _end(executor: Executor, task: objects_pb2.Task) -> None:
    try:
        await executor.shutdown(task)
        await executor.remove(task)
    except SwarmError as error:
        logger.warning("task %s is not removed: %s", task.id, error)
