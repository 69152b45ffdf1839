"""`swarmctl image`: the images on the daemon's host."""

import sys
import time
from collections.abc import Iterator
from typing import BinaryIO

import click

from api.errors import SwarmError, invalid
from api.image_name import domain_of
from api.times import seconds_of
from api.v1 import host_pb2, types_pb2
from swarmctl.cli import registry_logins
from swarmctl.cli.client import Client
from swarmctl.cli.completion import completes
from swarmctl.cli.failures import end, for_each
from swarmctl.cli.filters import filter_option, label, narrow, read_filters, text, words
from swarmctl.cli.grammar import Noun
from swarmctl.cli.inspecting import inspect_each
from swarmctl.cli.options import (
    Parsed,
    format_option,
    inspect_format,
    no_trunc_option,
    quiet_option,
)
from swarmctl.cli.render import Listing, Row
from swarmctl.cli.units import ago, size

CHUNK = 1 << 20
SHORT_ID = 12
LOAD_TIMEOUT = 600.0
_NONE = "<none>"
_LOGIN = "swarmctl.cli.commands.image_login"
_LISTING = Listing(
    columns=(
        ("Repository", "REPOSITORY"),
        ("Tag", "TAG"),
        ("ID", "IMAGE ID"),
        ("CreatedSince", "CREATED"),
        ("Size", "SIZE"),
    ),
    quiet="ID",
    more=(("Digest", "DIGEST"),),
)
_FILTERS = {
    "before": text("before"),
    "dangling": words("dangling", {"true": (True,), "false": (False,)}),
    "label": label("labels"),
    "reference": text("patterns"),
    "since": text("since"),
}


def _platform(text: str) -> types_pb2.Platform:
    system, slash, architecture = text.partition("/")
    if not slash or not system or not architecture:
        raise ValueError(f"{text!r} is no platform; write it as linux/arm64")
    return types_pb2.Platform(os=system, architecture=architecture)


@click.group(
    cls=Noun,
    lazy={
        "login": (f"{_LOGIN}:login", "Keep a user name and a password for REGISTRY [docker.io]."),
        "logout": (f"{_LOGIN}:logout", "Forget the login for REGISTRY [docker.io]."),
    },
)
def image() -> None:
    """Manage the images on this host."""


@image.command("pull")
@click.argument("reference")
@click.option("--platform", type=Parsed("platform", _platform), help="As linux/arm64")
@click.option("-q", "--quiet", is_flag=True, help="Only print the reference")
@click.pass_obj
def pull(client: Client, reference: str, platform: types_pb2.Platform | None, quiet: bool) -> None:
    """Pull an image from a registry."""
    request = host_pb2.PullImageRequest(reference=reference, platform=platform)
    registry = domain_of(reference)
    if known := registry_logins.find(registry):
        request.registry_auth = registry_logins.encoded(known, registry)
    seen: dict[str, str] = {}
    digest = ""
    for message in client.stream(client.host.PullImage, request, f"pulling {reference}"):
        digest = message.digest or digest
        if not quiet and message.item and seen.get(message.item) != message.status:
            seen[message.item] = message.status
            short = message.item.partition(":")[2][:SHORT_ID]
            click.echo(f"{short}: {message.status}", err=True)
    if not quiet:
        click.echo(f"Digest: {digest}", err=True)
    click.echo(reference)


@image.command("load")
@click.option(
    "-i", "--input", "source", type=click.File("rb"), default="-", help="A tar file [stdin]"
)
@click.option("-q", "--quiet", is_flag=True, help="Print nothing")
@click.pass_obj
def load(client: Client, source: BinaryIO, quiet: bool) -> None:
    """Load images from an OCI layout or a docker-archive, from a file or standard input."""
    if source is sys.stdin.buffer and sys.stdin.isatty():
        raise click.UsageError("give a file with -i, or redirect one to standard input")
    archive = _Archive(source)
    try:
        answer = client.send(client.host.LoadImage, archive, "loading images", timeout=LOAD_TIMEOUT)
    except SwarmError as error:
        if archive.failure is not None:
            raise invalid(
                "input", "cannot read the archive", why=str(archive.failure)
            ) from archive.failure
        raise error
    for reference in [] if quiet else answer.references:
        click.echo(f"Loaded image: {reference}")


