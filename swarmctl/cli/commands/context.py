"""`swarmctl context`: names for the swarms that this user works with."""

import click

from api.errors import Code, SwarmError
from swarmctl.cli import contexts
from swarmctl.cli.client import DEFAULT_CONTEXT, DEFAULT_HOST
from swarmctl.cli.completion import context_names
from swarmctl.cli.failures import end, for_each
from swarmctl.cli.filters import filter_option, read_filters, rows_that_match, text, words
from swarmctl.cli.grammar import Noun
from swarmctl.cli.options import format_option, inspect_format, quiet_option
from swarmctl.cli.render import Listing, check_inspect, inspect

_LISTING = Listing(
    columns=(
        ("Name", "NAME"),
        ("Hosts", "HOSTS"),
        ("CertPath", "CERT PATH"),
    ),
    quiet="Name",
    more=(("Current", "CURRENT"),),
)
_FILTERS = {
    "current": words("Current", {"true": ("true",), "false": ("false",)}),
    "name": text("Name"),
}


@click.group(cls=Noun)
def context() -> None:
    """Manage which swarm is spoken to."""


@context.command("ls")
@filter_option(_FILTERS)
@format_option
@quiet_option
def ls(filters: tuple[str, ...], form: str, quiet: bool) -> None:
    """List contexts; the current one is marked with a star."""
    _LISTING.check(form)
    asked = read_filters(filters, _FILTERS)
    current = contexts.current() or DEFAULT_CONTEXT
    known = [contexts.Context(DEFAULT_CONTEXT, (DEFAULT_HOST,)), *contexts.load_all().values()]
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
    click.echo(_LISTING.render(rows_that_match(rows, asked), form, quiet=quiet), nl=False)


@context.command("create")
@click.argument("name")
@click.option(
    "--host", "hosts", multiple=True, required=True, help="A manager's address; repeatable"
)
@click.option("--cert-path", default="", help="Folder with ca.pem, cert.pem and key.pem")
def create(name: str, hosts: tuple[str, ...], cert_path: str) -> None:
    """Create a context."""
    if name == DEFAULT_CONTEXT or contexts.is_there(name):
        raise SwarmError(
            Code.EXISTS, f"there is a context {name} already", remedy="choose another name"
        )
    contexts.save(contexts.Context(name, hosts, cert_path))
    click.echo(name)


@context.command("use")
@click.argument("name", shell_complete=context_names)
def use(name: str) -> None:
    """Make a context the current one; `default` is the local socket."""
    contexts.use("" if name == DEFAULT_CONTEXT else contexts.get(name).name)
    click.echo(name)


@context.command("show")
def show() -> None:
    """Print the name of the current context."""
    click.echo(contexts.current() or DEFAULT_CONTEXT)


@context.command("inspect")
@click.argument("names", nargs=-1, shell_complete=context_names)
@inspect_format
def inspect_(names: tuple[str, ...], form: str) -> None:
    """Show contexts in full, by default the current one."""
    check_inspect(form, _document(contexts.Context("", ())))
    found, complete = for_each(names or (contexts.current(),), _get)
    click.echo(inspect([_document(each) for each in found], form), nl=False)
    end(complete)


@context.command("rm")
@click.argument("names", nargs=-1, required=True, shell_complete=context_names)
def rm(names: tuple[str, ...]) -> None:
    """Remove contexts; certificates stay where they are."""

    def remove(name: str) -> None:
        if name == DEFAULT_CONTEXT:
            raise SwarmError(
                Code.REFUSED, f"context {name} cannot be removed", why="it is the local socket"
            )
        if not contexts.is_there(name):
            contexts.get(name)  # says so
        contexts.remove(name)
        click.echo(name)

    _, complete = for_each(names, remove)
    end(complete)


def _get(name: str) -> contexts.Context:
    if name in ("", DEFAULT_CONTEXT):
        return contexts.Context(DEFAULT_CONTEXT, (DEFAULT_HOST,))
    return contexts.get(name)


def _document(each: contexts.Context) -> dict[str, object]:
    return {"Name": each.name, "Hosts": list(each.hosts), "CertPath": each.cert_dir}
