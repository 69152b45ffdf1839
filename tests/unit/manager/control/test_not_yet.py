"""A field without effect is refused when it is set, and a plain spec is not."""

from collections.abc import Callable

import pytest

from api.errors import Code, SwarmError
from api.v1 import specs_pb2
from manager.control.not_yet import _TABLE, refuse_not_yet

Spec = specs_pb2.ServiceSpec
Mount = specs_pb2.Mount
PUBLISH_HOST = specs_pb2.PortConfig.PUBLISH_MODE_HOST


def container(**fields: object) -> Spec:
    made = Spec()
    made.task.container.MergeFrom(specs_pb2.ContainerSpec(**fields))  # type: ignore[arg-type]
    return made


def build(fill: Callable[[Spec], object]) -> Spec:
    made = Spec()
    fill(made)
    return made


REFUSED = {
    "task.networks.driver_options": build(
        lambda s: s.task.networks.add(target="front", driver_options={"a": "b"})
    ),
    "task.networks.aliases": build(lambda s: s.task.networks.add(target="none", aliases=["a"])),
    "task.log_driver.name": build(
        lambda s: s.task.log_driver.MergeFrom(specs_pb2.LogDriver(name="syslog"))
    ),
    "task.log_driver.options": build(lambda s: s.task.log_driver.options.update({"a": "b"})),
    "task.container.isolation": container(isolation="hyperv"),
    "task.container.privileges.credential_spec": container(
        privileges=specs_pb2.Privileges(credential_spec="file://x")
    ),
    "task.container.privileges.apparmor_profile": container(
        privileges=specs_pb2.Privileges(apparmor_profile="x")
    ),
    "task.container.privileges.selinux_label": container(
        privileges=specs_pb2.Privileges(selinux_label="x")
    ),
    "task.container.mounts[0].type": container(mounts=[Mount(type=Mount.TYPE_NPIPE, target="/a")]),
    "task.container.mounts[0].volume_driver": container(
        mounts=[Mount(type=Mount.TYPE_BIND, source="/a", target="/a", volume_driver="x")]
    ),
    "task.container.mounts[0].bind_propagation": container(
        mounts=[Mount(type=Mount.TYPE_TMPFS, target="/a", bind_propagation="shared")]
    ),
}


def test_every_row_of_the_table_has_its_case() -> None:
    assert {row.path for row in _TABLE} <= set(REFUSED)


@pytest.mark.parametrize(("field", "spec"), REFUSED.items())
def test_a_field_without_effect_is_refused(field: str, spec: Spec) -> None:
    with pytest.raises(SwarmError) as refused:
        refuse_not_yet(spec)
    assert (refused.value.code, refused.value.field) == (Code.UNSUPPORTED, field)
    assert refused.value.why


def test_what_has_an_effect_passes() -> None:
    refuse_not_yet(
        container(
            image="nginx",
            mounts=[
                Mount(type=Mount.TYPE_BIND, source="/a", target="/a", read_only=True),
                Mount(type=Mount.TYPE_BIND, source="/b", target="/b", bind_recursive="readonly"),
                Mount(type=Mount.TYPE_BIND, source="/f", target="/f", bind_recursive="disabled"),
                Mount(type=Mount.TYPE_IMAGE, source="x", target="/g", image_subpath="a"),
                Mount(type=Mount.TYPE_TMPFS, target="/c", tmpfs_size_bytes=1 << 20),
                Mount(type=Mount.TYPE_VOLUME, target="/d", volume_driver="local"),
                Mount(type=Mount.TYPE_CLUSTER, source="x", target="/e", volume_subpath="a"),
            ],
        )
    )
    refuse_not_yet(build(lambda s: s.task.networks.add(target="host")))
    refuse_not_yet(build(lambda s: s.task.networks.add(target="front", aliases=["db"])))
    refuse_not_yet(build(lambda s: s.endpoint.ports.add(target_port=80)))
