"""Runs the simulated group from the command line: `python -m tests.sim.raft [NAME=value ...]`.

SEED (random if not given), STEPS, NODES, FAULTS (all, none, or names with commas), MACHINE (chain
or store), SEALED=1, LAZY=1, MUTANT (a planted bug), LIST=1 (shows faults and planted bugs); each
also from the environment. Ends with 1 if an invariant broke.
"""

import os
import sys
import traceback
from secrets import randbelow

from tests.sim.raft.mutants import MUTANTS
from tests.sim.raft.runner import run
from tests.sim.raft.settings import FAULTS, parse_words, settings_of

NAMES = ("SEED", "STEPS", "NODES", "FAULTS", "MACHINE", "SEALED", "LAZY", "MUTANT", "LIST")


def main(arguments: list[str]) -> int:
    """The exit code: 0 all held, 1 something broke, 2 the arguments make no sense."""
    words = {name: os.environ[name] for name in NAMES if name in os.environ}
    try:
        words |= parse_words(arguments)
        settings = settings_of(words, randbelow(1 << 32))
        if unknown := words.keys() - set(NAMES):
            raise ValueError(f"no such setting: {', '.join(sorted(unknown))}")
        mutant = words.get("MUTANT", "")
        if mutant and mutant not in MUTANTS:
            raise ValueError(f"no such planted bug: {mutant} (LIST=1 shows them)")
    except ValueError as error:
        print(error, file=sys.stderr)
        return 2
    if words.get("LIST", "") not in {"", "0"}:
        print(_list())
        return 0
    print(settings.command() + (f" MUTANT={mutant}" if mutant else ""), flush=True)
    verdict = run(settings, planted=MUTANTS[mutant].planted() if mutant else None)
    if verdict.violation is not None and verdict.violation.__cause__ is not None:
        traceback.print_exception(verdict.violation.__cause__)
    print(verdict.report())
    if mutant:
        print(_of_mutant(mutant, verdict.events, found=verdict.violation is not None))
    return 1 if verdict.violation is not None else 0


def _list() -> str:
    faults = [f"  {name:10} {what}" for name, what in FAULTS.items()]
    mutants = [f"  {mutant.name:38} {mutant.what}" for mutant in MUTANTS.values()]
    return "\n".join(["Faults:", *faults, "", "Planted bugs:", *mutants])


def _of_mutant(name: str, events: int, *, found: bool) -> str:
    if found:
        return f"the planted bug {name} was found after {events} events"
    return f"the planted bug {name} was not found in {events} events; try another SEED"


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
