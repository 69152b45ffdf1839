"""`swarmctl swarm update`, `unlock` and `unlock-key`: a swarm's settings, and the lock on the keys
of its managers.
"""

import sys
from collections.abc import Callable
from getpass import getpass
from typing import Any

import click

from api.errors import Code, SwarmError
from api.new_ids import new_id
from api.unlock_key import parse_unlock_key
from api.v1 import control_pb2, host_pb2, objects_pb2, specs_pb2
from swarmctl.cli.changing import change
from swarmctl.cli.client import Client
from swarmctl.cli.grammar import Verb
from swarmctl.cli.specs import cluster as flags

UNLOCK_TIMEOUT = 60.0
"""Seconds; a manager reads its whole log before it answers."""


@click.command("update", cls=Verb)
@flags.cluster_options
@click.pass_obj
def update(client: Client, /, **given: Any) -> None:  # noqa: ANN401 - one keyword per flag
    """Change the settings of the swarm. A new life of certificates holds from the next renewal."""
    if all(value is None for value in given.values()):
        raise click.UsageError("name a setting to change")
    was_locked = False

    def edit(spec: specs_pb2.ClusterSpec) -> None:
        nonlocal was_locked
        was_locked = spec.autolock
        flags.apply(spec, given)

    changed = _change(client, edit)
    click.echo("Swarm updated.")
    if changed.spec.autolock and not was_locked:
        click.echo()
        tell_unlock_key(client)


@click.command("unlock", cls=Verb)
@click.pass_obj
def unlock(client: Client) -> None:
    """Unlock the manager on this host; the key is asked for, or read from standard input."""
    try:
        key = getpass("Unlock key: ") if sys.stdin.isatty() else sys.stdin.readline()
    except EOFError:
        raise click.Abort from None
    parse_unlock_key(key)  # a slip is told without the daemon
    request = host_pb2.UnlockSwarmRequest(key=key.strip())
    client.call(client.host.UnlockSwarm, request, "unlocking", at_least=UNLOCK_TIMEOUT, once=True)


@click.command("unlock-key", cls=Verb)
@click.option("--rotate", is_flag=True, help="Make a new key; managers follow one by one")
@click.option("-q", "--quiet", is_flag=True, help="Only print the key")
@click.pass_obj
def unlock_key(client: Client, rotate: bool, quiet: bool) -> None:
    """Show the key with which managers are unlocked."""
    if rotate:
        _change(client, lambda _: None, rotate=True)
    key = _key(client)
    if quiet:
        click.echo(key)
        return
    if rotate:
        click.echo("The unlock key was rotated. Keep the old one until every manager has been up:")
        click.echo("one that is down now is still opened by it.\n")
    _tell(key)


def tell_unlock_key(client: Client) -> None:
    """Prints the unlock key, and what it is for."""
    _tell(_key(client))


def _tell(key: str) -> None:
    click.echo("To unlock a manager after its daemon was restarted, run on its host:\n")
    click.echo("    swarmctl swarm unlock\n")
    click.echo("and give it this key:\n")
    click.echo(f"    {key}\n")
    click.echo("Keep it outside the swarm: a manager that was restarted does not start without it.")


def _key(client: Client) -> str:
    request = control_pb2.GetUnlockKeyRequest()
    key = client.call(client.control.GetUnlockKey, request, "asking for the unlock key").key
    if not key:
        raise SwarmError(
            Code.REFUSED,
            "there is no unlock key",
            why="managers are not locked",
            remedy="lock them: swarmctl swarm update --autolock",
        )
    return key


def _change(
    client: Client, edit: Callable[[specs_pb2.ClusterSpec], object], *, rotate: bool = False
) -> objects_pb2.Cluster:
    def read() -> objects_pb2.Cluster:
        return client.call(
            client.control.GetCluster, control_pb2.GetClusterRequest(), "looking up the swarm"
        )

    def write(present: objects_pb2.Cluster) -> objects_pb2.Cluster:
        edit(present.spec)
        request = control_pb2.UpdateClusterRequest(
            spec=present.spec,
            version=present.meta.version,
            request_id=new_id(),
            rotate_unlock_key=rotate,
        )
        return client.call(client.control.UpdateCluster, request, "updating the swarm")

    return change(read, write)
