"""How a command ends when it does not succeed: one message on stderr, and an exit code that says
what kind of failure it was. 0 done, 1 refused or failed, 2 usage, 3 not converged, 4 unreachable or
no leader, 130 interrupted. A traceback is shown with --debug only.
"""

import contextlib
import errno
import io
import os
import sys
import traceback
from collections.abc import Callable, Iterable, Sequence
from contextvars import ContextVar
from typing import NoReturn, TypeVar

import click

from api.errors import Code, SwarmError

FAILED = 1
USAGE = 2
NOT_CONVERGED = 3
UNREACHABLE = 4
INTERRUPTED = 130

PROGRAM = "swarmctl"
_UNREACHABLE_CODES = (Code.UNAVAILABLE, Code.DEADLINE)
_OUTPUT = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO)
"""Why what was printed could not be written; such an error names no file."""
_tracebacks: ContextVar[bool] = ContextVar("tracebacks", default=False)

T = TypeVar("T")


class NotConvergedError(SwarmError):
    """A service did not become stable: not in the time that the user gave it, or not at all, since
    its update was paused or rolled back.
    """


class RemoteError(SwarmError):
    """What a daemon answered, as opposed to what was found wrong before one was asked."""


def run(command: click.Command, args: Sequence[str] | None = None) -> NoReturn:
    """Runs a command as the whole program, with `args` instead of the process's own."""
    _prepare_streams()
    try:
        code = _code_of(command, args)
        sys.stdout.flush()
    except BrokenPipeError:
        # The reader of our output left, as `| head` does. Keep the interpreter from complaining.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        code = FAILED
    sys.exit(code)


def show_tracebacks(ctx: click.Context, param: click.Parameter, value: bool) -> None:
    """The callback of --debug."""
    _tracebacks.set(value)


def tell(error: SwarmError) -> None:
    """Says on stderr what failed, why, and what to do."""
    click.echo(f"{PROGRAM}: {error}", err=True)


def for_each(names: Iterable[str], act: Callable[[str], T]) -> tuple[list[T], bool]:
    """Acts on each name, in order, and goes on with the others if one fails, as Docker does.

    Answers what succeeded and whether all did; failures were told. A daemon that cannot be reached
    ends it at once.
    """
    done, complete = [], True
    for name in names:
        try:
            done.append(act(name))
        except SwarmError as error:
            if exit_code(error) != FAILED:
                raise
            tell(error)
            complete = False
    return done, complete


def end(complete: bool) -> None:
    """Ends the command with the exit code for a partial failure that was told already."""
    if not complete:
        raise click.exceptions.Exit(FAILED)


def exit_code(error: SwarmError) -> int:
    """The exit code for an error."""
    if isinstance(error, NotConvergedError):
        return NOT_CONVERGED
    if error.code is Code.INVALID and not isinstance(error, RemoteError):
        return USAGE
    return UNREACHABLE if error.code in _UNREACHABLE_CODES else FAILED


def _prepare_streams() -> None:
    """A stream that was closed swallows all, and is empty to read: its number is given to no other
    file. A character that the output cannot show is a question mark, and no error.
    """
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        stream = getattr(sys, name)
        if stream is None:
            setattr(sys, name, open(os.devnull, mode, encoding="utf-8"))  # noqa: SIM115 - for good
        elif name == "stdout" and isinstance(stream, io.TextIOWrapper):
            with contextlib.suppress(OSError):  # of a file that is another one since the start
                stream.reconfigure(errors="replace")


def _code_of(command: click.Command, args: Sequence[str] | None) -> int:
    try:
        result = command.main(
            args,
            prog_name=PROGRAM,
            complete_var=f"_{PROGRAM.upper()}_COMPLETE",
            standalone_mode=False,
        )
        # click answers the code of an Exit, as after --help, instead of leaving.
        return result if isinstance(result, int) else 0
    except click.ClickException as error:
        error.show()
        return error.exit_code
    except (click.Abort, KeyboardInterrupt):
        return INTERRUPTED
    except SwarmError as error:
        _trace()
        tell(error)
        return exit_code(error)
    except BrokenPipeError:
        raise
    except Exception as error:
        # The outermost boundary: whatever it is, a user gets a sentence.
        if not _trace():
            click.echo(f"{PROGRAM}: {_sentence(error)}", err=True)
        return USAGE if isinstance(error, UnicodeEncodeError) else FAILED


def _sentence(error: Exception) -> str:
    """What a user is told of an error that no command has met."""
    if isinstance(error, OSError) and (error.filename or error.errno in _OUTPUT):
        return ": ".join(map(str, filter(None, (error.filename, error.strerror))))
    if isinstance(error, UnicodeEncodeError):
        # Not the whole of it: it may be what a variable holds.
        culprit = error.object[error.start : error.end]
        return f"what was given is not text in UTF-8: it has {culprit!r} in it"
    cause = f"{type(error).__name__}: {error}".rstrip(": ")
    return f"internal error: {cause}, run again with {PROGRAM} --debug"


def _trace() -> bool:
    if _tracebacks.get():
        traceback.print_exc()
    return _tracebacks.get()
