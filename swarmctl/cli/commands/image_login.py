"""`swarmctl image login` and `logout`: who the operator is at registries. The daemon of this host
tries a login before it is kept; from elsewhere nobody can.
"""

import sys
from getpass import getpass

import click

from api.errors import invalid
from api.image_name import DEFAULT_DOMAIN
from api.v1 import host_pb2
from swarmctl.cli import registry_logins
from swarmctl.cli.client import Client
from swarmctl.cli.grammar import Verb
from swarmctl.cli.registry_logins import Login

_registry = click.argument("registry", default=DEFAULT_DOMAIN)


@click.command("login", cls=Verb)
@_registry
@click.option("-u", "--username", help="User name")
@click.option("--password-stdin", is_flag=True, help="Read the password from standard input")
@click.pass_obj
def login(client: Client, registry: str, username: str | None, password_stdin: bool) -> None:
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
    host, given = _host(registry), Login(name, password)
    if client.serves_host():
        request = host_pb2.CheckLoginRequest(
            registry=host, registry_auth=registry_logins.encoded(given, host)
        )
        client.call(client.host.CheckLogin, request, f"logging in to {host}")
    registry_logins.save(host, given)
    click.echo("Login Succeeded" if client.serves_host() else f"Login for {host} kept, not tried")


@click.command("logout", cls=Verb)
@_registry
def logout(registry: str) -> None:
    """Forget the login for REGISTRY [docker.io]."""
    if registry_logins.remove(_host(registry)):
        click.echo(f"Login for {_host(registry)} removed")
    else:
        click.echo(f"Not logged in to {_host(registry)}")


def _host(registry: str) -> str:
    """The registry as images name it; people paste URLs too."""
    host = registry.removeprefix("https://").removeprefix("http://").partition("/")[0]
    return DEFAULT_DOMAIN if host in (DEFAULT_DOMAIN, "index.docker.io") else host
