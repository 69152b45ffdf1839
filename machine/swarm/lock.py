"""Keeps two operators from changing the same hosts at once: a lease on each host that may change,
and on each host of a manager, held while a command works (docs/decisions/0040).

It ends by itself when its holder is gone: nobody has to be asked, and no clock that can be set is
read. Whoever holds it is named, with what they do.
"""

import asyncio
import contextlib
import math
from collections.abc import AsyncIterator, Callable, Collection, Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files

from api.errors import Code, SwarmError
from machine.remote import Remote

LEASE = 180
"""Seconds that it outlives its holder by at most; longer than a host may be silent."""
RENEW = 15.0
MARGIN = 10.0
"""So many seconds before its end a lease is no longer acted on."""
FOLDER = "/run/swarm-machine"
"""On the host; empty after a boot."""
_TIMEOUT = 20.0
_NOT_OURS = -math.inf
_MOST_TEXT = 300


@dataclass(frozen=True)
class Holder:
    """Who has a host: `text` names them and what they do; `seconds`: until it ends by itself."""

    text: str
    seconds: int


class Lock:
    """Of one run. `id`: chosen anew for each; `clock`: seconds of any steady clock."""

    def __init__(
        self,
        id: str,
        text: str,
        remotes: Mapping[str, Remote],
        managers: Collection[str],
        clock: Callable[[], float],
        *,
        folder: str = FOLDER,
    ) -> None:
        self._folder = folder
        self._id = id
        self._text = "".join(c if c.isprintable() else " " for c in text)[:_MOST_TEXT]
        self._remotes = dict(sorted(remotes.items()))
        self._managers = [name for name in managers if name in remotes]
        self._clock = clock
        self._until: dict[str, float] = {}

    @contextlib.asynccontextmanager
    async def held(self) -> AsyncIterator[None]:
        """Holds it on every host. REFUSED, naming who has one already; then none is kept."""
        renewing = None
        try:
            for name in self._remotes:
                await self._take(name)
            renewing = asyncio.create_task(self._renew_on())
            yield
        finally:
            if renewing is not None:
                renewing.cancel()
                await asyncio.gather(renewing, return_exceptions=True)
            await asyncio.gather(*map(self._give, self._until), return_exceptions=True)

    def covers(self, host: str) -> bool:
        """Whether this host, and more than half of the managers', are ours for certain."""
        fresh = self._fresh()
        managers = sum(name in fresh for name in self._managers)
        enough = not self._managers or 2 * managers > len(self._managers)
        return enough and (host in fresh or host not in self._remotes)

    async def make_sure(self, host: str) -> None:
        """CONFLICT unless they are. Those that could not be asked in time, as over a way that was
        full with what was sent, are asked first: they know whose they are.
        """
        if not self.covers(host):
            late = {host, *self._managers} & self._until.keys() - self._fresh()
            await asyncio.gather(*map(self._renew, late))
        if not self.covers(host):
            raise SwarmError(
                Code.CONFLICT,
                "the lock on the hosts was lost",
                why="it could not be renewed in time, or somebody broke it",
                remedy="see who has it: swarmctl machine lock, then do the same again",
            )

    def _fresh(self) -> set[str]:
        now = self._clock()
        return {name for name, until in self._until.items() if now < until - MARGIN}

    async def _take(self, name: str) -> None:
        self._until[name] = _NOT_OURS  # and given back, if the answer alone is lost
        asked = self._clock()
        holder = await self._ask(name, "take")
        if holder is not None:
            raise SwarmError(
                Code.REFUSED,
                f"{name} is locked by {holder.text}",
                why=f"the lock ends by itself {holder.seconds} s after its holder is gone",
                remedy="wait for them; if they are gone for good: swarmctl machine lock --break",
            )
        self._until[name] = asked + LEASE

    async def _renew_on(self) -> None:
        while True:
            await asyncio.sleep(RENEW)
            await asyncio.gather(*map(self._renew, list(self._until)))

    async def _renew(self, name: str) -> None:
        asked = self._clock()
        with contextlib.suppress(SwarmError):  # it is tried again, and lapses if that is too late
            if await self._ask(name, "renew") is None:
                self._until[name] = asked + LEASE
            else:
                self._until[name] = _NOT_OURS

    async def _give(self, name: str) -> None:
        await self._ask(name, "give")

    async def _ask(self, name: str, verb: str) -> Holder | None:
        return await ask(self._remotes[name], verb, self._id, self._text, folder=self._folder)


async def ask(
    remote: Remote, verb: str, id: str = "", text: str = "", *, folder: str = FOLDER
) -> Holder | None:
    """Asks a host's lock; who else has it, if anybody does. Of `renew` also if nobody does."""
    words = ("sh", "-s", verb, id, str(LEASE), text, folder)
    done = await remote.run(words, stdin=_script(), timeout=_TIMEOUT)
    lines = done.text.splitlines()
    if done.code != 0 or not lines or lines[0] not in ("mine", "free", "held"):
        raise done.failure()
    if lines[0] == "held":
        return Holder(lines[2] if len(lines) > 2 else "somebody", int(lines[1]))  # noqa: PLR2004
    if lines[0] == "free" and verb == "renew":
        return Holder("nobody", 0)
    return None


@cache
def _script() -> bytes:
    return files("machine.swarm").joinpath("lock.sh").read_bytes()
