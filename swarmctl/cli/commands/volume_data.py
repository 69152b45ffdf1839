"""`swarmctl volume backup`, `restore` and `migrate`: data of volumes that is on one node alone."""

import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

import click

from api.errors import Code, SwarmError, invalid
from api.new_ids import new_id
from api.v1 import containers_pb2, control_pb2, objects_pb2, specs_pb2, types_pb2, volume_pb2
from swarmctl.cli import archives, lists, local_volumes
from swarmctl.cli.client import Client
from swarmctl.cli.completion import completes
from swarmctl.cli.failures import NotConvergedError
from swarmctl.cli.options import DURATION, pairs
from swarmctl.cli.volume_rows import state_of

Transfer = objects_pb2.VolumeTransfer
Volume = objects_pb2.Volume

RESTORE_LIMIT = 24 * 3600.0
"""Seconds that a volume of the host's own may take."""
_LOOK = 0.3
"""Seconds between two looks at a volume that moves."""


@click.command("backup")
@click.argument("name", metavar="VOLUME", shell_complete=completes("volume"))
@click.option(
    "-o",
    "--output",
    type=click.Path(path_type=Path, dir_okay=False, allow_dash=True),
    default="-",
    help="The file [standard output]",
)
@click.option("--stop", is_flag=True, help="End the tasks that have it for as long as it takes")
@click.option("--live", is_flag=True, help="Beside tasks that write: at best as after a crash")
@click.pass_obj
def backup(client: Client, name: str, output: Path, stop: bool, live: bool) -> None:
    """Write what is in a volume to an archive: a tar, compressed by zstd, with checksums.

    The volume has driver local, and nobody uses it: else say --stop or --live.
    """
    if stop and live:
        raise click.UsageError("--stop goes without --live")
    target = None if str(output) == "-" else output
    if target is None and sys.stdout.isatty():
        raise click.UsageError("give a file with -o, or redirect standard output")
    doing = f"saving volume {name}"
    if local_volumes.meant(client, name) is not None:
        if stop:
            raise click.UsageError("--stop is for volumes of the swarm: stop its containers first")
        own = containers_pb2.BackupLocalVolumeRequest(name=name, live=live)
        messages = client.stream(client.containers.BackupLocalVolume, own, doing)
    else:
        request = volume_pb2.BackupVolumeRequest(key=name, stop=stop, live=live)
        messages = client.stream(client.volume_data.Backup, request, doing)
    tally = archives.Tally("Saved")
    archives.write(target, tally.count(archives.data_of(messages)))
    tally.end()
    if live:
        click.echo(
            "Others may have written meanwhile: it is at best what a crash would have left.",
            err=True,
        )


@click.command("restore")
@click.argument("name", metavar="VOLUME")
@click.option(
    "-i", "--input", "source", type=click.File("rb"), default="-", help="An archive [stdin]"
)
@click.option("--node", "node_key", default="", help="Where its data is to be [any]")
@click.option("--label", "labels", multiple=True, metavar="KEY=VALUE", help="Label")
@click.option("--devices", is_flag=True, help="Make devices that are in it, too")
@click.option("--local", is_flag=True, help="A volume of this host's own")
@click.pass_obj
def restore(
    client: Client,
    name: str,
    source: BinaryIO,
    node_key: str,
    labels: tuple[str, ...],
    devices: bool,
    local: bool,
) -> None:
    """Make a volume out of an archive that `volume backup` wrote: all of it, or none."""
    if source is sys.stdin.buffer and sys.stdin.isatty():
        raise click.UsageError("give a file with -i, or redirect one to standard input")
    if local and (node_key or labels):
        raise click.UsageError("--local goes with neither --node nor --label")
    spec = specs_pb2.VolumeSpec(
        annotations=types_pb2.Annotations(name=name, labels=pairs(labels, "--label"))
    )
    tally = archives.Tally("Read")
    archive = archives.Source(source, tally)
    try:
        if local:
            _restore_own(client, name, archive, devices=devices)
        else:
            head = volume_pb2.RestoreVolumeHead(spec=spec, node_key=node_key, devices=devices)
            _restore(client, name, archive, head)
    except SwarmError as error:
        if archive.failure is not None:
            raise invalid(
                "input", "cannot read the archive", why=str(archive.failure)
            ) from archive.failure
        raise error
    tally.end()
    click.echo(name)


