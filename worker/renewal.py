"""Renews the node's certificate while it is still good: when, and how often it is tried.

The moment is at a random 50 to 80 % of the certificate's life (api/identity.py, `renewal_time`).
What becomes of the new credentials is the caller's affair; so is a certificate that has expired,
which can only be replaced at the identity port.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable

from api.errors import SwarmError
from api.identity import renewal_time
from hostkit.clock import Clock
from worker.backoff import Backoff, Chance

log = logging.getLogger(__name__)

RETRY_FIRST = 10.0
RETRY_LONGEST = 600.0
"""Seconds between tries: SwarmKit's 10 s at first, rarer while the managers stay away."""
LONGEST_SLEEP = 3600.0
"""Seconds after which the clock is looked at again: it may have been set, the host suspended."""
_GRAIN = 1 << 20


def delay_until_renewal(certificate_pem: bytes, now: float, chance: Chance) -> float:
    """Seconds from `now` until a certificate is to be renewed; 0 if that is past. Pure."""
    return max(0.0, renewal_time(certificate_pem, chance.randrange(_GRAIN) / _GRAIN) - now)


class Renewal:
    """Renews in time, for as long as it runs.

    `certificate` gives the present one; `renew` puts another in its place, or raises SwarmError.
    """

    def __init__(
        self,
        *,
        certificate: Callable[[], bytes],
        renew: Callable[[], Awaitable[None]],
        chance: Chance,
        wall: Clock,
    ) -> None:
        self._certificate = certificate
        self._renew = renew
        self._chance = chance
        self._wall = wall
        self._now = asyncio.Event()

    def renew_now(self) -> None:
        """Does not wait for the moment: another root signs now."""
        self._now.set()

    async def run(self) -> None:
        """Renews again and again until it is cancelled."""
        backoff = Backoff(self._chance, first=RETRY_FIRST, longest=RETRY_LONGEST)
        while True:
            await self._wait_for_moment()
            try:
                await self._renew()
            except SwarmError as error:
                delay = backoff.next()
                log.warning("the certificate is not renewed yet, again in %.0f s: %s", delay, error)
                self._now.set()
                await asyncio.sleep(delay)
            else:
                log.info("the certificate was renewed")
                backoff.reset()

    async def _wait_for_moment(self) -> None:
        due = self._wall() + delay_until_renewal(self._certificate(), self._wall(), self._chance)
        while (left := due - self._wall()) > 0:
            try:
                async with asyncio.timeout(min(left, LONGEST_SLEEP)):
                    await self._now.wait()
            except TimeoutError:
                continue
            break
        self._now.clear()
