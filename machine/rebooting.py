"""Restarts a host over SSH, and waits until it has come back. For hosts whose power switch nobody
here can reach.
"""

import asyncio
from collections.abc import Awaitable, Callable

from api.errors import Code, SwarmError
from hostkit.clock import monotonic
from machine.remote import Remote

Connect = Callable[[], Awaitable[Remote]]

_COMMAND = 30.0
_STEP = 1.0
"""Seconds between two looks whether it is back."""
_START_TIME = 19
"""Of what follows the name in /proc/1/stat: when process 1 was started (proc(5), field 22)."""


async def reboot(connect: Connect, timeout: float) -> None:
    """Restarts the host, and returns when it answers again; DEADLINE if it does not in time."""
    remote = await connect()
    name = remote.name
    try:
        before = await _boot(remote)
        await _begin(remote, "reboot")
    finally:
        await remote.close()
    end = monotonic() + timeout
    why = "it went on running"
    while monotonic() < end:
        await asyncio.sleep(_STEP)
        try:
            remote = await connect()
        except SwarmError as error:
            if error.code is not Code.UNAVAILABLE:
                raise
            why = error.why or error.what
            continue
        try:
            if await _boot(remote) != before:
                return
        except SwarmError as error:
            why = error.why or error.what
        finally:
            await remote.close()
    raise SwarmError(
        Code.DEADLINE,
        f"{name} is not back after {timeout:g} s",
        why=why,
        remedy="look at its console",
    )


async def power_off(connect: Connect) -> None:
    """Shuts the host down; returns when it has begun to."""
    remote = await connect()
    try:
        await _begin(remote, "poweroff")
    finally:
        await remote.close()


async def _begin(remote: Remote, verb: str) -> None:
    try:
        answer = await remote.run(["systemctl", "--no-block", verb], timeout=_COMMAND)
    except SwarmError as error:
        if error.code is not Code.UNAVAILABLE:
            raise
        return  # it was faster than its answer
    # A host that goes down may end the command before it has ended by itself.
    if answer.code > 0 and answer.err:
        raise answer.failure()


async def _boot(remote: Remote) -> str:
    """What tells one run of the host from another. A container has its host's boot id always."""
    paths = ["/proc/sys/kernel/random/boot_id", "/proc/1/stat"]
    answer = await remote.run(["cat", *paths], timeout=_COMMAND)
    if answer.code != 0:
        raise answer.failure()
    boot, _, rest = answer.text.partition("\n")
    return f"{boot} {rest.rpartition(')')[2].split()[_START_TIME]}"
