"""A disk that fails at one step: what a crash there would leave behind is what is left behind."""

import errno
import os
from collections.abc import Callable
from typing import Any

import pytest

STEPS = ("open", "fsync", "rename", "replace")
"""Calls that a file's replacement consists of, as `os` has them."""


class FailingDisk:
    """Counts the steps, and lets one of them fail before or after it is done."""

    def __init__(self, patch: pytest.MonkeyPatch) -> None:
        self.count = 0
        self._fails: Callable[[], bool] = lambda: False
        self._after = False
        for name in STEPS:
            patch.setattr(os, name, self._counted(getattr(os, name)))

    def fail_at(self, step: int, *, after: bool) -> None:
        """The step with this number, the next being 1, fails; it is done all the same if `after`.

        Every later one fails too, as nothing more is done in a crash.
        """
        self.count = 0
        self._after = after
        self._fails = lambda: self.count >= step

    def mend(self) -> None:
        """From now on every step succeeds."""
        self._fails = lambda: False

    def _counted(self, call: Callable[..., Any]) -> Callable[..., Any]:
        def step(*args: Any, **kwargs: Any) -> Any:
            self.count += 1
            if not self._fails():
                return call(*args, **kwargs)
            if self._after:
                self._after = False
                done = call(*args, **kwargs)
                if call.__name__ == "open":
                    os.close(done)
            raise OSError(errno.EIO, "the disk failed")

        return step
