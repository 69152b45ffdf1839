"""`swarmctl image login` and `logout`: who the operator is at registries. Asks no registry: a login
is tried when something is pulled.
"""

import sys
from getpass import getpass

import click

from api.errors import invalid
from api.image_name import DEFAULT_DOMAIN
from swarmctl.cli import registry_logins
from swarmctl.cli.grammar import Verb
from swarmctl.cli.registry_logins import Login

_registry = click.argument("registry", default=DEFAULT_DOMAIN)


@click.command("login", cls=Verb)
@_registry
@click.option("-u", "--username", help="User name")
@click.option("--password-stdin", is_flag=True, help="Read the password from standard input")
def login(registry: str, username: str | None, password_stdin: bool) -> None:
    """Keep a user name and a password for REGISTRY [docker.io]."""
    if not password_stdin and not sys.stdin.isatty():
        raise click.UsageError("there is no terminal to ask: use --username and --password-stdin")
    if password_stdin and username is None:
        raise click.UsageError("--password-stdin needs --username")
    try:
        name = username or input("Username: ")
        password = sys.stdin.read().rstrip("\r\n") if password_stdin else getpass("Password: ")
    except EOFError:
        raise click.Abort from None
    if not name or not password:
        raise invalid("username", "a user name and a password are needed")
    if ":" in name:
        raise invalid("username", "a user name cannot hold a colon")
    registry_logins.save(_host(registry), Login(name, password))
    click.echo(f"Login for {_host(registry)} kept", err=True)


@click.command("logout", cls=Verb)
@_registry
def logout(registry: str) -> None:
    """Forget the login for REGISTRY [docker.io]."""
    if registry_logins.remove(_host(registry)):
        click.echo(f"Login for {_host(registry)} removed", err=True)
    else:
        click.echo(f"Not logged in to {_host(registry)}", err=True)


def _host(registry: str) -> str:
    """The registry as images name it; people paste URLs too."""
    host = registry.removeprefix("https://").removeprefix("http://").partition("/")[0]
    return DEFAULT_DOMAIN if host in (DEFAULT_DOMAIN, "index.docker.io") else host
