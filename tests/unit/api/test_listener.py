"""A server that gives its port back, served or not."""

import asyncio
import socket

import grpc
import pytest

from api.listener import Listener


@pytest.mark.parametrize("started", [True, False])
def test_a_stopped_listener_has_given_its_port_back(started: bool) -> None:
    async def scenario() -> None:
        listener = Listener(grpc.aio.server(options=(("grpc.so_reuseport", 0),)))
        port = listener.server.add_insecure_port("127.0.0.1:0")
        with pytest.raises(OSError, match="in use"):
            socket.create_server(("127.0.0.1", port))
        if started:
            await listener.start()
        await listener.stop(None)
        await listener.stop(None)
        socket.create_server(("127.0.0.1", port)).close()

    asyncio.run(scenario())
