"""Takes handlers that generated code would add to a server, for whoever stands before them."""

from collections.abc import Sequence
from typing import Any

import grpc


class Collector:
    """Stands in for a server in `add_...Servicer_to_server`."""

    def __init__(self) -> None:
        self.handlers: list[grpc.GenericRpcHandler] = []

    def add_generic_rpc_handlers(self, handlers: Sequence[grpc.GenericRpcHandler]) -> None:
        """Keeps the handlers."""
        self.handlers += handlers

    def add_registered_method_handlers(self, service: str, handlers: Any) -> None:  # noqa: ANN401
        """A second form of the same handlers, which grpc.aio does not use."""
