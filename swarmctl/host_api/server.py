"""A host's API on TCP, over mutual TLS: the same services as on its socket.

Files that are missing or wrong, or a port that is taken, do not keep the daemon from running its
tasks: they are told by its log and its health, and looked at again until they are right.
"""

import asyncio
import logging
from collections.abc import Callable
from dataclasses import replace

import grpc

from api.address import join_address, split_address
from api.channel import SERVER_OPTIONS, node_server_credentials
from api.identity import Credentials, Identity
from api.listener import Listener
from api.serving import ErrorInterceptor
from swarmctl.host_api.door import Door
from swarmctl.host_api.papers import Files, Papers, PapersOnDisk

logger = logging.getLogger(__name__)

LOOK_EVERY = 1.0
"""Seconds between looks at the files, and at who is let in still."""


class HostApi:
    """`address`: HOST:PORT; `add`: puts the services on a server; `roots`: those (PEM) of the swarm
    that this host is in, or none; `is_operator`: see Door.
    """

    def __init__(
        self,
        address: str,
        files: Files,
        *,
        add: Callable[[grpc.aio.Server], None],
        roots: Callable[[], bytes],
        is_operator: Callable[[Identity], bool],
    ) -> None:
        self._address = address
        self._disk = PapersOnDisk(files)
        self._add = add
        self._roots = roots
        self._door = Door(self._papers, is_operator)
        self._shown: Credentials | None = None
        self._listener: Listener | None = None
        self._port_trouble = ""
        self._is_served = False

    def complaint(self) -> str:
        """What is wrong, for the health service; empty if nothing is."""
        own = "" if self._is_served else "the host's API is not served yet"
        return self._port_trouble or self._disk.complaint or own

    async def run(self) -> None:
        """Serves until cancelled; then call `stop`."""
        told = ""
        while True:
            try:
                await self._look()
            except Exception:  # the outermost edge of this task: what it serves goes on
                logger.exception("the host's API does not follow its files")
            if (wrong := self.complaint()) != told:
                logger.warning("%s", wrong or "the host's API is in order again")
                told = wrong
            await asyncio.sleep(LOOK_EVERY)

    async def stop(self, grace: float | None) -> None:
        """Ends calls after `grace` seconds, and frees the port. May be called at any time."""
        if self._listener is not None:
            await self._listener.stop(grace)

    async def _look(self) -> None:
        await asyncio.to_thread(self._disk.look)
        if self._disk.present is None:
            return
        self._show(self._disk.present)
        if self._listener is None:
            await self._listen()
        self._door.look_again()

    def _papers(self) -> Papers:
        assert self._disk.present is not None  # noqa: S101 - it listens since there are some
        return self._disk.present

    def _show(self, papers: Papers) -> None:
        """What the next handshake shows, and whom it believes."""
        own = papers.credentials
        self._shown = replace(own, ca_pem=own.ca_pem.rstrip() + b"\n" + self._roots())

    def _credentials(self) -> Credentials:
        assert self._shown is not None  # noqa: S101 - it listens since there are some
        return self._shown

    async def _listen(self) -> None:
        server = grpc.aio.server(
            interceptors=[ErrorInterceptor(), self._door], options=SERVER_OPTIONS
        )
        self._add(server)
        listener = Listener(server)
        try:
            server.add_secure_port(
                join_address(*split_address(self._address)),
                node_server_credentials(self._credentials),
            )
        except RuntimeError:
            await listener.stop(None)
            self._port_trouble = (
                f"the host's API cannot listen on {self._address}: "
                "the port is in use, or the address is not of this host"
            )
            return
        self._port_trouble = ""
        self._listener = listener
        await listener.start()
        self._is_served = True
        logger.info("the host's API listens on %s", self._address)
