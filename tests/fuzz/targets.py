"""What bytes of others may do: each target takes any, and raises only if something is wrong."""

import contextlib
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

from google.protobuf.message import DecodeError

from api.errors import SwarmError
from hostkit.netlink import Netlink
from hostkit.netlink_message import Answer, Message
from machine import manifest
from machine.facts import parse as facts
from machine.moving import cargo
from machine.ssh.host_keys import HostKey
from machine.steps import seen, settings
from machine.store import schema
from machine.store.machine import Machine
from machine.target import Target as TargetOfSsh
from overlay_net import conntrack, nfnetlink, ruleset
from overlay_net.dns.cache import Cache
from overlay_net.dns.message import MessageError, parse
from overlay_net.dns.replies import answer_from, question_to, read
from overlay_net.dns.responder import quick, respond
from overlay_net.fabric import addresses, bulk, links
from overlay_net.failures import legible
from overlay_net.ruleset import Base
from runtime.image.stream import InvalidLayer
from runtime.volume.copying import layout
from runtime.volume.csi import answers as csi_answers
from runtime.volume.csi.v1 import csi_pb2
from runtime.volume.plugin import address, messages
from tests.support.dns_messages import A, answer, question, record, soa
from tests.support.kernel_answers import (
    ADDRESSES,
    CONNECTIONS,
    LINKS,
    NEIGHBOURS,
    REFUSED,
    ROUTES,
    Kernel,
)
from tests.support.paper_host import FACTS
from tests.unit.overlay_net.dns.test_responder import ZONE

_RECORD = schema.encoded(Machine("h1", TargetOfSsh("10.0.0.1", jump=("b",))))
_CARGO = cargo.Cargo(
    "alice on desk",
    {"h1": {"machine.json": _RECORD, "id": b"key"}},
    (HostKey("10.0.0.1", "ssh-ed25519", b"blob"),),
    authority={"ca/authority.pem": b"x"},
)
_IDENT = 0x4242
_QUERY = parse(question("Example.COM", edns=1232))
_SENT = question_to(_QUERY, _IDENT)
_ONE = record("example.com", A, 300, bytes(4))
_BASE = Base("inet", "t", "chain pre { }", ("to",), ("some",))
_LISTED = [
    {"chain": {"family": "inet", "table": "t", "name": "pre"}},
    {"map": {"name": "to", "elem": [[{"concat": ["10.0.0.1", 80]}, {"goto": {"target": "s"}}]]}},
    {"set": {"name": "some", "elem": ["x"]}},
]
_PLUGIN = (
    b'{"Mountpoint": "/x", "Volume": {"Name": "a"}, "Volumes": [{"Name": "a", "Mountpoint": "/x"}],'
    b'"Err": "", "Implements": ["VolumeDriver"], "Capabilities": {"Scope": "global"}}'
)
_CSI = csi_pb2.ListVolumesResponse(
    entries=[
        csi_pb2.ListVolumesResponse.Entry(
            volume=csi_pb2.Volume(volume_id="x", volume_context={"a": "b"}, capacity_bytes=1)
        )
    ]
)
_READERS: tuple[Callable[[Answer], object], ...] = (
    links.read_link,
    links.read_index,
    links.read_namespace,
    addresses.read_address,
    addresses.read_route,
    addresses.is_own,
    bulk.read,
    nfnetlink.generation,
)


@dataclass(frozen=True)
class Target:
    """`try_` is given bytes; `seeds` are such as are meant."""

    try_: Callable[[bytes], None]
    seeds: tuple[bytes, ...]


def a_question(data: bytes) -> None:
    """Whatever a container sends: an answer to it, or silence."""
    quick(data, ZONE.ready)
    said = respond(data, ZONE)
    if isinstance(said, bytes):
        assert said[:2] == data[:2]
        assert said[2] & 0x80


def an_answer(data: bytes) -> None:
    """Whatever another name server says: what is believed is passed on in the asker's words."""
    try:
        found = read(data, _QUERY, _IDENT)
    except MessageError:
        return
    cache = Cache()
    cache.put("key", found, 0.0)
    for kept in filter(None, (data, cache.get("key", 1.0))):
        told = answer_from(kept, _QUERY, 512)
        assert told[:2] == _QUERY.raw[:2]
        assert told[12:].startswith(_QUERY.question)


