"""Elements of list flags, in Docker's long and short forms."""

import pytest

from api.v1 import specs_pb2, types_pb2
from swarmctl.cli.specs import elements

Mount = specs_pb2.Mount
Port = specs_pb2.PortConfig

GOOD = [
    (
        elements.mount,
        "type=bind,src=/a,dst=/b,ro,bind-propagation=rslave",
        Mount(
            type=Mount.TYPE_BIND,
            source="/a",
            target="/b",
            read_only=True,
            bind_propagation="rslave",
        ),
    ),
    (
        elements.mount,
        "source=data,target=/d",
        Mount(type=Mount.TYPE_VOLUME, source="data", target="/d"),
    ),
    (
        elements.mount,
        "type=tmpfs,target=/t,tmpfs-size=64m,tmpfs-mode=1770",
        Mount(type=Mount.TYPE_TMPFS, target="/t", tmpfs_size_bytes=64 << 20, tmpfs_mode=0o1770),
    ),
    (
        elements.mount,
        'type=volume,target=/v,"volume-opt=o=addr=1.2.3.4,rw",volume-label=a=b,volume-nocopy',
        Mount(
            type=Mount.TYPE_VOLUME,
            target="/v",
            volume_options={"o": "addr=1.2.3.4,rw"},
            volume_labels={"a": "b"},
            volume_no_copy=True,
        ),
    ),
    (
        elements.mount,
        "type=bind,src=/a,target=/b,bind-nonrecursive,readonly=false",
        Mount(type=Mount.TYPE_BIND, source="/a", target="/b", bind_recursive="disabled"),
    ),
    (elements.port, "80", Port(target_port=80)),
    (
        elements.port,
        "8080:80/udp",
        Port(published_port=8080, target_port=80, protocol=Port.PROTOCOL_UDP),
    ),
    (
        elements.port,
        "10.0.0.5:80:80",
        Port(published_port=80, target_port=80, host_ip="10.0.0.5"),
    ),
    (
        elements.port,
        "published=53,target=53,protocol=udp,mode=host",
        Port(
            published_port=53,
            target_port=53,
            protocol=Port.PROTOCOL_UDP,
            mode=Port.PUBLISH_MODE_HOST,
        ),
    ),
    (
        elements.port,
        "published=80,target=80,source=snat",
        Port(published_port=80, target_port=80, source=Port.SOURCE_SNAT),
    ),
    (
        elements.port,
        "published=80,target=80,host_ip=[fd00:0::5]",
        Port(published_port=80, target_port=80, host_ip="fd00::5"),
    ),
    (
        elements.port,
        "target=80,mode=host",
        Port(target_port=80, mode=Port.PUBLISH_MODE_HOST),
    ),
    (elements.file_reference, "key", specs_pb2.FileReference(source="key", target="key")),
    (
        elements.file_reference,
        "source=key,target=/k,uid=1,gid=2,mode=0400",
        specs_pb2.FileReference(source="key", target="/k", uid="1", gid="2", mode=0o400),
    ),
    (elements.network, "front", specs_pb2.NetworkAttachmentSpec(target="front")),
    (
        elements.network,
        "name=front,alias=a,alias=b,driver-opt=k=v",
        specs_pb2.NetworkAttachmentSpec(
            target="front", aliases=["a", "b"], driver_options={"k": "v"}
        ),
    ),
    (elements.ulimit, "nofile=10:20", specs_pb2.Ulimit(name="nofile", soft=10, hard=20)),
    (elements.ulimit, "nproc=7", specs_pb2.Ulimit(name="nproc", soft=7, hard=7)),
    (elements.host, "db:10.0.0.9", "10.0.0.9 db"),
    (elements.host, "db:fd00::9", "fd00::9 db"),
    (elements.generic_resource, "gpu=2", types_pb2.GenericResource(kind="gpu", count=2)),
    (elements.spread, "spread=node.labels.rack", "node.labels.rack"),
]
BAD = [
    (elements.mount, "type=bind,src=/a", "no target"),
    (elements.mount, "type=nfs,target=/a", "no mount type"),
    (elements.mount, "target=/a,nonsense=1", "no mount key"),
    (elements.mount, "target=/a,readonly=maybe", "neither true nor false"),
    (elements.mount, "target=/a,tmpfs-mode=9", "no file mode"),
    (elements.mount, "", "not of the form"),
    (elements.port, "http", "no port"),
    (elements.port, "80/tcpx", "no protocol"),
    (elements.port, "nohost:80:80", "no IP address"),
    (elements.port, "published=80", "no target"),
    (elements.port, "target=80,what=1", "no key"),
    (elements.port, "target=80,host_ip=eth0", "no IP address"),
    (elements.file_reference, "target=/a", "no source"),
    (elements.file_reference, "source=a,x=y", "no key"),
    (elements.network, "name=a,x=y", "no key"),
    (elements.ulimit, "nofile", "not of the form"),
    (elements.ulimit, "nofile=lots", "not of the form"),
    (elements.host, "db", "not of the form"),
    (elements.generic_resource, "gpu", "not of the form"),
    (elements.spread, "binpack=x", "not of the form"),
]


@pytest.mark.parametrize(("parse", "text", "made"), GOOD)
def test_what_is_understood(parse, text, made) -> None:  # type: ignore[no-untyped-def]  # noqa: ANN001
    assert parse(text) == made


@pytest.mark.parametrize(("parse", "text", "why"), BAD)
def test_what_is_not_says_why(parse, text, why) -> None:  # type: ignore[no-untyped-def]  # noqa: ANN001
    with pytest.raises(ValueError, match=why):
        parse(text)
