"""A question for a name every 50 ms out of one network namespace, whatever became of the last."""

import contextlib
import select
import socket
import threading
import time
from pathlib import Path

from hostkit import netns
from tests.support.dns_messages import question, read

EVERY = 0.05
_SERVER = ("127.0.0.11", 53)
_MOST = 4096


class Pulse:
    """Asks in the block, by one socket all the time, as programs do that keep theirs."""

    def __init__(self, source: Path, name: str) -> None:
        self._name = name
        self._socket = netns.call_in(source, lambda: socket.socket(type=socket.SOCK_DGRAM))
        self._socket.connect(_SERVER)
        self._socket.setblocking(False)
        self._ends = threading.Event()
        self._heard = threading.Condition()
        self._thread = threading.Thread(target=self._run, name="pulse")
        self._answers: list[frozenset[str] | None] = []  # by question; None: unanswered so far

    def __enter__(self) -> "Pulse":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ends.set()
        self._thread.join()
        self._socket.close()

    def goes_on(self, many: int = 20) -> None:
        """Returns once so many more questions were asked and answered."""
        with self._heard:
            asked = len(self._answers)
            assert self._heard.wait_for(
                lambda: sum(map(bool, self._answers[asked:])) >= many, timeout=60
            )

    @property
    def answers(self) -> set[frozenset[str]]:
        """What was answered: sets of addresses."""
        with self._heard:
            return {each for each in self._answers if each is not None}

    def gaps(self) -> list[int]:
        """How many questions in a row went without an answer, each time that any did; those after
        the last answer may still get theirs.
        """
        with self._heard:
            text = "".join("-" if each is None else "+" for each in self._answers)
        return [len(gap) for gap in text.rstrip("-").split("+") if gap]

    def _run(self) -> None:
        due = time.monotonic()
        while not self._ends.is_set():
            left = due - time.monotonic()
            if left <= 0:
                self._ask()
                due += EVERY
            elif select.select([self._socket], [], [], left)[0]:
                self._hear()

    def _ask(self) -> None:
        with self._heard:
            self._answers.append(None)
            number = len(self._answers) - 1
        data = question(self._name, ident=number)
        while not self._sent(data):
            pass

    def _sent(self, data: bytes) -> bool:
        """False: what became of one before was told instead, be it late; this one was not sent."""
        try:
            self._socket.send(data)
        except ConnectionRefusedError:
            return False
        return True

    def _hear(self) -> None:
        with contextlib.suppress(ConnectionRefusedError):  # nobody listens
            answer = read(self._socket.recv(_MOST))
            with self._heard:
                self._answers[answer.ident] = frozenset(answer.addresses())
                self._heard.notify_all()
