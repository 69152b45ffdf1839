"""What the agent asks of whatever runs its tasks, and the words in which it is answered.

The agent holds on to this Protocol; `container` is the implementation over containers. Nothing
here decides when a step is due: `task_machine` does.
"""

from collections.abc import AsyncGenerator, Callable, Collection, Mapping
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import Literal, Protocol, TypeAlias

from api import files, payloads
from api.errors import SwarmError
from api.v1 import exec_pb2, logs_pb2, objects_pb2, types_pb2

HealthState: TypeAlias = types_pb2.HealthState.ValueType


class ExitResult(Protocol):
    """How a container ended, as `runtime.driver` says it too."""

    @property
    def code(self) -> int:
        """128 + signal if it was ended by one."""

    @property
    def oom_killed(self) -> bool:
        """Whether the kernel killed a process of it for want of memory."""

    @property
    def at(self) -> float:
        """When, in seconds since the epoch."""

    @property
    def message(self) -> str:
        """Why nobody knows more, as "monitor lost"; mostly empty."""


@dataclass(frozen=True, slots=True)
class Health:
    """What the health check of a task says now, why, and the probes that led to it."""

    state: HealthState
    reason: str
    log: tuple[objects_pb2.HealthProbe, ...] = ()


Doubts: TypeAlias = Callable[[Health], None]
"""Told, of a task that is not healthy yet, of each probe that fails."""


def unheard(health: Health) -> None:
    """The doubts that nobody wants to hear of."""


OutputStream = Literal["stdout", "stderr"]


class RunningCommand(Protocol):
    """A command that runs beside a task's process, as `runtime.driver` has it too."""

    @property
    def streams(self) -> tuple[OutputStream, ...]:
        """What it writes to; a terminal has only stdout."""

    async def read(self, stream: OutputStream) -> bytes:
        """The next piece of 64 KiB at most; empty after its end."""

    async def write(self, data: bytes) -> None:
        """Gives it input, once there is room; silently nothing if it reads no more."""

    async def end_input(self) -> None:
        """There is no more input."""

    def resize(self, rows: int, columns: int) -> None:
        """Its terminal has another size."""

    def signal(self, number: int) -> None:
        """Signals it; nothing happens if it has ended."""

    async def wait(self) -> int:
        """Its exit code, as a shell has it: 126 if it cannot be run, 127 if it is not found."""


Progress: TypeAlias = Callable[[int, int], None]
"""Told how many bytes of its images have come, and of how many, each time that there are more."""


def untold(came: int, total: int) -> None:
    """The progress that nobody wants to hear of."""


class TemporaryError(SwarmError):
    """A failure that says nothing of the task: the same step may succeed a little later."""


class Executor(Protocol):
    """Runs tasks. Every step may be asked for again: what is done already is left as it is.

    Steps raise SwarmError with a cause for people, TemporaryError where they are worth another
    try. A step that is cancelled leaves nothing half done that would outlive the next step.
    """

    async def describe(self) -> objects_pb2.NodeDescription:
        """What this host is and has."""

    async def recover(self) -> Collection[str]:
        """Once, before any step: takes over what a former agent left; ids of the tasks found."""

    def hold(self, contents: Mapping[files.Key, payloads.Content]) -> None:
        """From now on these are the secrets and configs of this node; never to go to a disk."""

    async def prepare(self, task: objects_pb2.Task, progress: Progress = untold) -> None:
        """Makes everything short of starting the process; may take as long as a pull."""

    async def start(self, task: objects_pb2.Task) -> objects_pb2.ContainerStatus:
        """Starts what was prepared; what runs or ran already is not started again.

        The answer's health is STARTING if the task has a health check, else none.
        """

    async def wait(self, task: objects_pb2.Task) -> ExitResult:
        """Returns when the task has ended, at once if it did before; NOT_FOUND."""

    async def health(
        self, task: objects_pb2.Task, known: HealthState, doubts: Doubts = unheard
    ) -> Health | None:
        """Probes the task, while this is awaited, until its health is another than `known`.

        None: it has ended before, or has no check.
        """

    async def shutdown(self, task: objects_pb2.Task) -> ExitResult | None:
        """Asks the task to end and kills it after its grace period; None: it never ran."""

    async def terminate(self, task: objects_pb2.Task) -> ExitResult | None:
        """Kills the task without asking; None: it never ran."""

    async def remove(self, task: objects_pb2.Task) -> None:
        """Deletes every trace of the task, its logs too; also of one that is not there."""

    def logs(
        self, task: objects_pb2.Task, options: logs_pb2.LogOptions
    ) -> AsyncGenerator[logs_pb2.LogMessage, None]:
        """What the task wrote, in order; with `follow` until it ends. NOT_FOUND."""

    def exec(
        self, task: objects_pb2.Task, start: exec_pb2.ExecStart
    ) -> AbstractAsyncContextManager[RunningCommand]:
        """Runs a command beside the task's process; it is no more at the end of the block.

        NOT_FOUND or REFUSED if the task does not run, INVALID where its image knows no such user.
        """
