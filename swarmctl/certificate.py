"""Keeps a node's certificate fresh, and lets all who use it know of the next one.

Renews in time, and when another root signs from now on. A certificate that is worth nothing all the
same is replaced at the identity port, which asks for none: it expired, or its root is trusted no
more, as managers or this host were away meanwhile. Issues nothing itself.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace

import grpc

from api.certificates import is_issued_by
from api.channel import node_channel
from api.enroll import reenroll, renew, trusted_roots
from api.errors import Code, SwarmError
from api.identity import Credentials, check_current
from api.trust import Wish, wish
from hostkit.clock import wall
from hostkit.together import alongside
from swarmctl.safe import NodeSafe
from worker.backoff import Backoff, Chance
from worker.renewal import Renewal

logger = logging.getLogger(__name__)

CLOCK_CHECK = 300.0
"""Seconds after which the wall clock is looked at again: it may have been set, the host suspended.
"""
REENROL_FIRST = 1.0
REENROL_LONGEST = 60.0
"""Seconds between tries to replace a certificate that is worth nothing; and, while no manager takes
this one, between questions whether its root is trusted still.
"""
ROOTS_TIMEOUT = 5.0
SHUT_OUT_CHECK = 2.0
"""Seconds between looks whether a manager takes this node in, while one does."""
RENEWAL_SPREAD = 1.0
"""Seconds over which the nodes of a swarm spread their renewals when the root is rotated."""
_GRAIN = 1000
_SILENT = (Code.UNAVAILABLE, Code.DEADLINE)


class CertificateKeeper:
    """The certificate in `safe`. `run` keeps it fresh; `changed` is called with what is new: it is
    the certificate too, or the roots alone.

    `addresses`: the managers, `others`: those that are not this node; `own`: what a manager signs
    for itself, None on a worker; `is_shut_out`: whether no manager takes this node in just now.
    """

    def __init__(
        self,
        safe: NodeSafe,
        *,
        addresses: Callable[[], Sequence[str]],
        others: Callable[[], Sequence[str]],
        own: Callable[[Credentials], Awaitable[Credentials | None]],
        changed: Callable[[Credentials, bool], None],
        is_shut_out: Callable[[], bool],
        chance: Chance,
    ) -> None:
        self.safe = safe
        self._addresses = addresses
        self._others = others
        self._own = own
        self._changed = changed
        self._is_shut_out = is_shut_out
        self._chance = chance
        self._tries = 0
        self._told = b""
        self._new_roots = asyncio.Event()
        self._taking = asyncio.Lock()
        self._is_disowned = False
        self._renewal = Renewal(
            certificate=lambda: self.credentials.certificate_pem,
            renew=self.renew,
            chance=chance,
            wall=wall,
        )

    @property
    def credentials(self) -> Credentials:
        """Those of now."""
        return self.safe.credentials

    def connect(self, address: str) -> grpc.aio.Channel:
        """A channel to the manager at `address` (host:port) with the credentials of now."""
        return node_channel(address, self.credentials)

    def is_expired(self) -> bool:
        """Whether the certificate is past its dates."""
        return self.credentials.identity.not_after <= wall()

    def told(self, roots: bytes) -> None:
        """A manager said which roots (PEM) are trusted now."""
        self._told = roots
        self._new_roots.set()

    async def run(self) -> None:
        """Works until cancelled."""
        while True:
            if self.is_expired() or self._is_disowned:
                await self._replace()
            await alongside(
                self._renewal.run(),
                self._follow_roots(),
                self._until_expired(),
                self._until_disowned(),
            )

    async def renew(self) -> None:
        """Gets another certificate now, as when the node's role has changed. SwarmError if none
        comes.
        """
        async with self._connect_in_turn() as channel:
            await self.take(await renew(channel, self.credentials))

    async def take(self, credentials: Credentials) -> None:
        """Makes these the present ones, on the disk first. SwarmError if that takes no writes, or
        they are not valid by this host's clock: those of before stay then.
        """
        async with self._taking:
            await self._take(credentials)

    async def _take(self, credentials: Credentials) -> None:
        check_current(credentials.certificate_pem, wall())
        is_renewed = credentials.certificate_pem != self.credentials.certificate_pem
        try:
            await asyncio.to_thread(self.safe.save, credentials)
        except OSError as error:
            raise SwarmError(
                Code.UNAVAILABLE,
                "the new certificate cannot be written",
                why=str(error),
                remedy="look after the disk and its free space",
            ) from error
        self._changed(credentials, is_renewed)

    async def _follow_roots(self) -> None:
        backoff = Backoff(self._chance, first=REENROL_FIRST, longest=REENROL_LONGEST)
        while True:
            await self._new_roots.wait()
            self._new_roots.clear()
            try:
                await self._obey(self._told)
            except SwarmError as error:
                logger.warning("the roots that are trusted now are not kept yet: %s", error)
                self._new_roots.set()
                await asyncio.sleep(backoff.next())
            else:
                backoff.reset()

    async def _obey(self, roots: bytes) -> None:
        async with self._taking:
            wished = wish(self.credentials, roots)
            if wished is Wish.TRUST:
                await self._take(replace(self.credentials, ca_pem=roots))
                logger.info("other root certificates are trusted from now on")
        if wished is Wish.RENEW:
            logger.info("another root signs from now on: the certificate is renewed")
            # All nodes are told in one moment, and shall not ask in one.
            await asyncio.sleep(self._chance.randrange(_GRAIN) / _GRAIN * RENEWAL_SPREAD)
            self._renewal.renew_now()

    async def _replace(self) -> None:
        backoff = Backoff(self._chance, first=REENROL_FIRST, longest=REENROL_LONGEST)
        void = "expired certificate" if self.is_expired() else "certificate of a former root"
        while True:
            try:
                await self.take(await self._reenrolled())
            except SwarmError as error:
                logger.warning("the %s is not replaced yet: %s", void, error)
            else:
                logger.info("the %s was replaced", void)
                self._is_disowned = False
                return
            await asyncio.sleep(backoff.next())

    async def _reenrolled(self) -> Credentials:
        """By another manager; by this one itself where no other speaks, and all may have expired.

        Others first: what this one knows of the root may be of long ago.
        """
        silence: SwarmError | None = None
        if others := list(self._others()):
            try:
                return (await reenroll(others, self.credentials)).credentials
            except SwarmError as error:
                if error.code not in _SILENT or not self.is_expired():
                    raise
                silence = error
        own = await self._own(self.credentials)
        if own is None:
            raise silence or SwarmError(Code.UNAVAILABLE, "no manager is known to this node")
        return own

    async def _until_expired(self) -> None:
        while not self.is_expired():
            left = self.credentials.identity.not_after - wall()
            await asyncio.sleep(max(0.0, min(left, CLOCK_CHECK)))

    async def _until_disowned(self) -> None:
        """While no manager takes this node in, asks whether its root is trusted still."""
        backoff = Backoff(self._chance, first=REENROL_FIRST, longest=REENROL_LONGEST)
        while not self._is_disowned:
            if self._is_shut_out():
                await self._ask_roots()
                await asyncio.sleep(backoff.next())
            else:
                backoff.reset()
                await asyncio.sleep(SHUT_OUT_CHECK)

    async def _ask_roots(self) -> None:
        """Each of the other managers: one of them may have been away as well."""
        for manager in self._others():
            try:
                roots = await trusted_roots([manager], self.credentials, timeout=ROOTS_TIMEOUT)
                if roots and not is_issued_by(self.credentials.certificate_pem, roots):
                    self._is_disowned = True
                    return
            except SwarmError as error:
                logger.debug("%s does not say what roots are trusted: %s", manager, error)

    def _connect_in_turn(self) -> grpc.aio.Channel:
        """To another manager at each try: one that is away must not keep a certificate from
        being renewed.
        """
        addresses = self._addresses()
        self._tries += 1
        return self.connect(addresses[self._tries % len(addresses)])
