"""A gRPC server that gives its ports back, whether or not it ever served.

A grpc.aio server listens from the moment a port is added, and `stop` does nothing before `start`:
a server that was given up in between would hold its ports until the process ends (grpcio 1.85).
"""

import grpc


class Listener:
    """Owns a server from its first port to its end. Ports and services are added to `server`."""

    def __init__(self, server: grpc.aio.Server) -> None:
        self.server = server
        self._started = False
        self._stopped = False

    async def start(self) -> None:
        """Serves. Calls that came since the port was added are answered now."""
        self._started = True
        await self.server.start()

    async def stop(self, grace: float | None) -> None:
        """Ends calls after `grace` seconds and frees the ports. May be called again."""
        if self._stopped:
            return
        self._stopped = True
        if not self._started:
            await self.server.start()
            grace = None
        await self.server.stop(grace)
