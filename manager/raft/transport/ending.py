"""Why a call has ended, as far as its server has told.

A write that fails has grpc.aio put a status of its own in the place of the one that came from the
server, if that came a moment before (grpcio 1.85): a refusal would be lost just when it matters.
"""

from collections.abc import Coroutine
from typing import Any, TypeVar

import grpc

from api.errors import SwarmError
from api.status import from_grpc

Call = grpc.aio.StreamUnaryCall[Any, Any]
T = TypeVar("T")

_OF_A_WRITE = "Internal error from Core"


class Ending:
    """Watches a call from its beginning, and keeps the status that says most."""

    def __init__(self, call: Call) -> None:
        self._status: grpc.aio.AioRpcError | None = None
        call.add_done_callback(self._note)

    def error(self, failed: grpc.aio.AioRpcError, doing: str) -> SwarmError:
        """What to raise for a call that failed; `doing` says what was tried."""
        return from_grpc(self._status or failed, doing)

    def _note(self, call: Call) -> None:
        if self._status is None or self._status.details() == _OF_A_WRITE:
            self._status = grpc.aio.AioRpcError(
                _at_hand(call.code()),
                _at_hand(call.initial_metadata()),
                _at_hand(call.trailing_metadata()),
                _at_hand(call.details()),
            )


def _at_hand(coroutine: Coroutine[Any, Any, T]) -> T:
    """What a coroutine returns that has nothing to wait for."""
    try:
        coroutine.send(None)
    except StopIteration as finished:
        value: T = finished.value
        return value
    coroutine.close()
    raise RuntimeError("the status of a call that is done has to be waited for")
