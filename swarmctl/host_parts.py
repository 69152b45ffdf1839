"""What every life of a host works with, whichever it has: made once, by swarmctl/node.py."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from manager.control.images import AskRegistry
from swarmctl.membership import MembershipStore
from swarmctl.switch import Switch
from worker.attachments import Attachments
from worker.executor import Executor
from worker.node_networks import NodeNetworks
from worker.node_volumes import NodeVolumes


@dataclass(frozen=True, kw_only=True)
class HostParts:
    """Of one host. `failed` hears why the daemon cannot go on."""

    state_dir: Path
    memberships: MembershipStore
    executor: Executor
    networks: NodeNetworks
    volumes: NodeVolumes
    attachments: Attachments
    switch: Switch
    ask_registry: AskRegistry
    failed: Callable[[BaseException], None]
