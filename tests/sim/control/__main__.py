"""Runs a simulated swarm from the command line: `python -m tests.sim.control [NAME=value ...]`.

SEED (random if not given), STEPS, MANAGERS (1, 3 or 5), FAULTS (all, none, or names with commas),
VOLUMES=1 (a service has one), LIST=1 (shows the faults); each also from the environment. Ends with
1 if an invariant broke.
"""

import os
import sys
import traceback
from secrets import randbelow

from tests.sim.control.runner import run
from tests.sim.control.settings import FAULTS, settings_of
from tests.sim.raft.settings import parse_words

NAMES = ("SEED", "STEPS", "MANAGERS", "FAULTS", "VOLUMES", "LIST")


def main(arguments: list[str]) -> int:
    """The exit code: 0 all held, 1 something broke, 2 the arguments make no sense."""
    words = {name: os.environ[name] for name in NAMES if name in os.environ}
    try:
        words |= parse_words(arguments)
        if unknown := words.keys() - set(NAMES):
            raise ValueError(f"no such setting: {', '.join(sorted(unknown))}")
        settings = settings_of(words, randbelow(1 << 32))
    except ValueError as error:
        print(error, file=sys.stderr)
        return 2
    if words.get("LIST", "") not in {"", "0"}:
        print("\n".join(f"{name:10} {what}" for name, what in FAULTS.items()))
        return 0
    print(settings.command(), flush=True)
    verdict = run(settings)
    if verdict.violation is not None and verdict.violation.__cause__ is not None:
        traceback.print_exception(verdict.violation.__cause__)
    print(verdict.report())
    return 1 if verdict.violation is not None else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
