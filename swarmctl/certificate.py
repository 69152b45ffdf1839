"""Keeps a node's certificate fresh, and lets all who use it know of the next one.

Renews in time; a certificate that expired all the same, as its managers or this host were away for
weeks, is replaced at the identity port, which asks for none. Issues nothing itself.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence

import grpc

from api.channel import node_channel
from api.enroll import reenroll_expired
from api.errors import Code, SwarmError
from api.identity import Credentials, check_current
from hostkit.clock import wall
from hostkit.together import alongside
from swarmctl.safe import NodeSafe
from worker.backoff import Backoff, Chance
from worker.renewal import Renewal, renew

logger = logging.getLogger(__name__)

CLOCK_CHECK = 300.0
"""Seconds after which the wall clock is looked at again: it may have been set, the host suspended.
"""
REENROL_FIRST = 1.0
REENROL_LONGEST = 60.0
"""Seconds between tries to replace a certificate that has expired."""


class CertificateKeeper:
    """The certificate in `safe`. `run` keeps it fresh; `changed` is called when there is a new one.

    `addresses`: the managers to ask; `own`: what a manager signs for itself, None on a worker.
    """

    def __init__(
        self,
        safe: NodeSafe,
        *,
        addresses: Callable[[], Sequence[str]],
        own: Callable[[Credentials], Awaitable[Credentials | None]],
        changed: Callable[[Credentials], None],
        chance: Chance,
    ) -> None:
        self.safe = safe
        self._addresses = addresses
        self._own = own
        self._changed = changed
        self._chance = chance
        self._tries = 0

    @property
    def credentials(self) -> Credentials:
        """Those of now."""
        return self.safe.credentials

    def connect(self, address: str) -> grpc.aio.Channel:
        """A channel to the manager at `address` (host:port) with the credentials of now."""
        return node_channel(address, self.credentials)

    def is_expired(self) -> bool:
        """Whether the certificate is worth nothing any more."""
        return self.credentials.identity.not_after <= wall()

    async def run(self) -> None:
        """Works until cancelled."""
        while True:
            if self.is_expired():
                await self._replace_expired()
            renewal = Renewal(
                credentials=lambda: self.credentials,
                connect=self._connect_in_turn,
                renewed=self.take,
                chance=self._chance,
                wall=wall,
            )
            await alongside(renewal.run(), self._until_expired())

    async def renew(self) -> None:
        """Gets another certificate now: the node's role has changed. SwarmError if none comes."""
        async with self._connect_in_turn() as channel:
            await self.take(await renew(channel, self.credentials))

    async def take(self, credentials: Credentials) -> None:
        """Makes these the present ones, on the disk first. SwarmError if that takes no writes, or
        they are not valid by this host's clock: those of before stay then.
        """
        check_current(credentials.certificate_pem, wall())
        try:
            await asyncio.to_thread(self.safe.save, credentials)
        except OSError as error:
            raise SwarmError(
                Code.UNAVAILABLE,
                "the new certificate cannot be written",
                why=str(error),
                remedy="look after the disk and its free space",
            ) from error
        self._changed(credentials)

    async def _replace_expired(self) -> None:
        backoff = Backoff(self._chance, first=REENROL_FIRST, longest=REENROL_LONGEST)
        while True:
            try:
                await self.take(await self._reenrolled())
            except SwarmError as error:
                logger.warning("the expired certificate is not replaced yet: %s", error)
            else:
                logger.info("the expired certificate was replaced")
                return
            await asyncio.sleep(backoff.next())

    async def _reenrolled(self) -> Credentials:
        try:
            own = await self._own(self.credentials)
        except SwarmError as error:
            logger.warning("this manager cannot sign its own certificate: %s", error)
        else:
            if own is not None:
                return own
        return (await reenroll_expired(list(self._addresses()), self.credentials)).credentials

    async def _until_expired(self) -> None:
        while not self.is_expired():
            left = self.credentials.identity.not_after - wall()
            await asyncio.sleep(max(0.0, min(left, CLOCK_CHECK)))

    def _connect_in_turn(self) -> grpc.aio.Channel:
        """To another manager at each try: one that is away must not keep a certificate from
        being renewed.
        """
        addresses = self._addresses()
        self._tries += 1
        return self.connect(addresses[self._tries % len(addresses)])
