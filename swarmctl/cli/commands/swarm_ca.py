"""`swarmctl swarm ca`: the root certificate of a swarm, and another one in its place."""

import time
from collections.abc import Sequence
from pathlib import Path

import click

from api.errors import Code, SwarmError
from api.new_ids import new_id
from api.times import duration
from api.v1 import control_pb2, objects_pb2
from swarmctl.cli import lists
from swarmctl.cli.client import Client
from swarmctl.cli.failures import INTERRUPTED, NotConvergedError
from swarmctl.cli.grammar import Verb
from swarmctl.cli.options import DURATION
from swarmctl.cli.rotating import Rotating, summary
from swarmctl.cli.units import go_duration

LOOK = 0.5
"""Seconds between two looks at a rotation."""
_PEM_LIMIT = 64 << 10


@click.command("ca", cls=Verb)
@click.option("--rotate", is_flag=True, help="Put another root in the place of the present one")
@click.option(
    "--ca-cert",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="The new root certificate (PEM) [the swarm makes one]",
)
@click.option(
    "--ca-key",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="Its private key (PEM)",
)
@click.option("--cert-expiry", type=DURATION, help="Life of nodes' certificates [as before]")
@click.option("--external-ca", multiple=True, metavar="SPEC", help="Not supported")
@click.option("-d", "--detach", is_flag=True, help="Do not wait until every node has followed")
@click.option("-q", "--quiet", is_flag=True, help="Do not show progress")
@click.option(
    "--wait-timeout", type=DURATION, help="Stop waiting after this long, with exit code 3"
)
@click.pass_obj
def ca(
    client: Client,
    rotate: bool,
    ca_cert: Path | None,
    ca_key: Path | None,
    cert_expiry: float | None,
    external_ca: tuple[str, ...],
    detach: bool,
    quiet: bool,
    wait_timeout: float | None,
) -> None:
    """Show the root certificate of the swarm, or rotate it.

    While it is rotated both roots are trusted; no task and no connection ends.
    """
    if external_ca:
        raise SwarmError(
            Code.UNSUPPORTED,
            "external certificate authorities are not supported",
            why="the swarm signs certificates itself, so that a manager needs nobody to renew them",
            remedy="give a root of your own: --ca-cert and --ca-key",
        )
    if not rotate:
        durations = (cert_expiry, wait_timeout)
        if ca_cert or ca_key or detach or any(each is not None for each in durations):
            raise click.UsageError("these flags need --rotate")
        _show(client, quiet=quiet)
        return
    if bool(ca_cert) != bool(ca_key):
        raise click.UsageError("--ca-cert and --ca-key go together")
    request = control_pb2.RotateRootCaRequest(
        request_id=new_id(), certificate_pem=_read(ca_cert), key_pem=_read(ca_key)
    )
    if cert_expiry is not None:
        request.node_cert_expiry.CopyFrom(duration(cert_expiry))
    begun = client.call(client.control.RotateRootCa, request, "rotating the root certificate")
    if detach:
        return
    try:
        ended = _wait(client, begun, quiet=quiet, timeout=wait_timeout)
    except KeyboardInterrupt:
        click.echo("\nOperation continuing in background.\nSee: swarmctl swarm ca", err=True)
        raise SystemExit(INTERRUPTED) from None
    if not quiet:
        click.echo(
            "The join tokens changed with the root: swarmctl swarm join-token worker", err=True
        )
    _echo(ended)


def _show(client: Client, *, quiet: bool) -> None:
    cluster = _cluster(client)
    _echo(cluster)
    if cluster.root_ca.HasField("rotation") and not quiet:
        rotating = Rotating.of(cluster)
        rotating.see(cluster, _nodes(client))
        click.echo(f"Another root takes its place: {summary(rotating)}", err=True)


def _wait(
    client: Client, begun: objects_pb2.Cluster, *, quiet: bool, timeout: float | None
) -> objects_pb2.Cluster:
    """The cluster once the rotation has ended; says how far it is whenever that changes."""
    rotating, started, said = Rotating.of(begun), _now(), ""
    while True:
        cluster = _cluster(client)
        rotating.see(cluster, _nodes(client))
        if not quiet and (text := summary(rotating)) != said:
            click.echo(text, err=True)
            said = text
        if rotating.is_done:
            return cluster
        if rotating.is_replaced:
            raise SwarmError(
                Code.REFUSED,
                "the rotation was broken off",
                why="another one was begun meanwhile",
                remedy="see how far that one is: swarmctl swarm ca",
            )
        if timeout is not None and _now() - started >= timeout:
            raise NotConvergedError(
                Code.DEADLINE,
                f"the rotation did not come to its end within {go_duration(timeout)}",
                why=summary(rotating),
                remedy="it goes on in the background; see: swarmctl swarm ca",
            )
        time.sleep(LOOK)


def _cluster(client: Client) -> objects_pb2.Cluster:
    request = control_pb2.GetClusterRequest()
    return client.call(client.control.GetCluster, request, "asking for the root certificate")


def _nodes(client: Client) -> Sequence[objects_pb2.Node]:
    return lists.nodes(client, control_pb2.ListNodesRequest())


def _echo(cluster: objects_pb2.Cluster) -> None:
    click.echo(cluster.root_ca.certificate_pem.decode(), nl=False)


def _read(path: Path | None) -> bytes:
    if path is None:
        return b""
    try:
        with path.open("rb") as file:
            content = file.read(_PEM_LIMIT + 1)
    except OSError as error:
        raise click.UsageError(f"cannot read {path}: {error.strerror or error}") from error
    if len(content) > _PEM_LIMIT:
        raise click.UsageError(f"{path} has more than {_PEM_LIMIT} bytes: it is no PEM file")
    return content


def _now() -> float:
    return time.monotonic()  # noqa: TID251 - the shell of a whole program
