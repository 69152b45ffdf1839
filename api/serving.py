"""What every gRPC server of ours does around its handlers: say who calls, and answer errors.

Holds the caller of the present call and the interceptor that turns exceptions into statuses. Who
the caller is and what it may do is found out in manager/ca/authorize.py.
"""

import inspect
import logging
import secrets
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, aclosing, asynccontextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Literal, TypeAlias

import grpc

from api.errors import Code, SwarmError
from api.identity import Role
from api.status import from_grpc, to_grpc

logger = logging.getLogger(__name__)

Context = grpc.aio.ServicerContext[Any, Any]
Handler: TypeAlias = "grpc.RpcMethodHandler[Any, Any]"
Guard = Callable[[Context], AbstractAsyncContextManager[None]]
"""What happens around one call: it is entered before the handler runs and left after its answer."""


@dataclass(frozen=True, slots=True)
class Caller:
    """Who calls. Over the socket of the host: an operator without an id or a cluster.

    `certificate` (PEM): the one that was shown by the caller itself, not by whoever passes it on.
    """

    role: Role
    id: str
    cluster_id: str
    via: Literal["socket", "tls"]
    certificate: bytes = field(default=b"", repr=False, compare=False)


_caller: ContextVar[Caller] = ContextVar("caller")


def caller() -> Caller:
    """Who made the call that is being served; UNAUTHENTICATED where nobody was let in by name."""
    try:
        return _caller.get()
    except LookupError:
        raise SwarmError(Code.UNAUTHENTICATED, "this call needs an identity") from None


def set_caller(who: Caller) -> None:
    """Makes `who` the caller for the rest of this task; gRPC serves each call in one of its own."""
    _caller.set(who)


class Guarding(grpc.aio.ServerInterceptor):
    """Stands before every call of a server, with `guard` of its method around each."""

    # What a method's handler becomes is made once: it would cost a thirtieth of every call.

    def __init__(self, guard: Callable[[str, Context], AbstractAsyncContextManager[None]]) -> None:
        self._guard = guard
        self._made: dict[str, tuple[Handler, Handler]] = {}

    async def intercept_service(
        self,
        continuation: Callable[[grpc.HandlerCallDetails], Awaitable[Any]],
        handler_call_details: grpc.HandlerCallDetails,
    ) -> Any:  # noqa: ANN401 - a handler of any request and response, or None
        """Wraps the handler of one call."""
        handler = await continuation(handler_call_details)
        if handler is None:
            return None
        method = str(handler_call_details.method)
        made = self._made.get(method)
        if made is None or made[0] is not handler:
            made = self._made[method] = handler, guarded(handler, partial(self._guard, method))
        return made[1]


class ErrorInterceptor(Guarding):
    """Answers exceptions of handlers: the outermost interceptor of every server.

    A SwarmError becomes its status with all its detail; so does the failure of a call to another
    node. Anything else is a defect: INTERNAL with a reference to the log, where the traceback is.
    Cancellation passes.
    """

    def __init__(self) -> None:
        super().__init__(_answer_errors)


@asynccontextmanager
async def _answer_errors(method: str, context: Context) -> AsyncIterator[None]:
    try:
        yield
    except grpc.aio.AbortError:
        raise
    except SwarmError as error:
        await _abort(context, error)
    except grpc.aio.AioRpcError as error:
        await _abort(context, from_grpc(error, "asking another node"))
    except Exception:  # the outermost boundary of a call
        reference = secrets.token_hex(4)
        logger.exception("%s failed unexpectedly, reference %s", method, reference)
        await _abort(context, _defect(reference))


async def _abort(context: Context, error: SwarmError) -> None:
    code, details, trailers = to_grpc(error)
    await context.abort(code, details, trailers)


def _defect(reference: str) -> SwarmError:
    return SwarmError(
        Code.INTERNAL,
        "the daemon failed unexpectedly",
        why=f"its log tells more at reference {reference}",
        remedy="look there, and report it as a defect",
    )


def guarded(handler: Handler, guard: Guard) -> Handler:
    """The handler with `guard` around each of its calls, whatever of it streams."""
    behaviour: Callable[..., Any] | None
    if handler.request_streaming and handler.response_streaming:
        behaviour, make = handler.stream_stream, grpc.stream_stream_rpc_method_handler
    elif handler.request_streaming:
        behaviour, make = handler.stream_unary, grpc.stream_unary_rpc_method_handler
    elif handler.response_streaming:
        behaviour, make = handler.unary_stream, grpc.unary_stream_rpc_method_handler
    else:
        behaviour, make = handler.unary_unary, grpc.unary_unary_rpc_method_handler
    if behaviour is None:
        raise TypeError("a handler without a behaviour")
    return make(
        _around(behaviour, guard), handler.request_deserializer, handler.response_serializer
    )


def _around(behaviour: Callable[..., Any], guard: Guard) -> Callable[..., Any]:
    async def answer(argument: object, context: Context) -> object:
        async with guard(context):
            return await behaviour(argument, context)

    async def stream(argument: object, context: Context) -> AsyncGenerator[object, None]:
        async with guard(context), aclosing(behaviour(argument, context)) as messages:
            async for message in messages:
                yield message

    return stream if inspect.isasyncgenfunction(behaviour) else answer
