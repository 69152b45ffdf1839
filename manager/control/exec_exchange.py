"""Where clients that run commands and the agents of the tasks meet, within one process.

Nothing is stored: a few messages wait in each direction, and while they do, the side that sends is
not read from, so that gRPC's flow control holds it back.
"""

import asyncio

from api.errors import SwarmError
from api.v1 import exec_pb2
from hostkit.clock import Clock
from manager.control.exec_book import ExecBook
from manager.control.listener import Listener, Listeners
from manager.state.store import View
from manager.waiting import until_due

WAITING = 8
"""Messages that may wait in one direction of a session."""

Input = exec_pb2.ExecInput
Output = exec_pb2.ExecOutput
Order = exec_pb2.ExecOrder


class Session:
    """One client and its command."""

    def __init__(self, session_id: str, book: ExecBook, view: View, monotonic: Clock) -> None:
        self.id = session_id
        self.inputs: asyncio.Queue[Input] = asyncio.Queue(WAITING)
        """What goes to the agent."""
        self._outputs: asyncio.Queue[Output] = asyncio.Queue(WAITING)
        self._book = book
        self._view = view
        self._monotonic = monotonic
        self._woken = asyncio.Event()
        self._changed = False
        self.finished = False
        self._error: SwarmError | None = None
        self.over = asyncio.Event()
        """The client is gone, or has everything."""

    async def put(self, output: Output) -> None:
        """Adds what the command wrote, once there is room; the last message has the exit code."""
        await self._outputs.put(output)
        kind = output.WhichOneof("kind")
        if kind == "started":
            self._book.started(self.id)
        self.finished = self.finished or kind == "exit_code"
        self._woken.set()

    async def next_input(self) -> Input | None:
        """The next message for the agent; None once the session is over."""
        getting = asyncio.create_task(self.inputs.get())
        over = asyncio.create_task(self.over.wait())
        try:
            await asyncio.wait({getting, over}, return_when=asyncio.FIRST_COMPLETED)
            return getting.result() if getting.done() else None
        finally:
            getting.cancel()
            over.cancel()

    async def next(self) -> Output | None:
        """The next message for the client, None after the last; raises what ended the session.

        What was written before an error comes before it.
        """
        while True:
            if not self._outputs.empty():
                return self._outputs.get_nowait()
            if self.finished:
                return None
            if self._error is None:
                self._error = self._book.trouble(self._view, self.id, self._monotonic())
            if self._error is not None:
                raise self._error
            await until_due(self._woken, self._due, self._monotonic)

    def look(self) -> None:
        """Something that concerns the session changed."""
        self._changed = True
        self._woken.set()

    def detached(self) -> None:
        """The agent's stream has ended, by itself or with its node."""
        if not (self.finished or self.over.is_set()):
            self.fail(self._book.lost(self._view, self.id))

    def fail(self, error: SwarmError) -> None:
        """Ends the session; only the first reason counts."""
        self._error = self._error or error
        self._woken.set()

    def _due(self) -> float | None:
        changed, self._changed = self._changed, False
        if changed or self.finished or self._error is not None or not self._outputs.empty():
            return 0.0
        return self._book.due(self.id)


class ExecExchange:
    """All clients and all agents."""

    def __init__(self, view: View, monotonic: Clock) -> None:
        self._view = view
        self._monotonic = monotonic
        self._book = ExecBook()
        self._sessions: dict[str, Session] = {}
        self._listeners = Listeners[Order]("commands")

    def open(self, session_id: str, start: exec_pb2.ExecStart) -> Session:
        """A client begins; its node is asked. See ExecBook for why it may be refused."""
        self._book.open(self._view, session_id, start.task_id, self._monotonic())
        session = Session(session_id, self._book, self._view, self._monotonic)
        session.inputs.put_nowait(Input(start=start))
        self._sessions[session_id] = session
        self._ask()
        return session

    def sessions(self) -> list[Session]:
        """Those that are open."""
        return list(self._sessions.values())

    def node_of(self, session: Session) -> str:
        """The node that the session's command runs on."""
        return self._book.node_of(session.id)

    def close(self, session: Session) -> None:
        """A client left, or has everything: the agent ends the command if it still runs.

        It is told so apart from its stream, from which it does not read while the command does not.
        """
        session.over.set()
        del self._sessions[session.id]
        node_id = self._book.close(session.id)
        if not session.finished:
            self._listeners.tell(node_id, Order(id=session.id, close=True))

    def attach(self, session_id: str, node_id: str) -> Session:
        """An agent takes its session; see ExecBook for why it may not."""
        self._book.attach(session_id, node_id, self._monotonic())
        session = self._sessions[session_id]
        session.look()
        return session

    def listen(self, node_id: str) -> Listener[Order]:
        """An agent begins to listen; a stream of the same node that was open ends."""
        listener = self._listeners.open(node_id)
        self._book.listens(node_id)
        self._ask()
        return listener

    def leave(self, listener: Listener[Order]) -> None:
        """An agent listens no more."""
        self._listeners.leave(listener)

    def end(self, error: SwarmError) -> None:
        """Ends every stream of clients and agents with `error`."""
        for session in self._sessions.values():
            session.fail(error)
        self._listeners.end(error)

    def _ask(self) -> None:
        for node_id, session_id in self._book.ask(self._listeners):
            self._listeners[node_id].tell(Order(id=session_id))
