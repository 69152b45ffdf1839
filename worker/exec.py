"""Commands in this node's tasks, for the managers' exec broker, over the channel that the agent
opened.

A command lives as long as its stream to the manager: whoever goes, the client, the manager or this
daemon, ends it. Nothing is read from it while that stream is full. Stores nothing.
"""

import asyncio
import logging
from collections.abc import Callable
from typing import Any, NoReturn, TypeAlias

import grpc

from api.errors import Code, SwarmError
from api.v1 import exec_pb2, exec_pb2_grpc, objects_pb2
from hostkit.together import together
from worker.backoff import Chance
from worker.executor import Executor, OutputStream, RunningCommand
from worker.listening import Work, listen

log = logging.getLogger(__name__)

Task = objects_pb2.Task
Answer = exec_pb2.ExecAnswer
Input = exec_pb2.ExecInput
Output = exec_pb2.ExecOutput
Broker: TypeAlias = "exec_pb2_grpc.ExecBrokerAsyncStub"  # a class for type checkers only
Call: TypeAlias = "grpc.aio.StreamStreamCall[Answer, Input]"
Orders: TypeAlias = "grpc.aio.UnaryStreamCall[exec_pb2.ListenExecRequest, exec_pb2.ExecOrder]"
Find = Callable[[str], Task | None]
"""The task of this node with that id."""

SETUP = 10.0
"""Seconds in which the manager must say what to run."""


class CommandServer:
    """All commands of the present session."""

    def __init__(self, executor: Executor, chance: Chance) -> None:
        self._executor = executor
        self._chance = chance
        self._running: dict[str, asyncio.Task[Any] | None] = {}

    async def serve(self, channel: grpc.aio.Channel, find: Find) -> NoReturn:
        """Runs what the manager asks for until it is cancelled, which ends every command."""
        broker = exec_pb2_grpc.ExecBrokerStub(channel)

        def take(order: exec_pb2.ExecOrder) -> Work | None:
            if not order.close:
                return self._run(broker, find, order.id)
            if (running := self._running.get(order.id)) is not None:
                running.cancel()
            return None

        def open_stream() -> Orders:
            return broker.Listen(exec_pb2.ListenExecRequest())

        await listen(open_stream, take, self._chance, "exec broker")

    async def _run(self, broker: Broker, find: Find, session_id: str) -> None:
        if session_id in self._running:
            return
        self._running[session_id] = asyncio.current_task()
        call = broker.Attach()
        try:
            await call.write(Answer(session_id=session_id))
            await self._attached(call, find)
        except (grpc.aio.AioRpcError, asyncio.InvalidStateError) as error:
            # Writing to a call that the manager has ended is an invalid state to gRPC.
            log.info("exec session %s ended early: %r", session_id, error)
        except TimeoutError:
            log.info("exec session %s: the manager did not say what to run", session_id)
        except Exception:  # the boundary of the session: others go on
            log.exception("exec session %s broke down", session_id)
        finally:
            del self._running[session_id]
            call.cancel()

    async def _attached(self, call: Call, find: Find) -> None:
        async with asyncio.timeout(SETUP):
            first = await call.read()
        if not isinstance(first, Input):
            return
        start = first.start
        session = _Session(call)
        try:
            task = find(start.task_id)
            if task is None:
                raise SwarmError(Code.NOT_FOUND, f"task {start.task_id} is not on this node")
            async with self._executor.exec(task, start) as command:
                await session.run(command)
        except SwarmError as error:
            await call.write(Answer(failure=_failure(error)))
        await session.end()


class _Session:
    """One command and its stream to the manager."""

    def __init__(self, call: Call) -> None:
        self._call = call
        self._sending = asyncio.Lock()
        self._feeding: asyncio.Task[None] | None = None

    async def run(self, command: RunningCommand) -> None:
        """Passes on what the command reads and writes; returns when it has ended, or nobody is
        there any more.
        """
        await self._send(Output(started=True))
        # It reads on after the command's end, until the manager has taken everything: gRPC knows
        # no other way to tell that, and a read that is cancelled would end the call.
        self._feeding = asyncio.create_task(self._feed(command))
        showing = asyncio.create_task(self._show(command))
        try:
            await asyncio.wait({self._feeding, showing}, return_when=asyncio.FIRST_COMPLETED)
            # Whichever ended first says why, if it failed.
            await (showing if showing.done() else self._feeding)
        except BaseException:
            self._feeding.cancel()
            raise
        finally:
            showing.cancel()
            await asyncio.gather(showing, return_exceptions=True)

    async def end(self) -> None:
        """Nothing more is sent; waits until the manager has everything."""
        await self._call.done_writing()
        if self._feeding is None:
            await self._call.code()
            return
        try:
            await self._feeding
        finally:
            self._feeding.cancel()

    async def _show(self, command: RunningCommand) -> None:
        await together(*(self._pass_on(command, stream) for stream in command.streams))
        await self._send(Output(exit_code=await command.wait()))

    async def _pass_on(self, command: RunningCommand, stream: OutputStream) -> None:
        while piece := await command.read(stream):
            await self._send(Output(stdout=piece) if stream == "stdout" else Output(stderr=piece))

    async def _send(self, output: Output) -> None:
        async with self._sending:
            await self._call.write(Answer(output=output))

    async def _feed(self, command: RunningCommand) -> None:
        while isinstance(message := await self._call.read(), Input):
            match message.WhichOneof("kind"):
                case "stdin":
                    await command.write(message.stdin)
                case "end_of_stdin":
                    await command.end_input()
                case "resize":
                    command.resize(message.resize.rows, message.resize.columns)
                case "signal":
                    command.signal(message.signal)


def _failure(error: SwarmError) -> exec_pb2.ExecFailure:
    return exec_pb2.ExecFailure(
        code=error.code.value,
        what=error.what,
        why=error.why,
        remedy=error.remedy,
        field=error.field,
    )
