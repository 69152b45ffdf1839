"""`swarmctl context`: names for the swarms that this user works with."""

import click

from api.errors import invalid
from swarmctl.cli import contexts
from swarmctl.cli.client import DEFAULT_HOST
from swarmctl.cli.options import format_option, quiet_option
from swarmctl.cli.render import Listing, inspect

DEFAULT = "default"
"""The name that stands for no context: the local socket."""
_LISTING = Listing(
    columns=(
        ("Name", "NAME"),
        ("Hosts", "HOSTS"),
        ("CertPath", "CERT PATH"),
    ),
    quiet="Name",
    more=(("Current", "CURRENT"),),
)


@click.group()
def context() -> None:
    """Manage which swarm is spoken to."""


@context.command("ls")
@format_option
@quiet_option
def ls(form: str, quiet: bool) -> None:
    """List contexts; the current one is marked with a star."""
    current = contexts.current() or DEFAULT
    known = [contexts.Context(DEFAULT, (DEFAULT_HOST,)), *contexts.load_all().values()]
    marked = "" if quiet or form != "table" else " *"
    rows = [
        {
            "Name": each.name + (marked if each.name == current else ""),
            "Hosts": ",".join(each.hosts),
            "CertPath": each.cert_dir,
            "Current": str(each.name == current).lower(),
        }
        for each in known
    ]
    click.echo(_LISTING.render(rows, form, quiet=quiet), nl=False)


@context.command("create")
@click.argument("name")
@click.option(
    "--host", "hosts", multiple=True, required=True, help="A manager's address; repeatable"
)
@click.option("--cert-path", default="", help="Folder with ca.pem, cert.pem and key.pem")
def create(name: str, hosts: tuple[str, ...], cert_path: str) -> None:
    """Create a context."""
    if name == DEFAULT or name in contexts.load_all():
        raise invalid("name", f"there is a context {name} already", remedy="choose another name")
    contexts.save(contexts.Context(name, hosts, cert_path))
    click.echo(name)


@context.command("use")
@click.argument("name")
def use(name: str) -> None:
    """Make a context the current one; `default` is the local socket."""
    contexts.use("" if name == DEFAULT else contexts.get(name).name)
    click.echo(name)


@context.command("show")
def show() -> None:
    """Print the name of the current context."""
    click.echo(contexts.current() or DEFAULT)


@context.command("inspect")
@click.argument("names", nargs=-1)
def inspect_(names: tuple[str, ...]) -> None:
    """Show contexts in full."""
    found = [contexts.get(name) for name in names or filter(None, [contexts.current()])]
    documents = [
        {"Name": each.name, "Hosts": list(each.hosts), "CertPath": each.cert_dir} for each in found
    ]
    click.echo(inspect(documents, ""), nl=False)


@context.command("rm")
@click.argument("names", nargs=-1, required=True)
def rm(names: tuple[str, ...]) -> None:
    """Remove contexts; certificates stay where they are."""
    for name in names:
        contexts.get(name)
        contexts.remove(name)
        click.echo(name)
