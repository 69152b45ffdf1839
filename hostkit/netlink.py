"""A netlink socket of one network namespace, and many requests with one acknowledgement.

The socket is made by a thread that is inside the namespace, and belongs to it for good: any thread
may use it afterwards, one at a time. It keeps the namespace alive until it is closed.
Every answer is awaited with a limit; what a message means is its sender's business.
"""

import errno
import os
import socket
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType

from api.errors import Code, SwarmError
from hostkit import netns
from hostkit.netlink_message import (
    ACK,
    DUMP,
    DUMP_INTERRUPTED,
    NLMSG_DONE,
    NLMSG_ERROR,
    REQUEST,
    Answer,
    Message,
    answers,
)

ROUTE = 0  # NETLINK_ROUTE
GENERIC = 16  # NETLINK_GENERIC
_SOL_NETLINK = 270
_CAP_ACK = 10  # refusals do not repeat the message
_EXT_ACK = 11  # refusals come with words
_STRICT = 12  # dumps heed their filters
_SO_SNDBUFFORCE = 32
_SO_RCVBUFFORCE = 33
_BUFFER = 1 << 21
_RECEIVED_AT_ONCE = 1 << 17
_TIMEOUT = 10.0
_PER_SEND = 800
"""So many messages go out at once. Each may be refused, and every refusal has to fit the buffer."""
_DUMP_TRIES = 10


@dataclass(frozen=True)
class Refusal:
    """A request that the kernel did not take."""

    message: Message
    number: int  # of errno
    text: str

    def error(self) -> OSError:
        """As an exception."""
        words = os.strerror(self.number)
        return OSError(self.number, f"{words}: {self.text}" if self.text else words)


class Netlink:
    """Owns the socket; a context manager that closes it."""

    def __init__(self, sock: socket.socket) -> None:
        self._socket = sock
        self._sequence = 0
        sock.settimeout(_TIMEOUT)
        sock.setsockopt(socket.SOL_SOCKET, _SO_SNDBUFFORCE, _BUFFER)
        sock.setsockopt(socket.SOL_SOCKET, _SO_RCVBUFFORCE, _BUFFER)
        for option in (_CAP_ACK, _EXT_ACK, _STRICT):
            sock.setsockopt(_SOL_NETLINK, option, 1)
        sock.bind((0, 0))

    @classmethod
    def inside(cls, namespace: str | Path, protocol: int = ROUTE) -> "Netlink":
        """A socket of the namespace of this file; NOT_FOUND if there is none."""
        return cls(netns.call_in(namespace, lambda: open_socket(protocol)))

    def __enter__(self) -> "Netlink":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Lets go of the socket, and so of the namespace; may be called again."""
        self._socket.close()

    def send(self, messages: Sequence[Message]) -> list[Refusal]:
        """All messages, in order; those that were refused. A refusal stops none of the rest."""
        refused: list[Refusal] = []
        for start in range(0, len(messages), _PER_SEND):
            refused += self._send_some(messages[start : start + _PER_SEND])
        return refused

    def ask(self, *messages: Message) -> None:
        """All messages; OSError for the first that was refused."""
        for refusal in self.send(messages):
            raise refusal.error()

    def transact(self, messages: Sequence[Message]) -> None:
        """All messages or none of them, the first and the last of which say so to the kernel.

        OSError for the first that was refused.
        """
        first, self._sequence = self._sequence + 1, self._sequence + len(messages)
        last = self._sequence - 1
        packed = (
            message.pack(number, REQUEST | (ACK if number == last else 0))
            for number, message in enumerate(messages, first)
        )
        self._socket.send(b"".join(packed))
        for answer in self._answers(first):
            failed, words = answer.failure()
            if failed:
                raise Refusal(messages[answer.sequence - first], failed, words).error()
            if answer.sequence == last:
                return

    def get(self, message: Message) -> Answer:
        """The one answer to a question; OSError if there is none."""
        self._sequence += 1
        self._socket.send(message.pack(self._sequence, REQUEST))
        answer = next(self._answers(self._sequence))
        if answer.type == NLMSG_ERROR:
            raise Refusal(message, *answer.failure()).error()
        return answer

    def dump(self, message: Message) -> list[Answer]:
        """All that the kernel has of a kind, as it was at one moment."""
        for _ in range(_DUMP_TRIES):
            self._sequence += 1
            self._socket.send(message.pack(self._sequence, REQUEST | DUMP))
            found = self._dumped(message)
            if found is not None:
                return found
        raise SwarmError(
            Code.UNAVAILABLE,
            "reading the network's state failed",
            why=f"it changed {_DUMP_TRIES} times while it was read",
            remedy="it is tried again; see what keeps making and removing links on this host",
        )

    def _dumped(self, message: Message) -> list[Answer] | None:
        """None if what was dumped changed meanwhile."""
        found: list[Answer] = []
        whole = True
        for answer in self._answers(self._sequence):
            whole = whole and not answer.flags & DUMP_INTERRUPTED
            if answer.type == NLMSG_ERROR:
                raise Refusal(message, *answer.failure()).error()
            if answer.type == NLMSG_DONE:
                return found if whole else None
            found.append(answer)
        return None

    def _send_some(self, messages: Sequence[Message]) -> Iterator[Refusal]:
        first = self._sequence + 1
        last = self._sequence = self._sequence + len(messages)
        packed = [
            message.pack(number, REQUEST if number < last else REQUEST | ACK)
            for number, message in enumerate(messages, first)
        ]
        self._socket.send(b"".join(packed))
        for answer in self._answers(first):
            if answer.type != NLMSG_ERROR or answer.sequence > last:
                continue
            failed, words = answer.failure()
            if failed:
                yield Refusal(messages[answer.sequence - first], failed, words)
            if answer.sequence == last:
                return

    def _answers(self, since: int) -> Iterator[Answer]:
        """Answers to requests from number `since` on; older ones belong to a question given up."""
        while True:
            try:
                data = self._socket.recv(_RECEIVED_AT_ONCE)
            except TimeoutError:
                raise SwarmError(
                    Code.DEADLINE, "the kernel does not answer", why=f"waited {_TIMEOUT:g} s"
                ) from None
            for answer in answers(data):
                if answer.sequence >= since:
                    yield answer


def open_socket(protocol: int = ROUTE) -> socket.socket:
    """A socket of the calling thread's namespace, to the part of the kernel of this number."""
    return socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, protocol)


def is_missing(error: OSError) -> bool:
    """Whether the kernel says that what was meant is not there, or no longer."""
    return error.errno in {errno.ENOENT, errno.ENODEV, errno.EADDRNOTAVAIL, errno.ESRCH}
