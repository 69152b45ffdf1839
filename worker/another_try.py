"""Which failures of a container driver say nothing of the task: another try may yet succeed."""

import contextlib
from collections.abc import Iterator

from api.errors import Code, SwarmError
from worker.executor import TemporaryError

_TEMPORARY = frozenset({Code.DEADLINE, Code.EXHAUSTED})


def may_help(error: SwarmError) -> bool:
    """Whether another try may do what this one did not."""
    return error.code in _TEMPORARY


@contextlib.contextmanager
def sorted_out() -> Iterator[None]:
    """Marks such failures as temporary."""
    try:
        yield
    except TemporaryError:
        raise
    except SwarmError as error:
        if not may_help(error):
            raise
        raise _temporary(error) from error


@contextlib.contextmanager
def always() -> Iterator[None]:
    """Marks every failure as temporary: of a step without which a task keeps what it had."""
    try:
        yield
    except SwarmError as error:
        raise _temporary(error) from error


def _temporary(error: SwarmError) -> TemporaryError:
    return TemporaryError(
        error.code, error.what, why=error.why, remedy=error.remedy, field=error.field
    )
