"""Texts of single list elements, as --mount and --publish take them, to messages. Pure; ValueError
with what to write instead. Forms and keys are Docker's (docker/cli, opts/).
"""

import csv
import ipaddress
import re
from collections.abc import Callable, Mapping
from typing import Any

from api.v1 import specs_pb2, types_pb2
from swarmctl.cli.options import MAX_COUNT
from swarmctl.cli.units import parse_bytes

Mount = specs_pb2.Mount
Port = specs_pb2.PortConfig

_MOUNT_TYPES = {
    "bind": Mount.TYPE_BIND,
    "volume": Mount.TYPE_VOLUME,
    "tmpfs": Mount.TYPE_TMPFS,
    "npipe": Mount.TYPE_NPIPE,
    "cluster": Mount.TYPE_CLUSTER,
    "image": Mount.TYPE_IMAGE,
}
_PROTOCOLS = {
    "tcp": Port.PROTOCOL_TCP,
    "udp": Port.PROTOCOL_UDP,
    "sctp": Port.PROTOCOL_SCTP,
}
_SOURCES = {"preserve": Port.SOURCE_PRESERVE, "snat": Port.SOURCE_SNAT}
_PUBLISH_MODES = {"ingress": Port.PUBLISH_MODE_INGRESS, "host": Port.PUBLISH_MODE_HOST}
_PORT_RANGES = re.compile(
    r"(?P<address>.*:)??(?:(?P<published>[\d-]*):)?(?P<target>\d+-\d+)(?P<protocol>/.*)?"
)
_TRUE, _FALSE = ("", "1", "true"), ("0", "false")


def keyed(text: str) -> list[tuple[str, str]]:
    """Pairs of `key=value,key,...` in the CSV form that Docker reads: values may be quoted."""
    try:
        fields = next(csv.reader([text], strict=True), [])
    except csv.Error as error:
        raise ValueError(f"{text!r} is not well formed: {error}") from error
    pairs = [field.partition("=") for field in fields]
    if not pairs or not all(key.strip() for key, _, _ in pairs):
        raise ValueError(f"{text!r} is not of the form key=value,key=value")
    return [(key.strip().lower(), value) for key, _, value in pairs]


def mount(text: str) -> specs_pb2.Mount:
    """A mount: type=bind,source=/a,target=/b,readonly. The default type is volume."""
    made = Mount(type=Mount.TYPE_VOLUME)
    for key, value in keyed(text):
        handler = _MOUNT_KEYS.get(key)
        if handler is None:
            raise ValueError(f"no mount key {key!r}; known are: {', '.join(sorted(_MOUNT_KEYS))}")
        handler(made, value)
    if not made.target:
        raise ValueError(f"{text!r} has no target")
    return made


def _text(field: str) -> Callable[[Mount, str], None]:
    return lambda made, value: setattr(made, field, value)


def _flag(field: str) -> Callable[[Mount, str], None]:
    return lambda made, value: setattr(made, field, _truth(value))


def _pair(field: str) -> Callable[[Mount, str], None]:
    def add(made: Mount, value: str) -> None:
        key, _, content = value.partition("=")
        getattr(made, field)[key] = content

    return add


def _mount_type(made: Mount, value: str) -> None:
    made.type = _one_of(_MOUNT_TYPES, value, "mount type")


def _tmpfs_mode(made: Mount, value: str) -> None:
    made.tmpfs_mode = _octal(value)


def _tmpfs_size(made: Mount, value: str) -> None:
    made.tmpfs_size_bytes = parse_bytes(value)


def _non_recursive(made: Mount, value: str) -> None:
    made.bind_recursive = "disabled" if _truth(value) else "enabled"


_MOUNT_KEYS: Mapping[str, Callable[[Mount, str], None]] = {
    "type": _mount_type,
    "source": _text("source"),
    "src": _text("source"),
    "target": _text("target"),
    "dst": _text("target"),
    "destination": _text("target"),
    "readonly": _flag("read_only"),
    "ro": _flag("read_only"),
    "consistency": _text("consistency"),
    "bind-propagation": _text("bind_propagation"),
    "bind-nonrecursive": _non_recursive,
    "bind-recursive": _text("bind_recursive"),
    "bind-create-src": _flag("bind_create_source"),
    "volume-subpath": _text("volume_subpath"),
    "volume-nocopy": _flag("volume_no_copy"),
    "volume-label": _pair("volume_labels"),
    "volume-driver": _text("volume_driver"),
    "volume-opt": _pair("volume_options"),
    "image-subpath": _text("image_subpath"),
    "tmpfs-size": _tmpfs_size,
    "tmpfs-mode": _tmpfs_mode,
}


def port(text: str) -> specs_pb2.PortConfig:
    """A port: published=8080,target=80,mode=host,host_ip=ADDR; or [ADDR:][8080:]80[/udp]."""
    if "=" not in text:
        return _short_port(text)
    made = Port()
    for key, value in keyed(text):
        if key == "target":
            made.target_port = _port_number(value)
        elif key == "published":
            made.published_port = _port_number(value)
        elif key == "protocol":
            made.protocol = _one_of(_PROTOCOLS, value, "protocol")
        elif key == "mode":
            made.mode = _one_of(_PUBLISH_MODES, value, "publish mode")
        elif key == "source":
            made.source = _one_of(_SOURCES, value, "source")
        elif key == "host_ip":
            made.host_ip = _address(value)
        else:
            raise ValueError(
                f"no key {key!r}; known are: host_ip, mode, protocol, published, source, target"
            )
    if not made.target_port:
        raise ValueError(f"{text!r} has no target")
    return made


