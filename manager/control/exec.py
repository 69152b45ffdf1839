"""The Exec and ExecBroker services of api/v1/exec.proto: clients run commands, agents carry them
out.

Which sessions there may be is decided in exec_book; messages wait in exec_exchange. A node attaches
only to what it was asked for.
"""

import asyncio
import logging
from collections.abc import AsyncIterator
from typing import Any, TypeAlias

import grpc

from api.errors import Code, SwarmError, invalid
from api.ids import IdSource
from api.serving import caller
from api.v1 import exec_pb2, exec_pb2_grpc, objects_pb2
from hostkit.clock import Clock
from manager.control.exec_check import check_input, check_output, check_start
from manager.control.exec_exchange import ExecExchange, Session
from manager.control.listener import check_member
from manager.state.changes import Event
from manager.state.store import Store
from manager.state.watch import WatchHub

Context: TypeAlias = "grpc.aio.ServicerContext[Any, Any]"
Inputs = AsyncIterator[exec_pb2.ExecInput]
Answers = AsyncIterator[exec_pb2.ExecAnswer]

log = logging.getLogger(__name__)

SETUP = 10.0
"""Seconds in which a stream must say what it is about."""


class ExecService(exec_pb2_grpc.ExecServicer):
    """Serves clients. Agents reach the same exchange through ExecBrokerService."""

    def __init__(self, *, store: Store, hub: WatchHub, monotonic: Clock, ids: IdSource) -> None:
        self.store = store
        self.exchange = ExecExchange(store, monotonic)
        self._hub = hub
        self._ids = ids

    async def Run(
        self, request_iterator: Inputs, context: Context
    ) -> AsyncIterator[exec_pb2.ExecOutput]:
        """One command in one task; ends with its exit code."""
        first = await _first(request_iterator)
        if first is None or first.WhichOneof("kind") != "start":
            raise invalid("start", "the first message must say what to run")
        check_start(first.start)
        session = self.exchange.open(self._ids(), first.start)
        who = caller()
        # Never the command itself, in which there may be secrets.
        log.info("%s %s runs a command in task %s", who.role, who.id, first.start.task_id)
        node_id = self.exchange.node_of(session)

        def look() -> None:
            watching.take()
            session.look()

        watching = self._hub.subscribe(look, match=lambda event: _is_of(event, node_id))
        taking = asyncio.create_task(_take(request_iterator, session))
        try:
            while (output := await session.next()) is not None:
                yield output
        finally:
            taking.cancel()
            self._hub.unsubscribe(watching)
            self.exchange.close(session)
            await asyncio.gather(taking, return_exceptions=True)

    def end(self) -> None:
        """This manager stops to lead: every stream of clients and agents ends."""
        self.exchange.end(
            SwarmError(
                Code.UNAVAILABLE,
                "the command was broken off",
                why="this manager does not lead any more",
                remedy="run it again: another manager leads by now",
            )
        )


class ExecBrokerService(exec_pb2_grpc.ExecBrokerServicer):
    """Serves agents."""

    def __init__(self, commands: ExecService) -> None:
        self._store = commands.store
        self._exchange = commands.exchange

    async def Listen(
        self, request: exec_pb2.ListenExecRequest, context: Context
    ) -> AsyncIterator[exec_pb2.ExecOrder]:
        """The sessions that the calling node is to attach to, and to let go."""
        node_id = caller().id
        check_member(self._store, node_id)
        listener = self._exchange.listen(node_id)
        try:
            while True:
                yield await listener.next()
        finally:
            self._exchange.leave(listener)

    async def Attach(
        self, request_iterator: Answers, context: Context
    ) -> AsyncIterator[exec_pb2.ExecInput]:
        """One session: its input for its output, until the client has everything."""
        first = await _first(request_iterator)
        session = self._exchange.attach("" if first is None else first.session_id, caller().id)
        answering = asyncio.create_task(_answer(request_iterator, session))
        try:
            while (message := await session.next_input()) is not None:
                yield message
        finally:
            answering.cancel()
            await asyncio.gather(answering, return_exceptions=True)
            session.detached()


async def _first(messages: AsyncIterator[Any]) -> Any:  # noqa: ANN401 - of either stream
    """The first message of a stream, None if there is none; DEADLINE if it says nothing."""
    try:
        async with asyncio.timeout(SETUP):
            return await anext(messages, None)
    except TimeoutError:
        raise SwarmError(Code.DEADLINE, f"nothing was said within {SETUP:g} s") from None


async def _take(messages: Inputs, session: Session) -> None:
    """Passes on what the client sends, as long as it sends."""
    try:
        async for message in messages:
            check_input(message)
            await session.inputs.put(message)
    except SwarmError as error:
        session.fail(error)


async def _answer(messages: Answers, session: Session) -> None:
    """Passes on what the agent sends, up to its end."""
    try:
        async for message in messages:
            if message.WhichOneof("kind") == "failure":
                raise _failure(message.failure)
            check_output(message.output)
            await session.put(message.output)
    except SwarmError as error:
        session.fail(error)
    session.detached()


def _failure(failure: exec_pb2.ExecFailure) -> SwarmError:
    """What the agent says of a command that it could not run."""
    known = {code.value: code for code in Code}
    return SwarmError(
        known.get(failure.code, Code.INTERNAL),
        failure.what,
        why=failure.why,
        remedy=failure.remedy,
        field=failure.field,
    )


def _is_of(event: Event, node_id: str) -> bool:
    return isinstance(event.object, objects_pb2.Node) and event.object.id == node_id
