"""A gRPC server that returns what it gets: the most that any service in Python could answer here.

python -m benchmarks.echo SOCKET
"""

import asyncio
import signal
import sys
from pathlib import Path
from typing import Any

import grpc

from api.channel import SERVER_OPTIONS, socket_target

SERVICE = "bench.Echo"
METHOD = f"/{SERVICE}/Echo"


async def _echo(request: bytes, context: "grpc.aio.ServicerContext[Any, Any]") -> bytes:
    return request


async def serve(socket: Path) -> None:
    """Serves until SIGTERM."""
    stopping = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stopping.set)
    server = grpc.aio.server(options=SERVER_OPTIONS)
    handler: grpc.RpcMethodHandler[bytes, bytes] = grpc.unary_unary_rpc_method_handler(_echo)
    server.add_generic_rpc_handlers(
        (grpc.method_handlers_generic_handler(SERVICE, {"Echo": handler}),)
    )
    server.add_insecure_port(socket_target(socket))
    await server.start()
    await stopping.wait()
    await server.stop(None)


if __name__ == "__main__":
    asyncio.run(serve(Path(sys.argv[1])))
