"""`swarmctl secret` and `swarmctl config`: small files for containers. Two nouns of the same verbs,
which differ in the calls that they make.
"""

import time
from collections.abc import Iterable
from typing import BinaryIO, Protocol, TypeAlias

import click

from api import validate
from api.new_ids import new_id
from api.times import seconds_of
from api.v1 import control_pb2, objects_pb2, specs_pb2, types_pb2
from swarmctl.cli import lists
from swarmctl.cli.client import Client
from swarmctl.cli.completion import completes
from swarmctl.cli.failures import end, for_each
from swarmctl.cli.filters import filter_option, label, narrow, read_filters, text
from swarmctl.cli.grammar import Noun
from swarmctl.cli.inspecting import inspect_each
from swarmctl.cli.options import (
    format_option,
    inspect_format,
    pairs,
    pretty_option,
    quiet_option,
)
from swarmctl.cli.render import Listing, natural, pretty, printable
from swarmctl.cli.units import ago, rfc3339

File: TypeAlias = objects_pb2.Secret | objects_pb2.Config
Spec: TypeAlias = tuple[types_pb2.Annotations, bytes, str]
"""Annotations, data, template driver: of either kind."""

_FILTERS = {"id": text("ids"), "label": label("labels"), "name": text("names")}
_LISTING = Listing(
    columns=(
        ("ID", "ID"),
        ("Name", "NAME"),
        ("CreatedAt", "CREATED"),
        ("UpdatedAt", "UPDATED"),
    ),
    quiet="ID",
    more=(("Labels", "LABELS"),),
)


class _Kind(Protocol):
    """One of the two nouns: its word, and its calls."""

    word: str
    limit: int
    blank: File

    def create(self, client: Client, spec: Spec) -> File: ...

    def get(self, client: Client, request: control_pb2.GetRequest) -> File: ...

    def list(self, client: Client, request: control_pb2.ListFilesRequest) -> Iterable[File]: ...

    def remove(self, client: Client, request: control_pb2.RemoveRequest) -> None: ...


class _Secrets:
    word = "secret"
    limit = validate.SECRET_BYTES
    blank: File = objects_pb2.Secret()

    def create(self, client: Client, spec: Spec) -> File:
        annotations, data, driver = spec
        request = control_pb2.CreateSecretRequest(
            spec=specs_pb2.SecretSpec(annotations=annotations, data=data, template_driver=driver),
            request_id=new_id(),
        )
        doing = f"creating secret {annotations.name}"
        return client.call(client.control.CreateSecret, request, doing)

    def get(self, client: Client, request: control_pb2.GetRequest) -> File:
        return client.call(client.control.GetSecret, request, f"looking up secret {request.key}")

    def list(self, client: Client, request: control_pb2.ListFilesRequest) -> Iterable[File]:
        return lists.secrets(client, request)

    def remove(self, client: Client, request: control_pb2.RemoveRequest) -> None:
        client.call(client.control.RemoveSecret, request, f"removing secret {request.key}")


class _Configs:
    word = "config"
    limit = validate.CONFIG_BYTES
    blank: File = objects_pb2.Config()

    def create(self, client: Client, spec: Spec) -> File:
        annotations, data, driver = spec
        request = control_pb2.CreateConfigRequest(
            spec=specs_pb2.ConfigSpec(annotations=annotations, data=data, template_driver=driver),
            request_id=new_id(),
        )
        doing = f"creating config {annotations.name}"
        return client.call(client.control.CreateConfig, request, doing)

    def get(self, client: Client, request: control_pb2.GetRequest) -> File:
        return client.call(client.control.GetConfig, request, f"looking up config {request.key}")

    def list(self, client: Client, request: control_pb2.ListFilesRequest) -> Iterable[File]:
        return lists.configs(client, request)

    def remove(self, client: Client, request: control_pb2.RemoveRequest) -> None:
        client.call(client.control.RemoveConfig, request, f"removing config {request.key}")


@click.group(cls=Noun)
def secret() -> None:
    """Manage secrets: files that only the tasks which use them may read."""


@click.group(cls=Noun)
def config() -> None:
    """Manage configs: files for tasks, which are no secret."""


