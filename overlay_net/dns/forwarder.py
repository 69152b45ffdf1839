"""Passes questions on that are not ours to answer: to the container's own servers, else the host's.

The container's own (`--dns`) are asked from within its network namespace, where they may be; the
host's from the host's, where also 127.0.0.53 is somebody. A container whose networks are all
internal has no way out, so its questions get no further than the servers it named itself.
"""

import asyncio
import logging
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from api.errors import SwarmError
from hostkit.clock import Clock
from overlay_net.dns.answer import absent
from overlay_net.dns.asking import PORT, ask
from overlay_net.dns.cache import Cache, key
from overlay_net.dns.host_servers import HostServers
from overlay_net.dns.message import (
    NOERROR,
    NXDOMAIN,
    SERVFAIL,
    MessageError,
    Query,
    reply,
)
from overlay_net.dns.names import first_label_end
from overlay_net.dns.network_zone import TASKS
from overlay_net.dns.replies import Reply, answer_from
from overlay_net.dns.upstreams import ROUNDS, TRY, WHOLE, Quota, Standing
from overlay_net.dns.zone import Zone

logger = logging.getLogger(__name__)

MAX_TCP = 65_535

Chance = Callable[[], int]
"""A number below 65,536 that nobody can guess."""


@dataclass(slots=True)
class Client:
    """A container: its namespace, its zone, the servers that its spec names."""

    id: str
    netns: Path
    zone: Zone
    servers: tuple[str, ...]


class Forwarder:
    """Answers always, if only with SERVFAIL. `port` is where name servers listen."""

    def __init__(
        self, monotonic: Clock, chance: Chance, host: HostServers, *, port: int = PORT
    ) -> None:
        self._monotonic = monotonic
        self._chance = chance
        self._host = host
        self._port = port
        self._cache = Cache()
        self._quota = Quota()
        self._standing: dict[str, Standing] = {}

    def at_once(self, client: Client, query: Query, *, tcp: bool) -> bytes | None:
        """The answer, if there is one without asking; None: call `ask`."""
        if not client.servers and not client.zone.external:
            return absent(query)
        kept = self._cache.get(key(_scope(client), query, tcp), self._monotonic())
        if kept is not None:
            return answer_from(kept, query, _limit(query, tcp))
        if self._servers(client):
            return None
        # Nobody to ask. A name of one label, or a service's tasks, can only have been ours.
        at = first_label_end(query.name)
        ours = at == len(query.name) or query.name.startswith(TASKS)
        return absent(query) if ours else reply(query, SERVFAIL, flags=0)

    async def ask(self, client: Client, query: Query, *, tcp: bool) -> bytes:
        """Asks one server after the other until one knows, or the time is up.

        If all that answer refuse or fail, the first one's answer it is.
        """
        if not self._quota.take(client.id):
            return reply(query, SERVFAIL, flags=0)
        try:
            found = await self._ask_all(client, query, tcp)
        finally:
            self._quota.give(client.id)
        if found is None:
            return reply(query, SERVFAIL, flags=0)
        self._cache.put(key(_scope(client), query, tcp), found, self._monotonic())
        return answer_from(found.data, query, _limit(query, tcp))

    def forget(self, client: Client) -> None:
        """A container that is gone."""
        self._standing.pop(client.id, None)

    async def _ask_all(self, client: Client, query: Query, tcp: bool) -> Reply | None:
        standing = self._standing.setdefault(_scope(client), Standing())
        inside = client.netns if client.servers else None
        until = self._monotonic() + WHOLE
        order = standing.order(self._servers(client), self._monotonic())
        refusals: dict[str, Reply] = {}
        for server in order * ROUNDS:
            left = until - self._monotonic()
            if server in refusals or left <= 0:
                continue
            try:
                async with asyncio.timeout(min(TRY, left)):
                    found = await ask(
                        query, self._chance(), server, tcp=tcp, inside=inside, port=self._port
                    )
            except (OSError, MessageError, SwarmError) as error:  # also TimeoutError
                if standing.silent(server, self._monotonic()):
                    whose = f"container {client.id}" if client.servers else "this host"
                    why = str(error) or f"nothing within {TRY:g} s"
                    logger.warning("name server %s of %s does not answer: %s", server, whose, why)
                continue
            standing.answered(server)
            if found.rcode in {NOERROR, NXDOMAIN}:
                return found
            refusals[server] = found
        return next(iter(refusals.values()), None)

    def _servers(self, client: Client) -> tuple[str, ...]:
        return client.servers or self._host.servers()


def _scope(client: Client) -> str:
    """Who shares answers: all that ask the host's servers; else nobody."""
    return client.id if client.servers else ""


def _limit(query: Query, tcp: bool) -> int:
    return MAX_TCP if tcp else query.udp_limit()
