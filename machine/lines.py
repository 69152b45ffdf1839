"""Cuts what comes in pieces into lines, and keeps no more of it than was asked for. Pure."""

_LONGEST = 1 << 16
"""A longer line is told in parts, so that one without an end fills no memory."""


class Stream:
    """One output of a command: `kept` up to a limit, and told line by line."""

    def __init__(self, limit: int) -> None:
        self._room = limit
        self._kept: list[bytes] = []
        self._rest = b""

    @property
    def kept(self) -> bytes:
        """The first bytes of it."""
        return b"".join(self._kept)

    def keep(self, piece: bytes) -> None:
        """Takes a piece; drops what is beyond the limit."""
        if self._room > 0:
            self._kept.append(piece[: self._room])
            self._room -= len(self._kept[-1])

    def lines(self, piece: bytes) -> list[str]:
        """The lines that this piece ends."""
        *ended, self._rest = (self._rest + piece).split(b"\n")
        while len(self._rest) > _LONGEST:
            ended.append(self._rest[:_LONGEST])
            self._rest = self._rest[_LONGEST:]
        return [_text(line) for line in ended]

    def last(self) -> list[str]:
        """The line that nothing ended, if there is one."""
        rest, self._rest = self._rest, b""
        return [_text(rest)] if rest else []


def _text(line: bytes) -> str:
    return line.removesuffix(b"\r").decode(errors="replace")
