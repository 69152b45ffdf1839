"""Answers calls that any manager takes: here, here once it is up to date, or by the leader.

A call that arrives while nobody leads waits for a leader, up to its deadline. One that is lost on
its way, or whose leader falls, is sent again to the next leader: what changes something carries a
request_id, so that it has the effect of one call. What a manager was passed it does not pass on:
while two take each other for the leader, a call would go to and fro. A refusal is only told once it
is certain that this manager still led when it was made: a fallen leader must not deny what its
successor granted.
"""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Sequence
from contextlib import aclosing
from typing import Any

import grpc

from api.errors import Code, SwarmError
from api.metadata import is_stale_read
from api.serving import Caller, Context, Handler, caller
from manager.forwarding.channels import ManagerChannels
from manager.forwarding.leader_line import LeaderLine, LeaderMovedError, not_leading
from manager.forwarding.leadership import Leadership
from manager.forwarding.methods import Where, where
from manager.forwarding.patience import Patience

RETRY = 0.1
"""Seconds before a call is sent again, if nobody else leads before."""


class Forwarder(grpc.GenericRpcHandler):
    """Stands before handlers of this manager; add it to a server in their place."""

    def __init__(
        self,
        handlers: Sequence[grpc.GenericRpcHandler],
        leadership: Leadership,
        channels: ManagerChannels,
    ) -> None:
        self._handlers = list(handlers)
        self._leadership = leadership
        self._line = LeaderLine(leadership, channels)
        self._made: dict[str, tuple[Handler, Handler]] = {}

    def service(self, handler_call_details: grpc.HandlerCallDetails) -> "Handler | None":
        """The handler of one call; None if none of those behind knows it."""
        for each in self._handlers:
            found = each.service(handler_call_details)
            if found is not None:
                method = str(handler_call_details.method)
                made = self._made.get(method)
                if made is None or made[0] is not found:
                    made = self._made[method] = found, self._placed(method, found)
                return made[1]
        return None

    def _placed(self, method: str, handler: Handler) -> Handler:
        place = where(method)
        if place is Where.HERE:
            return handler
        here = handler.unary_stream or handler.unary_unary or handler.stream_stream
        if here is None:
            raise TypeError(f"{method} streams its requests alone: it can only be answered here")
        call = _Call(method, here, self._leadership, self._line)
        read = place is Where.HERE_UP_TO_DATE
        if handler.stream_stream is not None:
            return grpc.stream_stream_rpc_method_handler(
                call.converse,
                handler.request_deserializer,
                _or_bytes(handler.response_serializer),
            )
        if handler.unary_stream is not None:
            return grpc.unary_stream_rpc_method_handler(
                call.read_stream if read else call.stream,
                handler.request_deserializer,
                _or_bytes(handler.response_serializer),
            )
        return grpc.unary_unary_rpc_method_handler(
            call.read if read else call.answer,
            handler.request_deserializer,
            _or_bytes(handler.response_serializer),
        )


