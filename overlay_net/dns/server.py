"""The DNS servers of all containers of a node, on the event loop of the daemon.

Sockets are inside the containers' namespaces and end with the daemon; after its start every sandbox
is attached anew, which takes some milliseconds each.
"""

import asyncio
import secrets
from dataclasses import dataclass
from pathlib import Path

from api.errors import invalid
from hostkit.clock import Clock
from overlay_net.dns import sockets
from overlay_net.dns.asking import PORT
from overlay_net.dns.directory import Directory
from overlay_net.dns.forwarder import Chance, Client, Forwarder
from overlay_net.dns.host_servers import HostServers
from overlay_net.dns.listener import Listener
from overlay_net.dns.redirect import Leading
from overlay_net.dns.resolv import SERVER, is_address
from overlay_net.dns.tcp import TcpListener
from overlay_net.dns.upstreams import MAX_SERVERS


def unguessable() -> int:
    """An id for a question to another server."""
    return secrets.randbelow(1 << 16)


@dataclass(frozen=True)
class Sandbox:
    """A container's network stack, as far as names go.

    `id`: the task's or container's; `netns`: the file of its namespace; `networks`: ids, in the
    order of its interfaces; `name_servers`: the addresses of `--dns`; they win over the host's.
    """

    id: str
    netns: Path
    networks: tuple[str, ...]
    name_servers: tuple[str, ...] = ()


@dataclass
class _Attached:
    client: Client
    made: sockets.Sockets
    udp: Listener
    tcp: TcpListener

    def end(self) -> None:
        self.udp.stop()
        self.tcp.stop()
        self.made.close()


class DnsServer:
    """`directory` is to be told what there is; `attach` and `detach` say who is served.

    Calls for one sandbox come one after the other; those for different ones may overlap.
    """

    def __init__(
        self,
        leading: Leading,
        monotonic: Clock,
        *,
        host: HostServers | None = None,
        chance: Chance = unguessable,
        upstream_port: int = PORT,
    ) -> None:
        self.directory = Directory()
        self._leading = leading
        servers = HostServers(monotonic) if host is None else host
        self._forwarder = Forwarder(monotonic, chance, servers, port=upstream_port)
        self._attached: dict[str, _Attached] = {}

    async def attach(self, sandbox: Sandbox) -> None:
        """Serves a container, or serves it with other networks from now on.

        Its networks must have been put. Raises SwarmError, and then serves as before.
        """
        zone = self.directory.zone(sandbox.networks)
        servers = _checked(sandbox.name_servers)
        there = self._attached.get(sandbox.id)
        if there is not None and there.client.netns == sandbox.netns:
            there.client.zone = zone
            there.client.servers = servers
            return
        client = Client(sandbox.id, sandbox.netns, zone, servers)
        self._attached[sandbox.id] = await self._begin(client)
        if there is not None:
            there.end()

    def detach(self, sandbox_id: str) -> None:
        """Serves a container no longer; no error if it never was. Its namespace may be gone."""
        there = self._attached.pop(sandbox_id, None)
        if there is not None:
            there.end()
            self._forwarder.forget(there.client)

    def close(self) -> None:
        """Serves nobody any longer."""
        for sandbox_id in list(self._attached):
            self.detach(sandbox_id)

    async def _begin(self, client: Client) -> _Attached:
        """Sockets first, then the rule that leads to them: no question goes nowhere."""
        made = sockets.make(client.netns)  # not worth a thread, which could lose them
        udp = Listener(made.udp, client, self._forwarder)
        tcp = TcpListener(made.tcp, client, self._forwarder)
        attached = _Attached(client, made, udp, tcp)
        try:
            udp.start()
            await tcp.start()
            await asyncio.to_thread(self._leading.lead, client.netns, *made.ports())
        except BaseException:
            attached.end()
            raise
        return attached


def _checked(servers: tuple[str, ...]) -> tuple[str, ...]:
    """Name servers that can be asked; never ourselves, which would go round for ever."""
    for each in servers:
        if not is_address(each):
            raise invalid(
                "task.container.dns.nameservers", f"{each!r} is no IP address of a name server"
            )
    return tuple(each for each in servers if each != SERVER)[:MAX_SERVERS]