def single_ports(text: str) -> list[str]:
    """A short form with ranges, 8000-8002:80-82/tcp, as one short form for each port."""
    match = None if "=" in text else _PORT_RANGES.fullmatch(text)
    if match is None:
        return [text]
    targets = _range(match["target"])
    published = _range(match["published"]) if match["published"] else [""] * len(targets)
    if len(published) != len(targets):
        raise ValueError(f"{text!r} has ranges of different lengths")
    head, tail = match["address"] or "", match["protocol"] or ""
    middle = ":" if match["published"] or head else ""
    return [f"{head}{p}{middle}{t}{tail}" for p, t in zip(published, targets, strict=True)]


def _range(text: str) -> list[str]:
    first, _, last = text.partition("-")
    start, end = _port_number(first), _port_number(last or first)
    if end < start:
        raise ValueError(f"{text!r} is a range that ends before it begins")
    return [str(number) for number in range(start, end + 1)]


def _short_port(text: str) -> specs_pb2.PortConfig:
    rest, _, protocol = text.partition("/")
    head, _, target = rest.rpartition(":")
    address, _, published = head.rpartition(":")
    made = Port(
        target_port=_port_number(target),
        protocol=_one_of(_PROTOCOLS, protocol or "tcp", "protocol"),
        published_port=_port_number(published) if published else 0,
    )
    if address:
        made.host_ip = _address(address)
    return made


def _address(text: str) -> str:
    try:
        return str(ipaddress.ip_address(text.strip("[]")))
    except ValueError as error:
        raise ValueError(f"{text!r} is no IP address") from error


def file_reference(text: str) -> specs_pb2.FileReference:
    """A secret or config: its name, or source=NAME,target=/path,uid=0,gid=0,mode=0400."""
    if "=" not in text:
        return specs_pb2.FileReference(source=text, target=text)
    made = specs_pb2.FileReference()
    for key, value in keyed(text):
        if key in ("source", "src"):
            made.source = value
        elif key == "mode":
            made.mode = _octal(value)
        elif key in ("target", "uid", "gid"):
            setattr(made, key, value)
        else:
            raise ValueError(f"no key {key!r}; known are: gid, mode, source, target, uid")
    if not made.source:
        raise ValueError(f"{text!r} has no source")
    made.target = made.target or made.source
    return made


def network(text: str) -> specs_pb2.NetworkAttachmentSpec:
    """A network: its name, or name=NAME,alias=A,driver-opt=K=V."""
    if "=" not in text:
        return specs_pb2.NetworkAttachmentSpec(target=text)
    made = specs_pb2.NetworkAttachmentSpec()
    for key, value in keyed(text):
        if key == "name":
            made.target = value
        elif key == "alias":
            made.aliases.append(value)
        elif key == "driver-opt":
            option, _, content = value.partition("=")
            made.driver_options[option] = content
        else:
            raise ValueError(f"no key {key!r}; known are: alias, driver-opt, name")
    if not made.target:
        raise ValueError(f"{text!r} has no name")
    return made


def ulimit(text: str) -> specs_pb2.Ulimit:
    """A ulimit: name=soft[:hard]; the hard limit is the soft one if it is left out."""
    name, _, limits = text.partition("=")
    soft, _, hard = limits.partition(":")
    try:
        return specs_pb2.Ulimit(name=name, soft=int(soft), hard=int(hard or soft))
    except ValueError as error:  # of int, or of protobuf for more than 64 bits
        raise ValueError(f"{text!r} is not of the form name=soft[:hard]") from error


def host(text: str) -> str:
    """name:address or name=address, as --host takes it, as a line of a hosts file: address name."""
    name, address = _host_parts(text)
    if not name or not address:
        raise ValueError(f"{text!r} is not of the form name:address")
    try:
        return f"{ipaddress.ip_address(address)} {name}"
    except ValueError as error:
        raise ValueError(f"{address!r} is no IP address") from error


def host_named(text: str) -> Callable[[str], bool]:
    """Which lines of a hosts file --host-rm means, which takes name or name:address."""
    name, address = _host_parts(text)
    return lambda line: line.split()[1:] == [name] and address in ("", line.split()[0])


def _host_parts(text: str) -> tuple[str, str]:
    name, _, address = text.partition("=" if "=" in text else ":")
    return name, address.removeprefix("[").removesuffix("]")


def generic_resource(text: str) -> types_pb2.GenericResource:
    """A generic resource: kind=count."""
    kind, _, count = text.partition("=")
    if not kind or not count.isdecimal() or int(count) > MAX_COUNT:
        raise ValueError(f"{text!r} is not of the form kind=count")
    return types_pb2.GenericResource(kind=kind, count=int(count))


def spread(text: str) -> str:
    """A placement preference: spread=node.labels.X, of which the label is kept."""
    strategy, _, label = text.partition("=")
    if strategy != "spread" or not label.startswith(("node.labels.", "engine.labels.")):
        raise ValueError(f"{text!r} is not of the form spread=node.labels.NAME")
    return label


def _one_of(known: Mapping[str, Any], word: str, what: str) -> Any:  # noqa: ANN401 - enum values
    if word not in known:
        raise ValueError(f"no {what} {word!r}; known are: {', '.join(known)}")
    return known[word]


def _truth(text: str) -> bool:
    if text.lower() in _TRUE:
        return True
    if text.lower() in _FALSE:
        return False
    raise ValueError(f"{text!r} is neither true nor false")


def _octal(text: str) -> int:
    if not re.fullmatch("[0-7]{1,5}", text):
        raise ValueError(f"{text!r} is no file mode; write it as 0644")
    return int(text, 8)


def _port_number(text: str) -> int:
    if not text.isdecimal() or not 0 < int(text) < 65536:  # noqa: PLR2004
        raise ValueError(f"{text!r} is no port")
    return int(text)
