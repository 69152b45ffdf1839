"""`swarmctl machine ssh`, `scp` and `mount`: OpenSSH's own programs, with the keys of the store."""

import asyncio
import sys
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

import click

from api.errors import Code, SwarmError, invalid
from hostkit import mount as mount_table
from machine.inventory import entered
from machine.ssh import copying, terminal
from machine.store.store import Store
from swarmctl.cli.commands.machine.asking import around, keyring
from swarmctl.cli.commands.machine.names import machine_names, refuse_without_ssh
from swarmctl.cli.grammar import Verb

_SHELL = 'exec "$(command -v bash || command -v sh)"'
"""No login shell: /etc/profile would put other programs before those of the host."""


@click.command(
    cls=Verb, context_settings={"ignore_unknown_options": True, "allow_interspersed_args": False}
)
@click.option("-t", "--tty", is_flag=True, help="Give the command a terminal")
@click.argument("name", shell_complete=machine_names)
@click.argument("words", nargs=-1, metavar="[COMMAND...]", type=click.UNPROCESSED)
def ssh(tty: bool, name: str, words: tuple[str, ...]) -> None:
    """Open a shell on a machine, or run a command there; ends with its exit status."""
    store = Store.open()
    machine = store.get(name)
    if machine.is_entered:
        host = entered(store, machine)
        argv = host.entering(inside(words), terminal=sys.stdin.isatty())
        raise click.exceptions.Exit(asyncio.run(terminal.run(argv)))
    _run([name], lambda config: terminal.ssh(config, name, words, terminal=tty))


def inside(words: Sequence[str]) -> list[str]:
    """A shell, or what makes one run the words as ssh's other side does; INVALID for options. Pure.

    A host that is entered has no ssh that could obey those.
    """
    command = words[1:] if words[:1] == ("--",) else words
    if command is words and command and command[0].startswith("-"):
        raise invalid(
            "words",
            f"{command[0]} is an option of ssh, which does not go to this machine",
            remedy="leave it out",
        )
    return ["/bin/sh", "-c", " ".join(command) or _SHELL]


@click.command(cls=Verb)
@click.option("-r", "--recursive", is_flag=True, help="Copy folders, with all that is in them")
@click.option("-d", "--delta", is_flag=True, help="Send only what differs, by rsync")
@click.option("-q", "--quiet", is_flag=True, help="Show no progress")
@click.argument("paths", nargs=-1, metavar="SOURCE... DESTINATION")
def scp(recursive: bool, delta: bool, quiet: bool, paths: tuple[str, ...]) -> None:
    """Copy files, each end written as [[USER@]MACHINE:]PATH; also from machine to machine."""
    if len(paths) < 2:  # noqa: PLR2004 - a copy has two ends
        raise click.UsageError("a source and a destination are needed")
    *sources, goal = (copying.end(path) for path in paths)
    names = [each.machine for each in (*sources, goal) if each.machine]
    _run(
        names,
        lambda config: copying.command(
            config, sources, goal, recursive=recursive, delta=delta, quiet=quiet
        ),
    )


@click.command(cls=Verb)
@click.option("-u", "--unmount", is_flag=True, help="Take the folder away again")
@click.argument("place", metavar="MACHINE:[PATH]", shell_complete=machine_names)
@click.argument("folder", required=False, type=click.Path(path_type=Path))
def mount(unmount: bool, place: str, folder: Path | None) -> None:
    """Show a folder of a machine here, by sshfs, if none is named in that of the same path."""
    there = copying.end(place)
    if not there.machine:
        raise click.UsageError("a machine is needed: MACHINE:[PATH]")
    if folder is None and not there.path:
        raise click.UsageError("a folder is needed: MACHINE:PATH, or one of here beside it")
    here = folder or Path(there.path)
    if unmount:
        if not is_shown(here, mount_table.read_mounts()):
            raise SwarmError(Code.NOT_FOUND, f"no machine's folder is shown in {here}")
        raise click.exceptions.Exit(asyncio.run(terminal.run(["fusermount", "-u", str(here)])))
    here.mkdir(parents=True, exist_ok=True)
    _run([there.machine], lambda config: terminal.sshfs(config, there.machine, there.path, here))


def is_shown(folder: Path, mounts: str) -> bool:
    """Whether sshfs shows something in the folder, by what /proc/self/mounts says."""
    lines = mount_table.entries(mounts)
    of_sshfs = "\n".join(line for line in lines if line.split(" ")[2] == "fuse.sshfs")
    return mount_table.is_mounted(folder, of_sshfs)


def _run(names: Iterable[str], command: Callable[[Path], Sequence[str]]) -> None:
    """Runs the program that `command` makes of a configuration for these machines."""
    store, keys = Store.open(), keyring()
    machines = [store.get(name) for name in dict.fromkeys(names)]
    for each in machines:
        refuse_without_ssh(each)
    known = [
        terminal.Acquaintance(each.name, each.target, around(store, each, keys))
        for each in machines
    ]

    async def whole() -> int:
        async with terminal.configured(known) as config:
            return await terminal.run(command(config))

    raise click.exceptions.Exit(asyncio.run(whole()))
