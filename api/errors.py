"""The one exception that users see: what failed, why, and what to do about it.

Anything else that reaches a user is a defect. api/status.py carries it over gRPC, the command
line prints it.
"""

import enum


class Code(enum.Enum):
    """The kind of failure, named for what the caller can do about it."""

    INVALID = "invalid"  # the request itself is wrong; sending it again will not help
    NOT_FOUND = "not found"
    EXISTS = "exists"
    CONFLICT = "conflict"  # somebody changed it meanwhile: read again, decide again
    REFUSED = "refused"  # fine by itself, but not in the present state of the cluster
    DENIED = "denied"  # this identity may not do this
    UNAUTHENTICATED = "unauthenticated"  # no valid identity
    UNAVAILABLE = "unavailable"  # nobody answers, or no leader; trying again may help
    DEADLINE = "deadline"
    EXHAUSTED = "exhausted"
    UNSUPPORTED = "unsupported"  # known, and has no effect yet
    CANCELLED = "cancelled"
    INTERNAL = "internal"


class SwarmError(Exception):
    """`what` failed, in a few words; `why`; `remedy`: what to do; `field`: path of the culprit.

    They may quote names of files and data of users, so what is no text in them is spelt out.
    """

    def __init__(
        self, code: Code, what: str, *, why: str = "", remedy: str = "", field: str = ""
    ) -> None:
        self.code = code
        self.what, self.why, self.remedy, self.field = map(_spelt, (what, why, remedy, field))
        super().__init__(code, self.what)

    def __str__(self) -> str:
        text = self.what
        if self.field and self.field not in self.what:
            text = f"{self.field}: {text}"
        if self.why:
            text += f": {self.why}"
        if self.remedy:
            text += f". {self.remedy[0].upper()}{self.remedy[1:]}"
        return text


def _spelt(text: str) -> str:
    """The text with bytes that were none (PEP 383) as \\udcff: nothing could be sent or stored of
    them, and who waits to be told of the error would wait on.
    """
    return text.encode(errors="backslashreplace").decode()


def invalid(field: str, what: str, *, why: str = "", remedy: str = "") -> SwarmError:
    """Refuses a request because of one field; `field` is its path, as `task.container.image`."""
    return SwarmError(Code.INVALID, what, why=why, remedy=remedy, field=field)
