"""Where secrets and configs lie in a container, and which references are refused."""

import pytest

from api import files
from api.errors import Code, SwarmError
from api.files import Place
from api.v1 import specs_pb2

Reference = specs_pb2.FileReference
Container = specs_pb2.ContainerSpec


@pytest.mark.parametrize(
    ("kind", "reference", "place"),
    [
        ("secret", Reference(source="db"), Place("/run/secrets/db", 0, 0, 0o444)),
        ("secret", Reference(source="db", target="key"), Place("/run/secrets/key", 0, 0, 0o444)),
        (
            "secret",
            Reference(source="db", target="a/key"),
            Place("/run/secrets/a/key", 0, 0, 0o444),
        ),
        ("secret", Reference(source="db", target="/etc/key"), Place("/etc/key", 0, 0, 0o444)),
        ("config", Reference(source="app.conf"), Place("/app.conf", 0, 0, 0o444)),
        ("config", Reference(source="c", target="/etc/c"), Place("/etc/c", 0, 0, 0o444)),
        (
            "config",
            Reference(source="c", target="c..d", uid="1000", gid="0033", mode=0o4550),
            Place("/c..d", 1000, 33, 0o4550),
        ),
        ("secret", Reference(source="s", mode=0), Place("/run/secrets/s", 0, 0, 0)),
    ],
)
def test_places(kind: files.Kind, reference: Reference, place: Place) -> None:
    assert files.place(kind, reference, "f") == place


TRAVERSALS = ["..", "../x", "a/../../x", "/etc/../x", "a//b", "/", "//etc/x", "a/", "./a", "/."]


@pytest.mark.parametrize("target", TRAVERSALS)
@pytest.mark.parametrize("kind", ["secret", "config"])
def test_a_target_that_leads_elsewhere_is_refused(kind: files.Kind, target: str) -> None:
    with pytest.raises(SwarmError) as refused:
        files.place(kind, Reference(source="s", target=target), "f")
    assert (refused.value.code, refused.value.field) == (Code.INVALID, "f.target")


@pytest.mark.parametrize(
    ("reference", "field"),
    [
        (Reference(source="s", uid="root"), "f.uid"),
        (Reference(source="s", uid="-1"), "f.uid"),
        (Reference(source="s", gid=str(2**32 - 1)), "f.gid"),
        (Reference(source="s", gid="9" * 5000), "f.gid"),
        (Reference(source="s", mode=0o10000), "f.mode"),
    ],
)
def test_owners_and_modes_that_the_kernel_would_not_take(reference: Reference, field: str) -> None:
    with pytest.raises(SwarmError) as refused:
        files.place("secret", reference, "f")
    assert refused.value.field == field


@pytest.mark.parametrize(
    ("spec", "field"),
    [
        (Container(secrets=[Reference(target="x")]), "c.secrets[0].source"),
        (
            Container(secrets=[Reference(source="a", target="x"), Reference(source="x")]),
            "c.secrets[1].target",
        ),
        (
            Container(
                secrets=[Reference(source="x")],
                configs=[Reference(source="y", target="/run/secrets/x")],
            ),
            "c.configs[0].target",
        ),
        (
            Container(configs=[Reference(source="x")], mounts=[specs_pb2.Mount(target="/x/")]),
            "c.configs[0].target",
        ),
        (
            Container(configs=[Reference(source="x")], mounts=[specs_pb2.Mount(target="/x/y")]),
            "c.configs[0].target",
        ),
        (
            Container(secrets=[Reference(source="a", target="x"), Reference(source="x/y/z")]),
            "c.secrets[0].target",
        ),
    ],
)
def test_files_in_each_others_way_are_refused(spec: Container, field: str) -> None:
    with pytest.raises(SwarmError) as refused:
        files.check("c", spec)
    assert refused.value.field == field


def test_a_file_below_a_mount_is_fine() -> None:
    mounts = [specs_pb2.Mount(target="/run"), specs_pb2.Mount(target="/etc/app/")]
    config = Reference(source="c", target="/etc/app/c")
    files.check("c", Container(mounts=mounts, secrets=[Reference(source="s")], configs=[config]))
