"""`swarmctl machine rm`: forgets machines, and on request leaves their hosts as they were."""

import click

from machine.making import Maker
from machine.provisioning import Tell
from machine.store.machine import Machine
from machine.store.store import Store
from swarmctl.cli.commands.machine.drawing import progress_option
from swarmctl.cli.commands.machine.names import machine_names
from swarmctl.cli.commands.machine.together import end
from swarmctl.cli.commands.machine.work import on_each
from swarmctl.cli.grammar import Verb


@click.command(cls=Verb)
@click.argument("names", metavar="NAME...", nargs=-1, required=True, shell_complete=machine_names)
@click.option(
    "--cleanup", is_flag=True, help="Also take from the host all that was installed, with its data"
)
@click.option(
    "-f", "--force", is_flag=True, help="Leave the swarm first; forget what is not reached, too"
)
@click.option("-y", "--yes", is_flag=True, help="Do not ask")
@progress_option
def rm(names: tuple[str, ...], cleanup: bool, force: bool, yes: bool, form: str) -> None:
    """Forget machines and host keys. What drivers made is deleted; other hosts stay as they are.

    With --cleanup they get back what was there before, and lose images and volumes.
    """
    store = Store.open()
    here = [name for name in names if name in store.names()]
    if here and not yes:
        loss = ", with its images and volumes" if cleanup else ""
        click.confirm(
            f"About to remove {', '.join(here)}{loss}.\nAre you sure?", abort=True, err=True
        )

    async def act(maker: Maker, machine: Machine, tell: Tell) -> str:
        await maker.remove(machine, cleanup=cleanup, force=force, tell=tell)
        return "removed"

    found = on_each(store, names, act, form)
    if form != "json":
        for each in found:
            if each.error is None:
                click.echo(each.name)
    end(found)
