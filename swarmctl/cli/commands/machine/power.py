"""`swarmctl machine start`, `stop`, `restart` and `kill`: the power switch of machines.

By their driver; a host whose driver has none is restarted and stopped over SSH.
"""

from collections.abc import Awaitable, Callable

import click

from machine.driver import MachineHost
from machine.drivers.registry import kind
from machine.inventory import host_of, reached
from machine.rebooting import power_off, reboot
from machine.remote import Remote
from machine.ssh.keys import Keyring
from machine.ssh.remote import SshRemote
from machine.store.machine import Machine
from machine.store.store import Store
from swarmctl.cli.commands.machine.asking import around, keyring
from swarmctl.cli.commands.machine.names import machine_names
from swarmctl.cli.commands.machine.together import done, end
from swarmctl.cli.grammar import Verb
from swarmctl.cli.options import DURATION

_names = click.argument("names", nargs=-1, required=True, shell_complete=machine_names)


@click.command(cls=Verb)
@_names
def start(names: tuple[str, ...]) -> None:
    """Start machines."""

    async def one(store: Store, machine: Machine) -> None:
        await _started(store, machine, host_of(store, machine))

    _each(names, "starting it", one)


@click.command(cls=Verb)
@_names
@click.option("-y", "--yes", is_flag=True, help="Do not ask about machines that have no switch")
def stop(names: tuple[str, ...], yes: bool) -> None:
    """Shut machines down in order."""
    store, keys = Store.open(), keyring()
    lone = [
        name for name in dict.fromkeys(names) if store.has(name) and _has_no_switch(store, name)
    ]
    if lone and not yes:
        click.confirm(
            f"{', '.join(lone)}: once off, only whoever has the power switch or the console "
            "can start it again. Go on?",
            abort=True,
            err=True,
        )

    async def one(store: Store, machine: Machine) -> None:
        if kind(machine.driver).has_power:
            await host_of(store, machine).stop()
        else:
            await power_off(_connect(store, machine, keys))

    _each(names, "stopping it", one)


@click.command(cls=Verb)
@_names
@click.option(
    "--wait-timeout",
    type=DURATION,
    default="5m",
    show_default=True,
    help="How long a machine may take to be back",
)
def restart(names: tuple[str, ...], wait_timeout: float) -> None:
    """Restart machines, and wait until they are back."""
    keys = keyring()

    async def one(store: Store, machine: Machine) -> None:
        if not kind(machine.driver).has_power:
            await reboot(_connect(store, machine, keys), wait_timeout)
            return
        host = host_of(store, machine)
        await host.stop()
        await _started(store, machine, host)

    _each(names, "restarting it", one)


@click.command(cls=Verb)
@_names
def kill(names: tuple[str, ...]) -> None:
    """Power failure: take the power from machines at once."""

    async def one(store: Store, machine: Machine) -> None:
        await host_of(store, machine).kill()

    _each(names, "killing it", one)


def _each(
    names: tuple[str, ...], doing: str, act: Callable[[Store, Machine], Awaitable[None]]
) -> None:
    """Prints the names of those it was done to."""
    store = Store.open()

    async def one(machine: Machine) -> None:
        with store.locked(machine.name, doing):
            await act(store, store.get(machine.name))
        click.echo(machine.name)

    end(done(store, names, one))


async def _started(store: Store, machine: Machine, host: MachineHost) -> None:
    """Starts it, and keeps how it is reached from now on: a switch may give it another way."""
    await host.start()
    store.save(reached(store, machine, await host.target()))


def _has_no_switch(store: Store, name: str) -> bool:
    return not kind(store.get(name).driver).has_power


def _connect(store: Store, machine: Machine, keys: Keyring) -> Callable[[], Awaitable[Remote]]:
    async def connect() -> Remote:
        return await SshRemote.connect(machine.name, machine.target, around(store, machine, keys))

    return connect
