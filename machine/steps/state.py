"""What a host's own daemon says of itself, and of the swarm it is in."""

import json
from collections.abc import Mapping
from typing import Any

from machine.layout import CURRENT
from machine.provisioning import Tell
from machine.remote import Remote
from machine.steps.step import failure

_TIMEOUT = 120.0  # Python alone takes half a minute to start on an emulated processor
_LEAVING = 300.0
_INFO = ("system", "info", "--format", "json")
FIND = 'for p in "$0" swarmctl /opt/swarm/bin/swarmctl; do command -v "$p" && break; done'
"""Finds our program, for one that was installed by hand lies elsewhere."""


async def swarm_state(remote: Remote, socket: str) -> str:
    """inactive, active, pending or locked; "" if no daemon answers."""
    found = await told(remote, socket)
    if found is None:
        return ""
    swarm = found.get("Swarm")
    return str(swarm.get("State", "inactive")) if isinstance(swarm, dict) else "inactive"


async def version_of(remote: Remote, socket: str) -> str:
    """The version that runs; "" if no daemon answers."""
    return str((await told(remote, socket) or {}).get("Version", ""))


async def leave(remote: Remote, socket: str, tell: Tell) -> None:
    """Leaves the swarm, if the host is in one; the others are not asked. Where no daemon answers,
    that is told.
    """
    state = await swarm_state(remote, socket)
    if not state:
        tell(
            "swarmd does not answer, so that no swarm is left: if it is in one, "
            "remove its node there (swarmctl node rm --force)"
        )
    if state in ("", "inactive"):
        return
    argv = [await program_of(remote), "-H", f"unix://{socket}", "swarm", "leave", "--force"]
    done = await remote.run(argv, timeout=_LEAVING)
    if done.code != 0:
        raise failure(done, argv)


async def told(remote: Remote, socket: str) -> Mapping[str, Any] | None:
    """All that `system info` says there; None if no daemon answers."""
    argv = [await program_of(remote), "-H", f"unix://{socket}", "--timeout", "5s", *_INFO]
    done = await remote.run(argv, timeout=_TIMEOUT)
    try:
        found = json.loads(done.text) if done.code == 0 else None
    except ValueError:
        return None
    return found if isinstance(found, dict) else None


async def program_of(remote: Remote) -> str:
    """`swarmctl`, wherever it is there; what fails if it is nowhere."""
    found = await remote.run(["sh", "-c", FIND, f"{CURRENT}/bin/swarmctl"], timeout=_TIMEOUT)
    return found.text.splitlines()[0] if found.text else "false"
