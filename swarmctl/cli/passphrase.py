"""Where a secret comes from: a file, the terminal, or standard input. Never the command line, which
every process on the host can read.
"""

import sys
from getpass import getpass
from pathlib import Path

import click

from api.errors import Code, SwarmError, invalid

STDIN = "-"
_LIMIT = 1 << 16
"""Characters of a line that are read: no passphrase is longer."""


def ask(file: Path | None, *, twice: bool = False) -> str:
    """The passphrase: the first line of `file`, else what is typed, else the first line of stdin.

    `twice`: on a terminal it has to be typed again, since a slip would lock everybody out. INVALID
    if it is empty or the two differ, REFUSED if the file cannot be read.
    """
    if file is not None:
        passphrase = _first_line(file, "passphrase")
    elif sys.stdin.isatty():
        passphrase = _typed(twice=twice)
    else:
        passphrase = sys.stdin.readline(_LIMIT).rstrip("\r\n")
    if not passphrase:
        raise invalid(
            "passphrase",
            "an empty passphrase protects nothing",
            remedy="type one, give --passphrase-file, or pipe it in",
        )
    return passphrase


def secret_line(file: Path | None, what: str) -> str:
    """The first line of `file`; of standard input if that is "-". `what` it is called in errors.

    INVALID if it is empty, REFUSED if the file cannot be read.
    """
    if file is None or str(file) == STDIN:
        line = sys.stdin.readline(_LIMIT).rstrip("\r\n")
    else:
        line = _first_line(file, what)
    if not line:
        raise invalid(what, f"there is no {what} in {file}", why="its first line is empty")
    return line


def _first_line(file: Path, what: str) -> str:
    try:
        with file.open(encoding="utf-8") as opened:
            return opened.readline(_LIMIT).rstrip("\r\n")
    except (OSError, UnicodeDecodeError) as error:
        why = error.strerror if isinstance(error, OSError) else "it is not text in UTF-8"
        raise SwarmError(Code.REFUSED, f"cannot read the {what} in {file}", why=why or "") from (
            error
        )


def _typed(*, twice: bool) -> str:
    try:
        passphrase = getpass("Passphrase: ")
        if twice and passphrase and getpass("The same again: ") != passphrase:
            raise invalid("passphrase", "the two passphrases differ", remedy="try again")
    except EOFError:
        raise click.Abort from None
    return passphrase