class _Archive(Iterator[host_pb2.LoadImageRequest]):
    """The archive in chunks. gRPC reads it in a thread of its own and would hide why it failed."""

    def __init__(self, source: BinaryIO) -> None:
        self._source = source
        self.failure: OSError | None = None

    def __next__(self) -> host_pb2.LoadImageRequest:
        try:
            chunk = self._source.read(CHUNK)
        except OSError as error:
            self.failure = error
            raise
        if not chunk:
            raise StopIteration
        return host_pb2.LoadImageRequest(chunk=chunk)


@image.command("ls")
@click.argument("reference", default="")
@filter_option(_FILTERS)
@format_option
@no_trunc_option
@quiet_option
@click.option("--digests", is_flag=True, help="Also show digests")
@click.pass_obj
def ls(
    client: Client,
    reference: str,
    filters: tuple[str, ...],
    form: str,
    no_trunc: bool,
    quiet: bool,
    digests: bool,
) -> None:
    """List images, newest first."""
    if digests and form == "table":
        form = "table {{.Repository}}\t{{.Tag}}\t{{.Digest}}\t{{.ID}}\t{{.CreatedSince}}\t{{.Size}}"
    _LISTING.check(form)
    request = host_pb2.ListImagesRequest(reference=reference)
    narrow(request, read_filters(filters, _FILTERS))
    found = client.call(client.host.ListImages, request, "listing images").images
    now = time.time()  # noqa: TID251 - a program's shell
    rows = [row for each in found for row in _rows(each, now, full=no_trunc)]
    if quiet:  # an image with several names is one image
        rows = list({row["ID"]: row for row in rows}.values())
    click.echo(_LISTING.render(rows, form, quiet=quiet), nl=False)


@image.command("inspect")
@click.argument("references", nargs=-1, required=True, shell_complete=completes("image"))
@inspect_format
@click.pass_obj
def inspect_(client: Client, references: tuple[str, ...], form: str) -> None:
    """Show images in full."""

    def get(reference: str) -> host_pb2.Image:
        request = host_pb2.GetImageRequest(reference=reference)
        return client.call(client.host.GetImage, request, f"looking up image {reference}")

    inspect_each(references, get, form, blank=host_pb2.Image())


@image.command("rm")
@click.argument("references", nargs=-1, required=True, shell_complete=completes("image"))
@click.option("-f", "--force", is_flag=True, help="Also an image that containers use")
@click.pass_obj
def rm(client: Client, references: tuple[str, ...], force: bool) -> None:
    """Remove names of images, and images with their last name."""

    def remove(reference: str) -> None:
        request = host_pb2.RemoveImageRequest(reference=reference, force=force)
        doing = f"removing image {reference}"
        answer = client.call(client.host.RemoveImage, request, doing, once=True)
        for name in answer.untagged:
            click.echo(f"Untagged: {name}")
        for name in answer.deleted:
            click.echo(f"Deleted: {name}")

    _, complete = for_each(references, remove)
    end(complete)


def _rows(each: host_pb2.Image, now: float, *, full: bool) -> Iterator[Row]:
    digests = {text.partition("@")[0]: text.partition("@")[2] for text in each.digests}
    tagged = [_split(text) for text in each.references]
    for repository, tag in tagged or [(next(iter(digests), _NONE), _NONE)]:
        yield {
            "Repository": _familiar(repository),
            "Tag": tag,
            "Digest": digests.get(repository, _NONE),
            "ID": each.id if full else each.id.partition(":")[2][:SHORT_ID],
            "CreatedSince": ago(now - seconds_of(each.created_at)),
            "Size": size(each.size_bytes),
        }


def _split(reference: str) -> tuple[str, str]:
    """Repository and tag."""
    name = reference.partition("@")[0]
    repository, colon, tag = name.rpartition(":")
    return (repository, tag) if colon and "/" not in tag else (name, _NONE)


def _familiar(repository: str) -> str:
    # Docker hides the registry that it takes by default.
    return repository.removeprefix("docker.io/").removeprefix("library/")
