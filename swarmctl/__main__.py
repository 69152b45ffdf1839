"""`swarmctl`: the command line. Only what starts it, so that `--help` needs nothing else."""

import logging

from swarmctl.cli.failures import run
from swarmctl.cli.root import swarmctl


def main() -> None:
    """The entry point of the script and of `python -m swarmctl`."""
    # What a library logs is no message to a user; its failure reaches us as an exception.
    logging.getLogger().addHandler(logging.NullHandler())
    run(swarmctl)


if __name__ == "__main__":
    main()
