"""How commands become root's, and what sudo's answers mean. Pure.

Passwords go to standard input, never into a command line, and never to a terminal.
"""

import enum
from collections.abc import Sequence
from dataclasses import dataclass

from api.errors import Code, SwarmError
from hostkit.process import Completed
from machine.bounded import ENGLISH, bounded

_MISSING = 127  # the exit status of a shell, and of env, for a program that is not there

# What sudo says, and sudo-rs, which is Ubuntu's since 25.10. In lower case.
_ASKS = ("password is required", "interactive authentication is required")
_BARRED = ("not in the sudoers file", "not allowed to", "i'm afraid i can't do that")
_WRONG = (
    "incorrect password",
    "no password was provided",
    "incorrect authentication attempts",
    "authentication required but not attempted",
)
_TERMINAL = ("must have a tty",)
_NAMES = ("sudo: ", "sudo-rs: ")


class Way(enum.Enum):
    """By which right commands are run."""

    ROOT = "root"  # the user is root
    FREE = "sudo"  # sudo asks for nothing
    PASSWORD = "sudo with a password"  # noqa: S105 - no password


@dataclass(frozen=True)
class Rights:
    """A way, and the password that it takes."""

    way: Way
    password: str = ""

    def __repr__(self) -> str:
        return f"Rights({self.way})"


WHO = ("id", "-u")
FREE_CHECK = (*ENGLISH, "sudo", "-n", "true")


def password_check(password: str) -> tuple[tuple[str, ...], bytes]:
    """The command that tells whether the password is right, and its standard input."""
    return (*ENGLISH, "sudo", "-S", "-k", "-p", "", "true"), f"{password}\n".encode()


def wrapped(argv: Sequence[str], rights: Rights, timeout: float) -> tuple[tuple[str, ...], bytes]:
    """The command as root's, with messages in English, and what goes before its standard input.

    The host ends it by itself after `timeout` seconds, also if nobody is there any more.
    """
    command = bounded(argv, timeout)
    if rights.way is Way.ROOT:
        return (*ENGLISH, *command), b""
    if rights.way is Way.FREE:
        return (*ENGLISH, "sudo", "-n", "--", *command), b""
    # -k: a password that sudo still remembers would be left for the command to read.
    line = f"{rights.password}\n".encode()
    return (*ENGLISH, "sudo", "-S", "-k", "-p", "", "--", *command), line


def is_root(answer: Completed, user: str, machine: str) -> bool:
    """Whether the user is root already; DENIED if commands do not run at all."""
    first, *more = answer.text.splitlines() or [""]
    if answer.code == 0 and more and more[-1].isdecimal():
        raise SwarmError(
            Code.DENIED,
            f"cannot run commands on {machine} as {user}",
            why=f"the login shell says more than it is asked for: {first[:80]!r}",
            remedy=f"have ~{user}/.bashrc (or its like) print nothing when it has no terminal",
        )
    if answer.code != 0 or not answer.text.isdecimal():
        raise SwarmError(
            Code.DENIED,
            f"cannot run commands on {machine} as {user}",
            why=_last(answer) or f"`id -u` ended with exit status {answer.code}",
            remedy="name another user, whom the host lets run commands",
        )
    return answer.text == "0"


def wants_password(answer: Completed, user: str, machine: str) -> bool:
    """Whether `FREE_CHECK` failed for want of a password; DENIED if for another reason.

    sudo says so also to users that may do nothing: only a password tells.
    """
    if answer.code == 0:
        return False
    if _says(answer, _ASKS):
        return True
    raise denied(answer, user, machine)


def denied(answer: Completed, user: str, machine: str) -> SwarmError:
    """Why sudo did not do it, and what to do."""
    why, remedy = _last(answer), "look at the log of sudo there: journalctl -t sudo"
    if answer.code == _MISSING:
        why = "sudo is not installed there"
        remedy = "install it (apt-get install sudo), or name the user root"
    elif _says(answer, _BARRED):
        why = f"{user} may not use sudo there"
        remedy = f"allow it as root: adduser {user} sudo; or name another user"
    elif _says(answer, _WRONG):
        why = f"the password of {user} was wrong"
        remedy = "give the password that sudo asks for on that host"
    elif _says(answer, _TERMINAL):
        why = "sudo there wants a terminal"
        remedy = "take `Defaults requiretty` out of /etc/sudoers"
    return SwarmError(Code.DENIED, f"no root's rights on {machine}", why=why, remedy=remedy)


def unasked(user: str, machine: str) -> SwarmError:
    """sudo wants a password and nobody is there to give it."""
    return SwarmError(
        Code.DENIED,
        f"no root's rights on {machine}",
        why=f"sudo asks {user} for a password, and there is none",
        remedy=f"run this at a terminal, or allow {user} all without a password: "
        f"echo '{user} ALL=(ALL) NOPASSWD: ALL' > /etc/sudoers.d/{user}",
    )


def refused_later(rights: Rights, answer: Completed) -> bool:
    """Whether it was sudo that failed, and not the command that it was to run."""
    if rights.way is Way.ROOT or answer.code != 1:
        return False
    last = _last(answer).lower()
    about = ("password", "authentication", *_BARRED)
    return last.startswith(_NAMES) and any(word in last for word in about)


def _says(answer: Completed, words: Sequence[str]) -> bool:
    talk = answer.err.decode(errors="replace").lower()
    return any(each in talk for each in words)


def _last(answer: Completed) -> str:
    talk = (answer.err.strip() or answer.out.strip()).decode(errors="replace")
    return talk.splitlines()[-1].strip() if talk else ""
