"""How a command ends when it does not succeed: one message on stderr, and an exit code that says
what kind of failure it was. 0 done, 1 refused or failed, 2 usage, 3 not converged in time, 4
unreachable or no leader, 130 interrupted. A traceback is shown with --debug only.
"""

import os
import sys
import traceback
from typing import NoReturn

import click

from api.errors import Code, SwarmError

FAILED = 1
USAGE = 2
NOT_CONVERGED = 3
UNREACHABLE = 4
INTERRUPTED = 130

_UNREACHABLE_CODES = (Code.UNAVAILABLE, Code.DEADLINE)


class NotConvergedError(SwarmError):
    """A service did not become stable within the time that the user gave it."""


def run(command: click.Command) -> NoReturn:
    """Runs a command as the whole program."""
    debug = "--debug" in sys.argv[1:]
    try:
        result = command.main(standalone_mode=False)
        # click answers the code of an Exit, as after --help, instead of leaving.
        sys.stdout.flush()
        sys.exit(result if isinstance(result, int) else 0)
    except click.ClickException as error:
        error.show()
        sys.exit(error.exit_code)
    except (click.Abort, KeyboardInterrupt):
        sys.exit(INTERRUPTED)
    except SwarmError as error:
        if debug:
            traceback.print_exc()
        click.echo(f"swarmctl: {error}", err=True)
        sys.exit(exit_code(error))
    except BrokenPipeError:
        # The reader of our output left, as `| head` does. Keep the interpreter from complaining.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(FAILED)


def exit_code(error: SwarmError) -> int:
    """The exit code for an error."""
    if isinstance(error, NotConvergedError):
        return NOT_CONVERGED
    return UNREACHABLE if error.code in _UNREACHABLE_CODES else FAILED
