"""Clients of the control API that use services as registers and write down what they saw.

A register is a service of 0 replicas, its value a label. Calls go over real gRPC. A call that is
tried again, there or elsewhere, keeps its request_id and is one operation; one that never got an
answer is recorded as of unknown outcome. Nothing here judges what was answered.
"""

import asyncio
import dataclasses
import math
import random
import time
from collections.abc import Awaitable, Callable, Sequence
from typing import TypeAlias

import grpc

from api.channel import CHANNEL_OPTIONS
from api.errors import Code
from api.new_ids import new_id
from api.status import from_grpc
from api.v1 import control_pb2, control_pb2_grpc, objects_pb2, specs_pb2
from tests.support.linearizability.history import Kind, Operation, Outcome

LABEL = "value"
IMAGE = "registry:5000/demo/tools:1"
_REFUSALS = {
    Code.EXISTS: Outcome.EXISTS,
    Code.NOT_FOUND: Outcome.ABSENT,
    Code.CONFLICT: Outcome.STALE,
}
_UNANSWERED = {Code.UNAVAILABLE, Code.DEADLINE, Code.CANCELLED, Code.EXHAUSTED, Code.INTERNAL}
_KINDS = (Kind.READ,) * 4 + (Kind.UPDATE,) * 4 + (Kind.CREATE,) * 2 + (Kind.DELETE,)

_Call: TypeAlias = (
    "Callable[[control_pb2_grpc.ControlAsyncStub, float], Awaitable[objects_pb2.Service | None]]"
)


@dataclasses.dataclass(frozen=True)
class Patience:
    """How long a client insists, in seconds; `elsewhere`: each try goes to the next target."""

    tries: int = 3
    deadline: float = 3.0
    pause: float = 0.2
    elsewhere: bool = True


@dataclasses.dataclass(frozen=True)
class Answer:
    """Of one operation: the service, if one came back, or the refusal; neither if none came."""

    tries: int
    called: float
    returned: float
    service: objects_pb2.Service | None = None
    refusal: Outcome | None = None
    was_answered: bool = True