@click.command("migrate")
@click.argument("name", metavar="VOLUME", shell_complete=completes("volume"))
@click.argument("node_key", metavar="[NODE]", default="")
@click.option("--cancel", is_flag=True, help="Give up a move that is under way")
@click.option(
    "-f",
    "--force",
    is_flag=True,
    help="With --cancel: also what has yet to be deleted on a node that is away may stay there",
)
@click.option("-d", "--detach", is_flag=True, help="Do not wait until it is there")
@click.option("--wait-timeout", type=DURATION, default=None, help="How long to wait [for ever]")
@click.pass_obj
def migrate(
    client: Client,
    name: str,
    node_key: str,
    cancel: bool,
    force: bool,
    detach: bool,
    wait_timeout: float | None,
) -> None:
    """Move the data of a volume of driver local to another node.

    Its tasks end first, and go where the data goes. What is at the former node is deleted only when
    the copy is whole and counts.
    """
    if cancel == bool(node_key):
        raise click.UsageError("say which node, or --cancel")
    if force and not cancel:
        raise click.UsageError("--force goes with --cancel")
    request = control_pb2.MigrateVolumeRequest(
        key=name, node_key=node_key, force=force, request_id=new_id()
    )
    volume = client.call(client.control.MigrateVolume, request, f"moving volume {name}")
    if not (cancel or detach):
        _wait(client, volume, wait_timeout)
    click.echo(volume.spec.annotations.name)


def _restore(
    client: Client, name: str, archive: archives.Source, head: volume_pb2.RestoreVolumeHead
) -> None:
    def messages() -> Iterator[volume_pb2.RestoreVolumeRequest]:
        yield volume_pb2.RestoreVolumeRequest(head=head)
        for piece in archive:
            yield volume_pb2.RestoreVolumeRequest(piece=piece)

    for _ in client.converse(client.volume_data.Restore, messages(), f"restoring volume {name}"):
        return
    raise SwarmError(Code.UNAVAILABLE, f"nobody says what became of volume {name}")


def _restore_own(client: Client, name: str, archive: archives.Source, *, devices: bool) -> None:
    local_volumes.every(client)  # REFUSED where the daemon is elsewhere
    head = containers_pb2.RestoreLocalVolumeHead(name=name, devices=devices)

    def messages() -> Iterator[containers_pb2.RestoreLocalVolumeRequest]:
        yield containers_pb2.RestoreLocalVolumeRequest(head=head)
        for piece in archive:
            yield containers_pb2.RestoreLocalVolumeRequest(piece=piece)

    client.send(
        client.containers.RestoreLocalVolume,
        messages(),
        f"restoring volume {name}",
        timeout=RESTORE_LIMIT,
    )


def _wait(client: Client, volume: Volume, limit: float | None) -> None:
    """Until the move is over; says each step once. SwarmError if it was given up."""
    nodes = lists.nodes(client, control_pb2.ListNodesRequest())
    hosts = {each.id: each.description.hostname for each in nodes}
    if volume.transfer.kind != Transfer.KIND_MIGRATE or not volume.HasField("transfer"):
        return
    transfer, end = volume.transfer, None if limit is None else _now() + limit
    said = ""
    while volume.home != transfer.node_id:
        if volume.transfer.id != transfer.id or volume.transfer.kind != Transfer.KIND_MIGRATE:
            raise SwarmError(Code.REFUSED, "the move was given up", why="by another operator")
        line = state_of(volume, hosts)
        if line != said:
            click.echo(line, err=True)
            said = line
        if end is not None and _now() >= end:
            raise NotConvergedError(
                Code.DEADLINE,
                f"volume {volume.spec.annotations.name} is not there after {limit:g} s",
                why=line,
            )
        time.sleep(_LOOK)
        request = control_pb2.GetRequest(key=volume.id)
        volume = client.call(client.control.GetVolume, request, "looking at the volume")


def _now() -> float:
    return time.monotonic()  # noqa: TID251 - the shell of a whole program
