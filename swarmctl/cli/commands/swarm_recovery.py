"""`swarmctl swarm backup`, `restore` and `readdress`, and `init --force-new-cluster`: what is done
before and after a disaster, or a move.
"""

from collections.abc import Iterator
from pathlib import Path

import click
from click.core import ParameterSource

from api.times import seconds_of
from api.v1 import control_pb2, host_pb2
from swarmctl.cli.client import Client
from swarmctl.cli.grammar import Verb
from swarmctl.cli.passphrase import ask
from swarmctl.cli.units import rfc3339

TIMEOUT = 120.0
"""Seconds; a manager reads and writes its whole state meanwhile."""
_KINDS = ("cluster", "node", "service", "task", "operator")

_FILE = click.Path(path_type=Path, dir_okay=False)
_passphrase = click.option(
    "--passphrase-file",
    type=click.Path(path_type=Path, dir_okay=False),
    metavar="FILE",
    help="Its first line is the passphrase; else it is asked for, or read from standard input",
)


@click.command("backup", cls=Verb)
@click.argument("file", type=_FILE)
@_passphrase
@click.option("--verify", is_flag=True, help="Check FILE, and show what it holds; needs no swarm")
@click.pass_obj
def backup(client: Client, file: Path, passphrase_file: Path | None, verify: bool) -> None:
    """Write the whole state of the swarm to FILE, sealed under a passphrase."""
    # Cryptography costs start-up time, and most commands do not need it.
    from swarmctl.cli import backups  # noqa: PLC0415

    if verify:
        source = backups.source_of(file)
        held = backups.check(file, source.key(ask(passphrase_file)))
    else:
        source = backups.new_source()
        key = source.key(ask(passphrase_file, twice=True))
        request = control_pb2.BackupRequest(key=key)
        chunks = client.stream(client.control.Backup, request, "backing up the swarm")
        held = backups.write(file, source, key, (chunk.data for chunk in chunks))
    for name, text in _described(held.header, held.counts):
        click.echo(f"{name + ':':<10}{text}")


@click.command("restore", cls=Verb)
@click.argument("file", type=_FILE)
@_passphrase
@click.option(
    "--advertise-addr", default="", metavar="ADDR", help="Address or interface others use [:PORT]"
)
@click.option(
    "--listen-addr", default="", metavar="ADDR", help="Address or interface [0.0.0.0:2377]"
)
@click.pass_obj
def restore(
    client: Client,
    file: Path,
    passphrase_file: Path | None,
    advertise_addr: str,
    listen_addr: str,
) -> None:
    """Make this host the one manager of the swarm in the backup FILE."""
    from swarmctl.cli import backups  # noqa: PLC0415 - as above

    source = backups.source_of(file)
    head = host_pb2.RestoreHead(
        key=source.key(ask(passphrase_file)),
        advertise_address=advertise_addr,
        listen_address=listen_addr,
    )

    def messages() -> Iterator[host_pb2.RestoreSwarmRequest]:
        yield host_pb2.RestoreSwarmRequest(head=head)
        for piece in backups.sealed_part(file):
            yield host_pb2.RestoreSwarmRequest(data=piece)

    made = client.send(client.host.RestoreSwarm, messages(), "restoring the swarm", timeout=TIMEOUT)
    click.echo(f"Swarm restored: this node ({made.node_id}) is its only manager.\n")
    click.echo("Its former managers are workers now, and down. Workers come back by themselves if")
    click.echo(f"they have known a manager at {made.address}; any other host joins again with:\n")
    click.echo(f"    swarmctl swarm join --token {made.worker_token} {made.address}\n")


@click.command("readdress", cls=Verb)
@click.option(
    "--advertise-addr",
    required=True,
    metavar="ADDR",
    help="New address or interface others use [:PORT]",
)
@click.option(
    "--listen-addr", default="", metavar="ADDR", help="Address or interface; as before if not given"
)
@click.pass_obj
def readdress(client: Client, advertise_addr: str, listen_addr: str) -> None:
    """Give the manager on this host another address; its containers go on."""
    request = host_pb2.ReaddressSwarmRequest(
        advertise_address=advertise_addr, listen_address=listen_addr
    )
    told = client.call(
        client.host.ReaddressSwarm, request, "changing the address", at_least=TIMEOUT, once=True
    )
    click.echo(f"This manager is at {told.address} now; the others hear of it from itself.")


def force(client: Client, context: click.Context) -> None:
    """`swarm init --force-new-cluster`: it takes no other flag."""
    given = [
        name
        for name, value in context.params.items()
        if name != "force_new_cluster"
        # A switch that is taken back, as --autolock=false, is no parameter of click's.
        and (value is False or context.get_parameter_source(name) is not ParameterSource.DEFAULT)
    ]
    if given:
        flag = "--" + given[0].replace("_", "-")
        raise click.UsageError(f"--force-new-cluster goes on with what is there: leave {flag} out")
    request = host_pb2.InitSwarmRequest(force_new_cluster=True)
    made = client.call(
        client.host.InitSwarm, request, "forcing a new cluster", at_least=TIMEOUT, once=True
    )
    click.echo(f"This manager ({made.node_id}) goes on alone, with all that it holds.\n")
    click.echo("The others are workers from now on. Those that come back can be made managers")
    click.echo("again: swarmctl node promote NODE; those that do not: swarmctl node rm NODE")


def _described(
    header: control_pb2.BackupHeader, counts: dict[str, int]
) -> Iterator[tuple[str, str]]:
    yield "Swarm", header.cluster_id
    yield "Made", f"{rfc3339(seconds_of(header.made_at))} by swarmctl {header.swarmctl_version}"
    yield "Index", str(header.index)
    kinds = [*_KINDS, *(kind for kind in counts if kind not in _KINDS)]
    texts = (f"{counts.get(kind, 0)} {kind}{'s' * (counts.get(kind, 0) != 1)}" for kind in kinds)
    yield "Holds", ", ".join(texts)
