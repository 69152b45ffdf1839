"""Manifests, indexes and configurations from registries that one need not trust."""

import json
from typing import Any

import pytest

from api.errors import Code, SwarmError
from runtime.image import manifest as m
from runtime.image.platforms import Platform

D = "sha256:" + "0" * 64
AMD64 = Platform("linux", "amd64")


def descriptor(media_type: str, **changes: Any) -> dict[str, Any]:
    return {"mediaType": media_type, "digest": D, "size": 3, **changes}


def image(**changes: Any) -> dict[str, Any]:
    return {
        "schemaVersion": 2,
        "mediaType": m.OCI_MANIFEST,
        "config": descriptor(m.OCI_CONFIG),
        "layers": [descriptor(m.OCI_LAYER + "+gzip")],
        **changes,
    }


def index(*platforms: str, **changes: Any) -> dict[str, Any]:
    entries = []
    for text in platforms:
        os, architecture = text.split("/")
        platform = {"os": os, "architecture": architecture}
        entries.append(descriptor(m.OCI_MANIFEST, platform=platform))
    return {"schemaVersion": 2, "mediaType": m.OCI_INDEX, "manifests": entries, **changes}


def parse(document: object, media_type: str = "") -> m.Manifest | m.Index:
    return m.parse(json.dumps(document).encode(), media_type, "image x")


@pytest.mark.parametrize("layer", [
    m.OCI_LAYER, m.OCI_LAYER + "+gzip", m.OCI_LAYER + "+zstd",
    "application/vnd.docker.image.rootfs.diff.tar.gzip",
    "application/vnd.docker.image.rootfs.diff.tar",
    "application/vnd.docker.image.rootfs.foreign.diff.tar.gzip",
    "application/vnd.oci.image.layer.nondistributable.v1.tar+gzip",
])  # fmt: skip
def test_every_kind_of_layer_is_known(layer: str) -> None:
    parsed = parse(image(layers=[descriptor(layer)]))
    assert isinstance(parsed, m.Manifest)
    assert parsed.layers[0].media_type == layer


def test_dockers_types_are_read_too() -> None:
    docker = image(mediaType=m.DOCKER_MANIFEST, config=descriptor(m.DOCKER_CONFIG))
    assert isinstance(parse(docker), m.Manifest)
    assert isinstance(parse(index(mediaType=m.DOCKER_LIST)), m.Index)
    assert isinstance(parse({"schemaVersion": 2, "manifests": []}, m.DOCKER_LIST), m.Index)


REFUSED: list[tuple[object, Code]] = [
    ([], Code.INVALID),
    ({}, Code.INVALID),
    ({"schemaVersion": 1}, Code.UNSUPPORTED),
    ({**image(), "manifests": []}, Code.INVALID),
    ({**index(), "config": {}}, Code.INVALID),
    (image(mediaType=m.OCI_INDEX), Code.INVALID),
    (index(mediaType=m.OCI_MANIFEST), Code.INVALID),
    (image(config=None), Code.INVALID),
    (image(config=descriptor("application/vnd.helm.config")), Code.INVALID),
    (image(config=descriptor(m.OCI_CONFIG, size=5 << 20)), Code.INVALID),
    (image(config=descriptor(m.OCI_CONFIG, size=-1)), Code.INVALID),
    (image(config=descriptor(m.OCI_CONFIG, size=True)), Code.INVALID),
    (image(layers=[descriptor(m.OCI_LAYER, size=10**30)]), Code.INVALID),
    (image(config=descriptor(m.OCI_CONFIG, digest="sha256:../../etc")), Code.INVALID),
    (image(layers={}), Code.INVALID),
    (image(layers=[descriptor(m.OCI_LAYER)] * 501), Code.INVALID),
    (image(layers=[descriptor(m.OCI_LAYER + "+gzip+encrypted")]), Code.UNSUPPORTED),
    (image(layers=[descriptor("text/plain")]), Code.UNSUPPORTED),
]


@pytest.mark.parametrize(("document", "code"), REFUSED)
def test_what_is_no_image_is_refused(document: object, code: Code) -> None:
    with pytest.raises(SwarmError) as refusal:
        parse(document)
    assert refusal.value.code is code


@pytest.mark.parametrize("body", [b"", b"{", b"[" * 100_000, b" " * (m.MAX_DOCUMENT + 1), b"\xff"])
def test_what_is_no_json_is_refused(body: bytes) -> None:
    with pytest.raises(SwarmError, match="malformed"):
        m.parse(body, "", "image x")


def test_the_platforms_on_offer_are_listed() -> None:
    parsed = parse(index("linux/arm64", "linux/s390x", "unknown/unknown"))
    assert isinstance(parsed, m.Index)
    with pytest.raises(SwarmError) as missing:
        parsed.choose(AMD64, "image x")
    assert missing.value.code is Code.NOT_FOUND
    assert missing.value.why == "it is offered for linux/arm64, linux/s390x"


def config(**changes: Any) -> bytes:
    rootfs = {"type": "layers", "diff_ids": [D]}
    return json.dumps(
        {"os": "linux", "architecture": "amd64", "rootfs": rootfs, **changes}
    ).encode()


def test_a_configuration_is_read() -> None:
    parsed = m.parse_config(config(created="2023-11-14T22:13:20.5Z"), 1, "image x")
    assert parsed.diff_ids == (D,)
    assert parsed.platform == AMD64
    assert parsed.created == 1_700_000_000.5
    assert m.parse_config(config(created="2023-11-14T22:13:20.123456789Z"), 1, "x").created
    assert m.parse_config(config(created="yesterday"), 1, "x").created is None


@pytest.mark.parametrize("body", [
    b"[]", b"{}", config(rootfs={"diff_ids": ["x"]}), config(rootfs={"diff_ids": {}}),
    config(rootfs={"diff_ids": []}), config(rootfs={"diff_ids": [D, D]}),
])  # fmt: skip
def test_a_configuration_must_fit_its_manifest(body: bytes) -> None:
    with pytest.raises(SwarmError, match="malformed"):
        m.parse_config(body, 1, "image x")