def _add_verbs(noun: click.Group, kind: _Kind) -> None:
    for add in (_add_create, _add_ls, _add_inspect, _add_rm):
        add(noun, kind)


def _add_create(noun: click.Group, kind: _Kind) -> None:
    @noun.command("create", help=f"Create a {kind.word} from a file, or from stdin.")
    @click.argument("name", metavar=kind.word.upper())
    @click.argument("source", metavar="FILE|-", type=click.File("rb"))
    @click.option("-l", "--label", "labels", multiple=True, metavar="KEY=VALUE", help="Label")
    @click.option("--template-driver", default="", help="What expands placeholders in it, golang")
    @click.pass_obj
    def create(
        client: Client, name: str, source: BinaryIO, labels: tuple[str, ...], template_driver: str
    ) -> None:
        annotations = types_pb2.Annotations(name=name, labels=pairs(labels, "--label"))
        # One byte more than it may have, so that what is too large is refused and never read whole.
        data = source.read(kind.limit + 1)
        click.echo(kind.create(client, (annotations, data, template_driver)).id)


def _add_ls(noun: click.Group, kind: _Kind) -> None:
    @noun.command("ls", help=f"List {kind.word}s.")
    @filter_option(_FILTERS)
    @format_option
    @quiet_option
    @click.pass_obj
    def ls(client: Client, filters: tuple[str, ...], form: str, quiet: bool) -> None:
        _LISTING.check(form)
        request = control_pb2.ListFilesRequest()
        narrow(request, read_filters(filters, _FILTERS))
        found = kind.list(client, request)
        now = time.time()  # noqa: TID251 - the shell of a whole program
        ordered = sorted(found, key=lambda each: natural(each.spec.annotations.name))
        rows = [_row(each, now) for each in ordered]
        click.echo(_LISTING.render(rows, form, quiet=quiet), nl=False)


def _add_inspect(noun: click.Group, kind: _Kind) -> None:
    @noun.command("inspect", help=f"Show {kind.word}s in full.")
    @click.argument("names", nargs=-1, required=True, shell_complete=completes(kind.word))
    @inspect_format
    @pretty_option
    @click.pass_obj
    def inspect_(client: Client, names: tuple[str, ...], form: str, as_text: bool) -> None:
        def get(name: str) -> File:
            return kind.get(client, control_pb2.GetRequest(key=name))

        inspect_each(names, get, form, blank=kind.blank, as_text=_pretty if as_text else None)


def _add_rm(noun: click.Group, kind: _Kind) -> None:
    @noun.command("rm", help=f"Remove {kind.word}s that no service uses.")
    @click.argument("names", nargs=-1, required=True, shell_complete=completes(kind.word))
    @click.pass_obj
    def rm(client: Client, names: tuple[str, ...]) -> None:
        def remove(name: str) -> None:
            kind.remove(client, control_pb2.RemoveRequest(key=name, request_id=new_id()))
            click.echo(name)

        _, complete = for_each(names, remove)
        end(complete)


def _row(each: File, now: float) -> dict[str, str]:
    labels = each.spec.annotations.labels
    return {
        "ID": each.id,
        "Name": each.spec.annotations.name,
        "CreatedAt": ago(now - seconds_of(each.meta.created_at)),
        "UpdatedAt": ago(now - seconds_of(each.meta.updated_at)),
        "Labels": ",".join(f"{key}={value}" for key, value in sorted(labels.items())),
    }


def _pretty(each: File) -> str:
    """As Docker shows it; a config with what is in it."""
    labels = each.spec.annotations.labels
    head = pretty([("ID", each.id), ("Name", each.spec.annotations.name)])
    listed = "".join(f" - {key}={value}\n" for key, value in sorted(labels.items()))
    times = pretty(
        [
            ("Created at", rfc3339(seconds_of(each.meta.created_at))),
            ("Updated at", rfc3339(seconds_of(each.meta.updated_at))),
        ]
    )
    text = f"{head}Labels:\n{listed}{times}"
    if isinstance(each, objects_pb2.Config):
        lines = each.spec.data.decode(errors="replace").splitlines()
        text += "".join(f"{printable(line)}\n" for line in ("Data:", *lines))
    return text


_add_verbs(secret, _Secrets())
_add_verbs(config, _Configs())
