"""A coroutine whose first step is taken at once, where a task would wait for its turn.

The message of an idle stream so leaves within `send` itself: a round of the event loop less on the
way of every write. Python has this since 3.12 (asyncio.eager_task_factory).
"""

from collections.abc import Coroutine, Generator
from typing import Any


class Begun:
    """Await it once, from a task, to have the rest done. Its first step must not raise."""

    def __init__(self, coroutine: Coroutine[Any, None, None]) -> None:
        self._coroutine = coroutine
        self._waits_for: Any = None
        self._over = False
        self._step(None)

    def close(self) -> None:
        """Gives the rest up, if nobody will await it."""
        if not self._over:
            self._over = True
            self._waits_for.cancel()
            self._coroutine.close()

    def __await__(self) -> Generator[Any, None, None]:
        while not self._over:
            try:
                yield self._waits_for
            except GeneratorExit:
                self.close()
                raise
            except BaseException as error:  # how a task hands in failures and cancellation
                self._step(error)
            else:
                self._step(None)

    def _step(self, error: BaseException | None) -> None:
        try:
            if error is None:
                self._waits_for = self._coroutine.send(None)
            else:
                self._waits_for = self._coroutine.throw(error)
        except StopIteration:
            self._over = True