def a_dump(data: bytes) -> None:
    """Whatever the kernel says of links, addresses, routes and entries, or to a request."""
    for reader in _READERS:
        with contextlib.suppress(SwarmError, OSError), legible("all"):
            for each in Netlink(cast(Any, Kernel(data))).dump(Message(0, 0, b"")):
                reader(each)
    with contextlib.suppress(SwarmError, OSError):
        Netlink(cast(Any, Kernel(data))).send([Message(16, 0, b"")])


def connections(data: bytes) -> None:
    """Whatever the kernel says of its connection table."""
    with contextlib.suppress(SwarmError, OSError), legible("the connection table"):
        conntrack._dump(cast(Any, Kernel(data)), conntrack._FAMILIES[0])


def rules(data: bytes) -> None:
    """Whatever nftables says of a table."""
    with contextlib.suppress(SwarmError), legible("table"):
        objects = json.loads(data)["nftables"]
        ruleset.parse(_BASE, objects)


def machines(data: bytes) -> None:
    """What somebody sealed in a file of machines, and a record by itself."""
    with contextlib.suppress(SwarmError):
        found = cargo.decoded(data)
        assert cargo.decoded(cargo.encoded(found)) == found
    with contextlib.suppress(SwarmError):
        record = schema.decoded(data, "record").machine
        assert schema.decoded(schema.encoded(record), "record").machine == record


def a_plugin(data: bytes) -> None:
    """Whatever a volume plugin answers, or the file says that announces it."""
    for announced in (address.read_spec, address.read_json):
        with contextlib.suppress(SwarmError):
            announced(data, Path("/etc/docker/plugins/x"))
    with contextlib.suppress(messages.Lie):
        said = messages.read(data)
        messages.scope(said)
        for reader in (messages.refusal, messages.implements, messages.mountpoint):
            with contextlib.suppress(messages.Lie):
                reader(said)
        messages.volume(said)
        messages.volumes(said)


def a_csi_driver(data: bytes) -> None:
    """Whatever a CSI driver answers about volumes."""
    with contextlib.suppress(DecodeError, csi_answers.Lie):
        for entry in csi_pb2.ListVolumesResponse.FromString(data).entries:
            csi_answers.listed(entry)


def an_archive(data: bytes) -> None:
    """Whatever the archive of a volume says of itself."""
    for note in (layout.head_of, layout.end_of):
        with contextlib.suppress(InvalidLayer):
            note(data)


def a_host(data: bytes) -> None:
    """Whatever a host prints that is to be installed, or has in the book of that."""
    with contextlib.suppress(ValueError):
        facts.facts(data, 0.0, 0.0)
    with contextlib.suppress(ValueError):
        seen.parse(data, manifest.Manifest())
    with contextlib.suppress(manifest.DamagedError, SwarmError):
        manifest.decoded(data, "h1")
    settings.folders_of(data)


TARGETS: Mapping[str, Target] = {
    "question": Target(a_question, (question("web"), question("_80._tcp.web", 33, edns=1232))),
    "answer": Target(
        an_answer,
        (answer(_SENT, [_ONE, _ONE]), answer(_SENT, [], authority=[soa("com", 900, 30)], rcode=3)),
    ),
    "dump": Target(a_dump, (LINKS, ADDRESSES, ROUTES, NEIGHBOURS, REFUSED)),
    "connections": Target(connections, (CONNECTIONS,)),
    "archive": Target(
        an_archive,
        (layout.written(layout.Head("v", {"a": "b"})), layout.written(layout.End("00", 1))),
    ),
    "machines": Target(machines, (cargo.encoded(_CARGO), _RECORD)),
    "plugin": Target(a_plugin, (_PLUGIN, b"unix:///run/x.sock", b'{"Addr": "https://x:1"}')),
    "csi": Target(a_csi_driver, (_CSI.SerializeToString(),)),
    "host": Target(
        a_host,
        (
            FACTS,
            b"place\tfile 644 root:root abc /x\nversion\t1 3.11\nend\t\n",
            manifest.encoded(manifest.Manifest(version="1", packages=("crun",))),
            b'state_dir = "/x"\n',
        ),
    ),
    "rules": Target(rules, (json.dumps({"nftables": _LISTED}).encode(),)),
}
