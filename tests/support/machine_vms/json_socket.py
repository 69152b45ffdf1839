"""Questions and answers as lines of JSON over a unix socket, as qemu and its guest agent speak."""

import json
import socket
from pathlib import Path
from typing import Any

_LONGEST = 64 << 20


class JsonSocket:
    """One connection. ConnectionError when the other end is gone, TimeoutError when it is slow."""

    def __init__(self, path: Path, timeout: float) -> None:
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._socket.settimeout(timeout)
        try:
            self._socket.connect(str(path))
        except OSError:
            self._socket.close()
            raise
        self._lines = self._socket.makefile("rb")

    def close(self) -> None:
        """Hangs up."""
        self._lines.close()
        self._socket.close()

    def send(self, message: dict[str, Any], before: bytes = b"") -> None:
        """One line, with some bytes `before` it."""
        self._socket.sendall(before + json.dumps(message).encode() + b"\n")

    def line(self) -> bytes:
        """The next line."""
        line = self._lines.readline(_LONGEST)
        if not line.endswith(b"\n"):
            raise ConnectionError("the connection has ended")
        return line

    def answer(self) -> Any:
        """What the next answer returns; events are passed over. RuntimeError with its complaint."""
        while True:
            message = json.loads(self.line())
            if "error" in message:
                raise RuntimeError(str(message["error"].get("desc", message["error"])))
            if "return" in message:
                return message["return"]
