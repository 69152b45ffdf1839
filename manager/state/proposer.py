"""How anything changes the state: propose, wait until it is durable and applied, read the outcome.

A Protocol only. A group of one manager fulfils it over its write-ahead log; a larger one over Raft.
"""

from collections.abc import Callable, Sequence
from typing import Protocol

from api.errors import Code, SwarmError
from manager.state.changes import Applied, Batch

ATTEMPTS = 5


class Proposer(Protocol):
    """The one way in."""

    async def propose(
        self, batches: Sequence[Batch], *, request_id: str = "", object_id: str = ""
    ) -> Applied:
        """Returns when the batches are durable and applied here; per batch None or its refusal.

        Takes over the objects in `batches`. `request_id` makes a retry harmless; `object_id` is
        what the retry is told. SwarmError UNAVAILABLE where this manager cannot write now: then
        nothing is known of the outcome, and only a retry with the same request_id finds out.
        """


async def propose_one(
    proposer: Proposer, each: Batch, *, request_id: str = "", object_id: str = ""
) -> Applied:
    """Proposes one batch and raises its refusal, if it is refused."""
    applied = await proposer.propose([each], request_id=request_id, object_id=object_id)
    if applied.results and applied.results[0] is not None:
        raise applied.results[0]
    return applied


async def propose_anew(
    proposer: Proposer, change: Callable[[], tuple[Batch, str]], *, request_id: str = ""
) -> str:
    """Proposes what `change` makes of the state as it is, anew while that changes under way: no
    version was named. The id of the object; CONFLICT if it changed each time.
    """
    for attempt in range(1, ATTEMPTS + 1):
        proposal, object_id = change()
        try:
            await propose_one(proposer, proposal, request_id=request_id, object_id=object_id)
        except SwarmError as error:
            if error.code is not Code.CONFLICT or attempt == ATTEMPTS:
                raise
        else:
            return object_id
    raise AssertionError("unreachable: the last attempt returns or raises")