class RegisterClient:
    """One client with one connection at a time, to one of its targets (as gRPC names them)."""

    def __init__(
        self,
        name: str,
        targets: Sequence[str],
        record: Callable[[Operation], None],
        patience: Patience = Patience(),
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        self.name = name
        self._targets = targets
        self._record = record
        self._patience = patience
        self._now = now
        self._at = 0
        self._channel: grpc.aio.Channel | None = None

    async def __aenter__(self) -> "RegisterClient":
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._hang_up()

    async def connect(self, target: int) -> None:
        """Go to another target; its number is taken modulo their count."""
        await self._hang_up()
        self._at = target % len(self._targets)

    async def create(self, key: str, value: str) -> int | None:
        """Create a register; its version if that was answered."""
        request = control_pb2.CreateServiceRequest(spec=_spec(key, value), request_id=new_id())
        answer = await self._ask(lambda stub, limit: stub.CreateService(request, timeout=limit))
        return self._wrote(Kind.CREATE, key, answer, value)

    async def update(self, key: str, value: str, expected: int) -> int | None:
        """Write a register from a version; the new version if that was answered."""
        request = control_pb2.UpdateServiceRequest(
            key=key, spec=_spec(key, value), version=expected, request_id=new_id()
        )
        answer = await self._ask(lambda stub, limit: stub.UpdateService(request, timeout=limit))
        return self._wrote(Kind.UPDATE, key, answer, value, expected)

    async def delete(self, key: str) -> None:
        """Delete a register."""
        request = control_pb2.RemoveRequest(key=key, request_id=new_id())

        async def remove(stub: "control_pb2_grpc.ControlAsyncStub", limit: float) -> None:
            await stub.RemoveService(request, timeout=limit)

        self._wrote(Kind.DELETE, key, await self._ask(remove))

    async def read(self, key: str) -> int | None:
        """Read a register; its version if there is one and the answer came."""
        request = control_pb2.GetRequest(key=key)
        answer = await self._ask(lambda stub, limit: stub.GetService(request, timeout=limit))
        if answer.service is not None:
            self._saw(key, answer, answer.service)
            return answer.service.meta.version
        if answer.refusal is not None:
            self._note(Kind.READ, key, answer, answer.refusal)
        return None

    def _wrote(
        self, kind: Kind, key: str, answer: Answer, value: str = "", expected: int | None = None
    ) -> int | None:
        """Record a write, and whatever its answer tells besides."""
        if not answer.was_answered:
            self._note(kind, key, answer, Outcome.UNKNOWN, value, expected)
            return None
        if answer.refusal is not None:
            self._refused(kind, key, answer, answer.refusal, value, expected)
            return None
        present = answer.service
        version = present.meta.version if present is not None else None
        own = version
        if present is not None and present.spec.annotations.labels[LABEL] != value:
            # Somebody wrote again before the answer was made: that was read.
            self._saw(key, answer, present)
            own = None
        self._note(kind, key, answer, Outcome.DONE, value, expected, own)
        return version

    def _refused(
        self,
        kind: Kind,
        key: str,
        answer: Answer,
        refusal: Outcome,
        value: str,
        expected: int | None,
    ) -> None:
        """A refusal tells what was there. Of an earlier try of the same call it says nothing, nor
        does `absent` after a create or an update, which may have been carried out and deleted.
        """
        gone = refusal is Outcome.ABSENT and kind in (Kind.CREATE, Kind.UPDATE)
        if gone:
            self._note(Kind.READ, key, answer, refusal)
        else:
            self._note(kind, key, answer, refusal, value, expected)
        if gone or answer.tries > 1:
            self._note(kind, key, answer, Outcome.UNKNOWN, value, expected)

    def _saw(self, key: str, answer: Answer, service: objects_pb2.Service) -> None:
        value = service.spec.annotations.labels[LABEL]
        version = service.meta.version
        self._note(Kind.READ, key, answer, Outcome.DONE, value, version=version)

    def _note(
        self,
        kind: Kind,
        key: str,
        answer: Answer,
        outcome: Outcome,
        value: str = "",
        expected: int | None = None,
        version: int | None = None,
    ) -> None:
        returned = math.inf if outcome is Outcome.UNKNOWN else answer.returned
        self._record(
            Operation(
                self.name, key, kind, outcome, answer.called, returned, value, expected, version
            )
        )

    async def _ask(self, call: _Call) -> Answer:
        called = self._now()
        for tries in range(1, self._patience.tries + 1):
            try:
                service = await call(self._stub(), self._patience.deadline)
                return Answer(tries, called, self._now(), service)
            except grpc.aio.AioRpcError as error:
                failure = from_grpc(error, f"a call of {self.name}")
            if failure.code in _REFUSALS:
                return Answer(tries, called, self._now(), refusal=_REFUSALS[failure.code])
            if failure.code not in _UNANSWERED:
                raise failure
            await asyncio.sleep(self._patience.pause)
            if self._patience.elsewhere:
                await self.connect(self._at + 1)
        return Answer(self._patience.tries, called, self._now(), was_answered=False)

    def _stub(self) -> "control_pb2_grpc.ControlAsyncStub":
        if self._channel is None:
            self._channel = grpc.aio.insecure_channel(
                self._targets[self._at], options=CHANNEL_OPTIONS
            )
        return control_pb2_grpc.ControlStub(self._channel)

    async def _hang_up(self) -> None:
        if self._channel is not None:
            await self._channel.close(None)
            self._channel = None


@dataclasses.dataclass
class Workload:
    """What each client does until it is stopped: kinds, registers and pauses as the dice fall.

    `keys` registers are in use at a time; after `lifetime` operations on one another takes its
    place, so that no register's history grows without end.
    """

    dice: random.Random
    keys: int = 6
    lifetime: int = 250
    pause: float = 0.03
    stopping: asyncio.Event = dataclasses.field(default_factory=asyncio.Event)
    _used: list[int] = dataclasses.field(default_factory=list)

    async def run(self, client: RegisterClient) -> None:
        """One client's part of it."""
        versions: dict[str, int] = {}
        count = 0
        while not self.stopping.is_set():
            count += 1
            key = self._key()
            kind = self.dice.choice(_KINDS)
            seen = await self._do(client, kind, key, f"{client.name}-{count}", versions.get(key))
            if seen is not None:
                versions[key] = seen
            await asyncio.sleep(self.dice.uniform(0, 2 * self.pause))

    async def _do(
        self, client: RegisterClient, kind: Kind, key: str, value: str, known: int | None
    ) -> int | None:
        """The version of the register, if this operation told it."""
        if kind is Kind.CREATE:
            return await client.create(key, value)
        if kind is Kind.DELETE:
            await client.delete(key)
            return None
        if kind is Kind.UPDATE and known is not None:
            return await client.update(key, value, known)
        return await client.read(key)

    def _key(self) -> str:
        """A register in use: its name holds its place and its generation."""
        self._used = self._used or [0] * self.keys
        place = self.dice.randrange(self.keys)
        self._used[place] += 1
        return f"register-{place}-{self._used[place] // self.lifetime}"


def is_progress(operation: Operation) -> bool:
    """Whether it shows that the group decides: a write that was carried out and answered."""
    return operation.is_done and operation.may_write


def _spec(key: str, value: str) -> specs_pb2.ServiceSpec:
    spec = specs_pb2.ServiceSpec()
    spec.annotations.name = key
    spec.annotations.labels[LABEL] = value
    spec.task.container.image = IMAGE
    spec.replicated.replicas = 0
    return spec
