"""Command lines for login shells that nobody chose: bash, sh, zsh, fish and csh read them alike.

An SSH server hands a command to the user's login shell as one string. Pure.
"""

import re
from collections.abc import Sequence

from api.errors import invalid

_PLAIN = re.compile(r"[A-Za-z0-9_@%+:,./-]+")
_ODD = re.compile(r"(['\\!])")
"""Within single quotes a shell ends at ', fish knows \\, and csh knows !; outside of quotes a
backslash makes each of them itself, in every shell."""
_DECODING = 'eval "exec $(printf %b "$1")"'
"""Of sh, for a line that holds newlines: csh ends a quoted word at one, and so gets none to see."""


def command_line(argv: Sequence[str]) -> str:
    """The words as one string that a login shell takes apart into the very same words."""
    line = " ".join(map(_quoted, argv))
    if "\n" not in line:
        return line
    encoded = line.replace("\\", "\\\\").replace("\n", "\\n")
    return " ".join(map(_quoted, ("sh", "-c", _DECODING, "sh", encoded)))


def _quoted(word: str) -> str:
    if "\0" in word:
        raise invalid("argv", "a word of a command cannot hold a NUL byte")
    if _PLAIN.fullmatch(word):
        return word
    parts = _ODD.split(word)  # every second one is a character that needs its backslash
    quoted = "".join(
        f"\\{part}" if at % 2 else f"'{part}'" for at, part in enumerate(parts) if part
    )
    return quoted or "''"