class _Call:
    """One method: its handler here, and the way to the leader."""

    def __init__(
        self, method: str, here: Callable[..., Any], leadership: Leadership, line: LeaderLine
    ) -> None:
        self._method = method
        self._here = here
        self._leadership = leadership
        self._line = line

    async def read(self, request: Any, context: Context) -> Any:  # noqa: ANN401
        """Answers here, up to date."""
        await self._up_to_date(context)
        return await self._here(request, context)

    async def read_stream(self, request: Any, context: Context) -> AsyncGenerator[Any, None]:  # noqa: ANN401
        """Streams from here; up to date from its first message on."""
        await self._up_to_date(context)
        async with aclosing(self._here(request, context)) as messages:
            async for message in messages:
                yield message

    async def answer(self, request: Any, context: Context) -> Any:  # noqa: ANN401
        """The leader's answer, whoever that is in the end."""
        patience, who = _patience(context), _who()
        doubt: SwarmError | None = None
        while True:
            try:
                if self._leadership.is_leader:
                    return await self._lead(request, context)
                _check_may_pass_on(patience)
                return await self._line.call(
                    self._method, request.SerializeToString(), who, timeout=patience.left()
                )
            except LeaderMovedError as moved:
                doubt = moved.told if moved.sent else doubt
                if doubt is not None and self._is_over(patience):
                    raise doubt if patience.forwarded else _unknown(doubt) from moved
                await self._wait(moved, patience)

    async def stream(self, request: Any, context: Context) -> AsyncGenerator[Any, None]:  # noqa: ANN401
        """The leader's stream; UNAVAILABLE once it breaks, since messages may be missing then."""
        patience, who = _patience(context), _who()
        begun = False
        while True:
            try:
                async with aclosing(self._messages(request, context, who, patience)) as messages:
                    async for message in messages:
                        begun = True
                        yield message
                return
            except LeaderMovedError as moved:
                if begun:
                    raise moved.told from moved
                await self._wait(moved, patience)

    async def converse(
        self,
        requests: AsyncIterator[Any],
        context: Context,
    ) -> AsyncGenerator[Any, None]:
        """Both sides stream, with whoever leads when it begins: what was said cannot be repeated.

        UNAVAILABLE once that breaks.
        """
        patience, who = _patience(context), _who()
        while self._leadership.leader is None:
            await self._wait(LeaderMovedError(not_leading(), sent=False), patience)
        if self._leadership.is_leader:
            answers = self._here(requests, context)
        elif patience.forwarded:
            raise not_leading()
        else:
            said = (request.SerializeToString() async for request in requests)
            answers = self._line.converse(self._method, said, who, timeout=patience.deadline)
        try:
            async with aclosing(answers) as messages:
                async for message in messages:
                    yield message
        except LeaderMovedError as moved:
            raise moved.told from moved

    def _messages(
        self,
        request: Any,  # noqa: ANN401
        context: Context,
        who: Caller | None,
        patience: Patience,
    ) -> AsyncGenerator[Any, None]:
        if self._leadership.is_leader:
            mine: AsyncGenerator[Any, None] = self._here(request, context)
            return mine
        _check_may_pass_on(patience)
        return self._line.stream(
            self._method, request.SerializeToString(), who, timeout=patience.deadline
        )

    async def _lead(self, request: Any, context: Context) -> Any:  # noqa: ANN401
        try:
            return await self._here(request, context)
        except SwarmError as refusal:
            if refusal.code is not Code.UNAVAILABLE:
                await self._certain(refusal)
            elif self._leadership.is_leader:
                raise
            raise LeaderMovedError(refusal, sent=True) from refusal

    async def _certain(self, refusal: SwarmError) -> None:
        """Raises the refusal if this manager still led when it was made."""
        try:
            await self._leadership.read_barrier()
        except SwarmError:
            return
        if self._leadership.is_leader:
            raise refusal

    async def _up_to_date(self, context: Context) -> None:
        if is_stale_read(context.invocation_metadata()):
            return
        try:
            async with asyncio.timeout(_patience(context).left()):
                await self._leadership.read_barrier()
        except TimeoutError:
            raise not_leading() from None

    def _is_over(self, patience: Patience) -> bool:
        """Whether the call is not tried again here: who passed it on waits himself."""
        return patience.forwarded or not patience.left() or not self._leadership.is_alive

    async def _wait(self, moved: LeaderMovedError, patience: Patience) -> None:
        """Until the call is worth another try; raises what is to be told if it is not any more."""
        if self._is_over(patience):
            raise moved.told from moved
        changed = asyncio.Event()
        stop = self._leadership.subscribe(changed.set)
        try:
            async with asyncio.timeout(min(RETRY, patience.left())):
                await changed.wait()
        except TimeoutError:
            return
        finally:
            stop()


def _check_may_pass_on(patience: Patience) -> None:
    if patience.forwarded:
        raise LeaderMovedError(not_leading(), sent=False)


def _patience(context: Context) -> Patience:
    return Patience(context, asyncio.get_running_loop().time)


def _unknown(told: SwarmError) -> SwarmError:
    """The end of a change that a leader may have heard, and its successor may carry out yet."""
    return SwarmError(
        Code.UNAVAILABLE,
        "it is not known whether the change was made, or will be",
        why=str(told),
        remedy="when the managers have a leader again, look first, and repeat it if need be",
    )


def _who() -> Caller | None:
    """Who calls; None on the identity port, whose callers have no name."""
    try:
        return caller()
    except SwarmError:
        return None


def _or_bytes(serialize: Callable[[Any], bytes] | None) -> Callable[[Any], bytes]:
    """Lets answers through that the leader has put into bytes already."""

    def serialized(answer: Any) -> bytes:  # noqa: ANN401
        if isinstance(answer, bytes) or serialize is None:
            return bytes(answer)
        return serialize(answer)

    return serialized
