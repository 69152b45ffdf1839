"""An event loop of virtual time: asyncio runs on it as it is, and nothing is left to chance.

Time moves only when nothing is left to do at a moment; what is due at one moment runs in the order
in which it was asked for. Every callback belongs to a `Process`, which can stand still.
"""

import asyncio
import sys
from collections.abc import Callable, Coroutine, Generator
from contextvars import Context, ContextVar, copy_context
from heapq import heappop, heappush
from typing import Any, TypeVar, TypeVarTuple

T = TypeVar("T")
Ts = TypeVarTuple("Ts")

_owner: "ContextVar[Process | None]" = ContextVar("owner", default=None)


class Process:
    """One process of the simulated world: what it has begun belongs to it.

    `alive` ends once: what a dead process still does on its way out reaches nobody.
    """

    def __init__(self, loop: "VirtualLoop", name: str) -> None:
        self.name = name
        self.alive = True
        self.paused = False
        self.ended: list[Callable[[], None]] = []
        """Called when it has died."""
        self._loop = loop
        self._tasks: dict[asyncio.Task[Any], None] = {}
        self._held: list[Handle] = []
        loop.processes.append(self)
        self._context = copy_context()
        self._context.run(_owner.set, self)

    def spawn(self, work: Coroutine[Any, Any, T]) -> asyncio.Task[T]:
        """A task of this process, which must not fail."""
        task = self._loop.create_task(work, context=self._context.copy())
        task.add_done_callback(self._look_after)
        return task

    def call(self, action: Callable[..., object], *args: Any) -> None:
        """Lets something happen in this process, now or when it goes on."""
        self._loop.call_soon(action, *args, context=self._context.copy())

    def later(self, delay: float, action: Callable[..., object], *args: Any) -> None:
        """As `call`, `delay` seconds from now."""
        self._loop.call_later(delay, action, *args, context=self._context.copy())

    def pause(self) -> None:
        """SIGSTOP."""
        self.paused = True

    def go_on(self) -> None:
        """SIGCONT: what has come meanwhile comes now, in its order."""
        self.paused = False
        held, self._held = self._held, []
        for handle in held:
            self._loop.push(handle)

    def kill(self) -> None:
        """SIGKILL. Its tasks are unwound, but the world does not hear of it any more."""
        if not self.alive:
            return
        self.alive = False
        self.go_on()
        for task in list(self._tasks):
            task.cancel()
        for ended in self.ended:
            ended()

    def holds(self, handle: "Handle") -> bool:
        """Keeps back what is due while it stands still; whether it does."""
        if self.paused:
            self._held.append(handle)
        return self.paused

    def adopt(self, task: asyncio.Task[Any]) -> None:
        """The task belongs to it until it is done."""
        self._tasks[task] = None
        task.add_done_callback(lambda done: self._tasks.pop(done, None))

    def _look_after(self, task: asyncio.Task[Any]) -> None:
        if not task.cancelled() and (error := task.exception()) is not None and self.alive:
            self._loop.failures.append(error)

    @property
    def tasks(self) -> list[asyncio.Task[Any]]:
        """What is under way."""
        return list(self._tasks)


class Handle(asyncio.TimerHandle):
    """A callback with its moment and its owner."""

    __slots__ = ("owner",)

    def __init__(
        self,
        when: float,
        callback: Callable[..., object],
        args: tuple[Any, ...],
        loop: "VirtualLoop",
        context: Context,
    ) -> None:
        super().__init__(when, callback, args, loop, context)
        self.owner = context.get(_owner)


class NumberedTask(asyncio.Task[T]):
    """Sets of tasks are gone through in the order of their hashes: here, of their birth."""

    _born = 0
    number: int

    def __new__(cls, *args: Any, **named: Any) -> "NumberedTask[Any]":
        task = super().__new__(cls)
        NumberedTask._born += 1
        task.number = NumberedTask._born
        return task

    def __hash__(self) -> int:
        return self.number


