"""What a host's own daemon says of the swarm it is in."""

import json

from machine.layout import CURRENT
from machine.remote import Remote

_TIMEOUT = 30.0


async def swarm_state(remote: Remote, socket: str) -> str:
    """inactive, active, pending or locked; "" if no daemon answers."""
    command = [f"{CURRENT}/bin/swarmctl", "-H", f"unix://{socket}", "--timeout", "5s"]
    done = await remote.run([*command, "system", "info", "--format", "json"], timeout=_TIMEOUT)
    if done.code != 0:
        return ""
    try:
        return str(json.loads(done.text).get("Swarm", {}).get("State", "inactive"))
    except (ValueError, AttributeError):
        return ""
