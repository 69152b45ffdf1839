"""SwarmError over gRPC: as a status code with an ErrorDetail in the trailing metadata, and back.

A remote side that is not ours, or a broken connection, still becomes a SwarmError with a cause.
"""

from typing import Any, Protocol

import grpc
from google.protobuf.message import DecodeError

from api.errors import Code, SwarmError
from api.v1 import types_pb2

DETAIL_KEY = "swarm-error-bin"

_TO_GRPC = {
    Code.INVALID: grpc.StatusCode.INVALID_ARGUMENT,
    Code.NOT_FOUND: grpc.StatusCode.NOT_FOUND,
    Code.EXISTS: grpc.StatusCode.ALREADY_EXISTS,
    Code.CONFLICT: grpc.StatusCode.ABORTED,
    Code.REFUSED: grpc.StatusCode.FAILED_PRECONDITION,
    Code.DENIED: grpc.StatusCode.PERMISSION_DENIED,
    Code.UNAUTHENTICATED: grpc.StatusCode.UNAUTHENTICATED,
    Code.UNAVAILABLE: grpc.StatusCode.UNAVAILABLE,
    Code.DEADLINE: grpc.StatusCode.DEADLINE_EXCEEDED,
    Code.EXHAUSTED: grpc.StatusCode.RESOURCE_EXHAUSTED,
    Code.UNSUPPORTED: grpc.StatusCode.UNIMPLEMENTED,
    Code.CANCELLED: grpc.StatusCode.CANCELLED,
    Code.INTERNAL: grpc.StatusCode.INTERNAL,
}
_FROM_GRPC = {status: code for code, status in _TO_GRPC.items()}

_TEXT_LIMIT = 800
"""Characters of each text of an error. Trailers that are over the limit of a channel's metadata
(32 KiB in api/channel.py) would cost the caller the whole error; these stay below it in any script.
"""

Trailers = tuple[tuple[str, str | bytes], ...]


class FailedCall(Protocol):
    """What an error of grpc and one of grpc.aio have in common."""

    def code(self) -> grpc.StatusCode | None:
        """The status."""

    def details(self) -> str | None:
        """The message of the status."""

    def trailing_metadata(self) -> Any:  # noqa: ANN401 - two unrelated types, both of pairs
        """Pairs that came with the status."""


def to_grpc(error: SwarmError) -> tuple[grpc.StatusCode, str, Trailers]:
    """Status code, message and trailing metadata that carry `error`."""
    detail = types_pb2.ErrorDetail(
        what=_short(error.what),
        why=_short(error.why),
        remedy=_short(error.remedy),
        field=_short(error.field),
    )
    return _TO_GRPC[error.code], _short(str(error)), ((DETAIL_KEY, detail.SerializeToString()),)


def from_grpc(error: FailedCall, doing: str) -> SwarmError:
    """The SwarmError in a failed call; `doing` says what was tried, where no detail came along."""
    status = error.code()
    code = Code.INTERNAL if status is None else _FROM_GRPC.get(status, Code.INTERNAL)
    for key, value in error.trailing_metadata() or ():
        if key == DETAIL_KEY and isinstance(value, bytes):
            try:
                detail = types_pb2.ErrorDetail.FromString(value)
            except DecodeError:
                break
            return SwarmError(
                code, detail.what, why=detail.why, remedy=detail.remedy, field=detail.field
            )
    return SwarmError(code, f"{doing} failed", why=error.details() or str(status))


def _short(text: str) -> str:
    """At most _TEXT_LIMIT characters, the middle left out: an error may quote a whole file."""
    if len(text) <= _TEXT_LIMIT:
        return text
    half = _TEXT_LIMIT // 2 - 1
    return f"{text[:half]}…{text[-half:]}"
