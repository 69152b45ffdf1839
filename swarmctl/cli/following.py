"""A stream of events that outlives the manager it comes from: where it breaks it goes on with
another manager behind the last event, so that none is missed and none comes twice.
"""

import time
from collections.abc import Iterator

from api.errors import Code, SwarmError
from api.v1 import events_pb2
from swarmctl.cli.client import Client

RETRY = 0.2
"""Seconds between two tries."""
_BROKEN = (Code.UNAVAILABLE, Code.CANCELLED)


def follow(client: Client, request: events_pb2.EventsRequest) -> Iterator[events_pb2.EventsMessage]:
    """The messages that answer the request, which is changed so as to say how far they came.

    A stream that broke is begun anew for as long as a call of the client may take. SwarmError for
    what it ends with then, and at once if it never began or is refused.
    """
    broken_at: float | None = None
    while True:
        try:
            for message in client.stream(client.control.Events, request, "reading events"):
                broken_at = None
                request.after.CopyFrom(message.position)
                yield message
            return
        except SwarmError as error:
            broken_at = broken_at or _now()
            over = _now() - broken_at >= client.timeout
            if error.code not in _BROKEN or not request.HasField("after") or over:
                raise
        time.sleep(RETRY)
        client.reconnect()


def _now() -> float:
    return time.monotonic()  # noqa: TID251 - the shell of a whole program
