"""Machines sealed for somebody's public key: by the program `age`, as a file that it can open too.

So the one who gets them needs no passphrase, and the one who sends them cannot read the file. What
is sealed goes through pipes, never over a disk.
"""

import os
from collections.abc import Sequence
from pathlib import Path

from api.errors import Code, SwarmError, invalid
from hostkit.process import Completed, run

MAGIC = b"age-encryption.org/"
"""Begins every file of age (C2SP, age.md)."""
KEYS = ("id_ed25519", "id_rsa")
"""Of ~/.ssh, those that age can open a file with."""
_PROGRAM = "age"
_WORDS = ("ssh-ed25519 ", "ssh-rsa ", "age1")
_SEALING = 30.0
_OPENING = 120.0
"""Seconds; a key may have a passphrase, for which age asks on the terminal."""


def recipients(given: Sequence[str]) -> list[str]:
    """The flags for public keys, or files of such, as `authorized_keys` has them or age does.

    INVALID for what is neither. Public keys are no secret: they may stand on a command line.
    """
    flags: list[str] = []
    for each in given:
        if each.startswith(_WORDS):
            flags += ["-r", each]
        elif Path(each).is_file():
            flags += ["-R", str(Path(each).absolute())]
        else:
            raise invalid(
                "to",
                f"{each!r} is no public key and no file of such",
                why="known are ssh-ed25519, ssh-rsa and age1..., or a file of them, one a line",
                remedy='as --to ~/alice.pub or --to "ssh-ed25519 AAAA..."; '
                "for another kind of key use a passphrase",
            )
    return flags


def identities(given: Sequence[Path], home: Path) -> list[str]:
    """The flags for private keys: those that are given, else ssh's own; NOT_FOUND without any."""
    own = (home / ".ssh" / name for name in KEYS)
    found = [*given] or [path for path in own if path.is_file()]
    if not found:
        raise SwarmError(
            Code.NOT_FOUND,
            "there is no key to open the file with",
            why=f"it is sealed for a public key, and ~/.ssh has neither {' nor '.join(KEYS)}",
            remedy="name the private key with --identity FILE",
        )
    return [word for path in found for word in ("-i", str(path.absolute()))]


async def sealed(content: bytes, flags: Sequence[str]) -> bytes:
    """The file. UNSUPPORTED without the program, INVALID if it cannot use one of the keys."""
    done = await _run(["--encrypt", *flags], content, _SEALING)
    if done.code != 0:
        raise invalid(
            "to",
            "the file cannot be sealed for these keys",
            why=_words(done),
            remedy="age knows ssh-ed25519, ssh-rsa and its own; for another kind of key use a "
            "passphrase",
        )
    return done.out


async def opened(data: bytes, flags: Sequence[str]) -> bytes:
    """What was sealed. UNSUPPORTED without the program; DENIED if no key fits, or was altered."""
    done = await _run(["--decrypt", *flags], data, _OPENING)
    if done.code != 0:
        raise SwarmError(
            Code.DENIED,
            "the file is not opened by these keys",
            why=_words(done),
            remedy="name the private key of the public one that it was sealed for: --identity FILE",
        )
    return done.out


async def _run(words: Sequence[str], content: bytes, timeout: float) -> Completed:
    try:
        return await run(
            [_PROGRAM, *words],
            timeout=timeout,
            input=content,
            check=False,
            env={**os.environ, "LC_ALL": "C.UTF-8"},
        )
    except SwarmError as error:
        if error.code is Code.UNSUPPORTED:
            error.remedy = "install it: apt-get install age"
        raise


def _words(done: Completed) -> str:
    """What age said, without its own name and where to complain of it."""
    lines = done.err.decode(errors="replace").splitlines()
    said = [line.partition("error: ")[2] or line for line in lines if "report" not in line]
    return " | ".join(line for line in said if line)[-300:]
