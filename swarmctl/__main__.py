"""`swarmctl`: the command line. Only what starts it, so that `--help` needs nothing else."""

from swarmctl.cli.failures import run
from swarmctl.cli.root import swarmctl


def main() -> None:
    """The entry point of the script and of `python -m swarmctl`."""
    run(swarmctl)


if __name__ == "__main__":
    main()