class VirtualLoop(asyncio.BaseEventLoop):
    """Use it in a `with` block, in which it is the running loop; `step` it."""

    def __init__(self) -> None:
        super().__init__()
        self.now = 0.0
        self.steps = 0
        self.processes: list[Process] = []
        self.failures: list[BaseException] = []
        """Of callbacks and tasks that nobody looked after."""
        self.blocking: Callable[[], float] = lambda: 0.001
        """Seconds that work in an executor takes."""
        self._heap: list[tuple[float, int, Handle]] = []
        self._asked = 0
        self.set_exception_handler(_fail)

    def __enter__(self) -> "VirtualLoop":
        NumberedTask._born = 0
        self._hooks = sys.get_asyncgen_hooks()
        sys.set_asyncgen_hooks(firstiter=lambda _: None, finalizer=self._finalize)
        asyncio._set_running_loop(self)
        return self

    def __exit__(self, *_: object) -> None:
        asyncio._set_running_loop(None)
        sys.set_asyncgen_hooks(*self._hooks)
        self._heap.clear()
        self.close()

    def step(self) -> bool:
        """Lets the next thing happen; False if nothing ever will."""
        if not self._heap:
            return False
        self.now, _, handle = heappop(self._heap)
        if handle.cancelled() or (handle.owner is not None and handle.owner.holds(handle)):
            return True
        self.steps += 1
        handle._run()
        return True

    def push(self, handle: Handle) -> None:
        """Makes it due at its moment, or now if that is over."""
        self._asked += 1
        heappush(self._heap, (max(self.now, handle.when()), self._asked, handle))

    # What asyncio asks of a loop.

    def time(self) -> float:
        """Seconds since the beginning."""
        return self.now

    def call_soon(
        self, callback: Callable[[*Ts], object], *args: *Ts, context: Context | None = None
    ) -> Handle:
        """Behind everything that is due now."""
        return self.call_at(self.now, callback, *args, context=context)

    def call_later(
        self,
        delay: float,
        callback: Callable[[*Ts], object],
        *args: *Ts,
        context: Context | None = None,
    ) -> Handle:
        """After `delay` seconds."""
        return self.call_at(self.now + delay, callback, *args, context=context)

    def call_at(
        self,
        when: float,
        callback: Callable[[*Ts], object],
        *args: *Ts,
        context: Context | None = None,
    ) -> Handle:
        """At `when`."""
        if context is None:
            context = copy_context()
        handle = Handle(when, callback, args, self, context)
        self.push(handle)
        return handle

    def call_soon_threadsafe(
        self, callback: Callable[[*Ts], object], *args: *Ts, context: Context | None = None
    ) -> Handle:
        """There are no threads."""
        return self.call_soon(callback, *args, context=context)

    def create_task(
        self,
        coro: "Coroutine[Any, Any, T] | Generator[Any, None, T]",
        *,
        name: object = None,
        context: Context | None = None,
    ) -> asyncio.Task[T]:
        """A task of the process that asks for it."""
        text = None if name is None else str(name)
        if context is None:
            context = copy_context()
        task: NumberedTask[T] = NumberedTask(coro, loop=self, name=text, context=context)
        owner = context.get(_owner)
        if owner is not None:
            owner.adopt(task)
            if not owner.alive:
                task.cancel()
        return task

    def run_in_executor(
        self, executor: object, func: Callable[[*Ts], T], *args: *Ts
    ) -> asyncio.Future[T]:
        """Done at once; the result comes after a while."""
        done: asyncio.Future[T] = self.create_future()
        try:
            result = func(*args)
        except Exception as error:
            self.call_later(self.blocking(), _settle, done, done.set_exception, error)
        else:
            self.call_later(self.blocking(), _settle, done, done.set_result, result)
        return done

    def _timer_handle_cancelled(self, handle: asyncio.TimerHandle) -> None:
        """It stays where it is, and is passed over."""

    def _finalize(self, generator: Any) -> None:
        self.create_task(generator.aclose())


def current_process() -> Process:
    """The process that runs now."""
    process = _owner.get()
    assert process is not None, "this belongs to no process"
    return process


def _settle(done: asyncio.Future[Any], how: Callable[[Any], None], what: object) -> None:
    if not done.done():
        how(what)


def _fail(loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
    assert isinstance(loop, VirtualLoop)
    error = context.get("exception")
    owner = _owner.get()
    if owner is None or owner.alive:
        loop.failures.append(error or RuntimeError(str(context.get("message"))))
