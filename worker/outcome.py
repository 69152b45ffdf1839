"""What came of the last round in which a node's networks were made what they ought to be."""

import contextlib
import logging
from collections.abc import Iterator

from api.errors import Code, SwarmError
from overlay_net.fabric.fabric import Done
from worker.steps import takes_back

log = logging.getLogger(__name__)


class Outcome:
    """Of one round after another. What fails is kept, and stops nothing else."""

    def __init__(self) -> None:
        self.trouble: SwarmError | None = None
        """What could not be carried out last; None if all could."""
        self.stale = False
        """Whether something that had to go may be there still. Only a whole round ends that."""
        self.mended: list[str] = []
        """What was not as it had been left, if that was looked for."""
        self._left_over = False  # as `stale`, of a round that is under way

    @contextlib.contextmanager
    def a_round(self, *, whole: bool = True) -> Iterator[None]:
        """A round: forgets the one before, and says at its end what is stale. One that is not
        `whole` forgets nothing, for it does not come to all that failed before.
        """
        if whole:
            self.trouble, self._left_over, self.mended = None, False, []
        try:
            yield
        except BaseException as error:  # what it has not come to may be there still
            self.failed(error, stale=True)
            raise
        if whole:
            self.stale = self._left_over

    @contextlib.contextmanager
    def part(self) -> Iterator[None]:
        """A part of a round, which may fail without the others."""
        try:
            yield
        except (SwarmError, OSError) as error:
            self.failed(error, stale=True)
        except Exception as error:  # the boundary of a part: whatever it is, the others go on
            log.exception("a part of this node's networks broke down")
            self.failed(error, stale=True)

    def note(self, done: Done, *, look: bool) -> None:
        """What was done to links and tunnels; `look`: as the kernel was not as it was left."""
        if look:
            self.mended += map(str, done.operations)
        for each in done.failed:
            self.failed(each.error, stale=takes_back(each.operation))

    def failed(self, error: BaseException, *, stale: bool) -> None:
        """`stale`: something that had to go may be there still."""
        if stale:
            self.stale = self._left_over = True
        if not isinstance(error, SwarmError):
            why = str(error) if isinstance(error, OSError) else repr(error)
            error = SwarmError(Code.INTERNAL, "a network fails", why=why)
        self.trouble = error
