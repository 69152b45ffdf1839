"""One write to a call: begun at once, and silent when it fails.

At once: a task would wait for its turn, a round of the event loop on the way of every message
(Python has eager tasks since 3.12). Silent: told of the failure, grpc.aio puts a status of its own
in the place of the one that the server sent, and a refusal is lost (grpcio 1.85). So it is not.
"""

import asyncio
from collections.abc import Coroutine, Generator
from typing import Any

import grpc


class Writing:
    """Takes the first step of `call.write(...)` or `call.done_writing()`.

    Await it once, from a task, for the rest. True: written. False: the
    call is over, or about to be; why, it tells itself.
    """

    def __init__(self, coroutine: Coroutine[Any, Any, None]) -> None:
        self._coroutine = coroutine
        self._waits_for: Any = None
        self._over = False
        self._written = False
        self._step()

    def close(self) -> None:
        """Gives the rest up, if nobody will await it."""
        if not self._over:
            self._over = True
            self._waits_for.cancel()
            self._coroutine.close()

    def __await__(self) -> Generator[Any, None, bool]:
        while not self._over:
            try:
                yield self._waits_for
            except BaseException as error:  # of what it waited for, or cancellation
                self.close()
                if not isinstance(error, Exception):
                    raise
            else:
                self._step()
        return self._written

    def _step(self) -> None:
        try:
            self._waits_for = self._coroutine.send(None)
        except StopIteration:
            self._over = self._written = True
        except (grpc.aio.AioRpcError, asyncio.InvalidStateError):
            self._over = True
