"""Looks at a host once, in one round trip. Changes nothing."""

from functools import cache
from importlib.resources import files

from api.errors import Code, SwarmError
from hostkit.clock import Clock
from machine.facts import parse
from machine.facts.facts import Facts
from machine.packages import ALL
from machine.remote import Remote

TIMEOUT = 300.0
"""Seconds: the mirror and the index may each take some until they count as not reached, and a host
with a slow or emulated processor, or a busy one, a hundred for all the programs that are asked.
"""


async def look(remote: Remote, clock: Clock) -> Facts:
    """What the host is and has. `clock`: our wall clock, which the host's is compared with."""
    before = clock()
    done = await remote.run(
        ["sh", "-s", " ".join(ALL)], stdin=_script(), timeout=TIMEOUT, limit=parse.MAX_BYTES
    )
    try:
        return parse.facts(done.out, before, clock())
    except ValueError as error:
        talk = done.err.decode(errors="replace").strip().splitlines()
        raise SwarmError(
            Code.UNAVAILABLE,
            f"cannot look at {remote.name}",
            why=f"{error}" + (f": {talk[-1][:200]}" if talk else ""),
            remedy="look whether `sh` and the base system of Debian work there",
        ) from None


@cache
def _script() -> bytes:
    return files("machine.facts").joinpath("look.sh").read_bytes()
