"""Renews the node's certificate while it is still good: the moment, and the call.

The moment is at a random 50 to 80 % of the certificate's life (api/identity.py, `renewal_time`).
What becomes of the new credentials is the caller's affair; so is a certificate that has expired,
which can only be replaced at the identity port.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable

import grpc

from api import status
from api.certificates import is_issued_by, is_key_of
from api.errors import Code, SwarmError
from api.identity import Credentials, identity_of, make_csr, new_key, renewal_time
from api.v1 import ca_pb2, ca_pb2_grpc
from hostkit.clock import Clock
from worker.backoff import Backoff, Chance

log = logging.getLogger(__name__)

RPC_TIMEOUT = 20.0
RETRY_FIRST = 10.0
RETRY_LONGEST = 600.0
"""Seconds between tries: SwarmKit's 10 s at first, rarer while the managers stay away."""
LONGEST_SLEEP = 3600.0
"""Seconds after which the clock is looked at again: it may have been set, the host suspended."""
_GRAIN = 1 << 20


def delay_until_renewal(certificate_pem: bytes, now: float, chance: Chance) -> float:
    """Seconds from `now` until a certificate is to be renewed; 0 if that is past. Pure."""
    return max(0.0, renewal_time(certificate_pem, chance.randrange(_GRAIN) / _GRAIN) - now)


async def renew(channel: grpc.aio.Channel, present: Credentials) -> Credentials:
    """New credentials with a fresh key, checked; SwarmError if the managers refuse or are away."""
    key = new_key()
    stub = ca_pb2_grpc.CaRenewalStub(channel)
    try:
        answer = await stub.Renew(ca_pb2.RenewRequest(csr_pem=make_csr(key)), timeout=RPC_TIMEOUT)
    except grpc.aio.AioRpcError as error:
        raise status.from_grpc(error, "the renewal of the certificate") from error
    fresh = Credentials(key, answer.certificate_pem, answer.ca_pem or present.ca_pem)
    _check(fresh, present)
    return fresh


def _check(fresh: Credentials, present: Credentials) -> None:
    old, new = present.identity, identity_of(fresh.certificate_pem)
    if (new.id, new.cluster_id) != (old.id, old.cluster_id):
        why = f"it is for {new.id} of cluster {new.cluster_id}"
    elif not is_key_of(fresh.key_pem, fresh.certificate_pem):
        why = "it is not for the key that was sent"
    elif not is_issued_by(fresh.certificate_pem, fresh.ca_pem):
        why = "the root beside it did not sign it"
    else:
        return
    raise SwarmError(Code.REFUSED, "the renewed certificate is not taken over", why=why)


class Renewal:
    """Renews in time, for as long as it runs.

    `credentials` gives the present ones; `connect` a fresh channel to some manager; `renewed` is
    called with the new ones, and keeps them.
    """

    def __init__(
        self,
        *,
        credentials: Callable[[], Credentials],
        connect: Callable[[], grpc.aio.Channel],
        renewed: Callable[[Credentials], Awaitable[None]],
        chance: Chance,
        wall: Clock,
    ) -> None:
        self._credentials = credentials
        self._connect = connect
        self._renewed = renewed
        self._chance = chance
        self._wall = wall
        self._now = asyncio.Event()

    def renew_now(self) -> None:
        """Does not wait for the moment: the node's role has changed."""
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
                backoff.reset()

    async def _wait_for_moment(self) -> None:
        certificate = self._credentials().certificate_pem
        due = self._wall() + delay_until_renewal(certificate, self._wall(), self._chance)
        while (left := due - self._wall()) > 0:
            try:
                async with asyncio.timeout(min(left, LONGEST_SLEEP)):
                    await self._now.wait()
            except TimeoutError:
                continue
            break
        self._now.clear()

    async def _renew(self) -> None:
        channel = self._connect()
        try:
            fresh = await renew(channel, self._credentials())
        finally:
            await channel.close()
        await self._renewed(fresh)
        log.info("the certificate was renewed")
