"""Loading archives: OCI layouts and docker-archives, from our own hand and from others'."""

import asyncio
import gzip
import io
import json
import os
import shutil
import subprocess
import tarfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import zstandard

from api.errors import Code, SwarmError
from runtime.image.build import ImageSource
from runtime.image.manifest import OCI_CONFIG, OCI_LAYER, OCI_MANIFEST
from runtime.image.platforms import Platform, host
from runtime.image.store import ImageStore
from runtime.image.unpacker import Limits
from tests.support.images import archive_layout, busybox_archive, tree_of
from tests.support.odd_tars import headers_of_headers, negative_size
from tests.support.scripted_registry import sha256
from tests.unit.runtime.image.conftest import Stores, chunks_of

pytestmark = pytest.mark.root


def load(store: ImageStore, body: bytes) -> list[str]:
    return asyncio.run(store.load(chunks_of(body)))


def archive(stores: Stores, *images: ImageSource, reference: str = "team/app:1") -> bytes:
    layout = stores.layout("layout", *images, reference=reference)
    path = stores.directory / "layout.tar"
    archive_layout(layout, path)
    return path.read_bytes()


def tar_of(files: Mapping[str, bytes | str]) -> bytes:
    """A tar of files; text means a symbolic link."""
    body = io.BytesIO()
    with tarfile.open(fileobj=body, mode="w") as tar:
        for name, content in files.items():
            entry = tarfile.TarInfo(name)
            if isinstance(content, str):
                entry.type, entry.linkname = tarfile.SYMTYPE, content
                tar.addfile(entry)
            else:
                entry.size = len(content)
                tar.addfile(entry, io.BytesIO(content))
    return body.getvalue()


@pytest.mark.parametrize("pack", [bytes, gzip.compress, zstandard.ZstdCompressor().compress])
def test_an_oci_layout_is_loaded(stores: Stores, pack: Any) -> None:
    source = stores.source("a", "b")
    store = stores.open()
    assert load(store, pack(archive(stores, source))) == ["team/app:1"]
    image = store.get("team/app:1")
    assert [tree_of(layer) for layer in image.layers] == [tree_of(tree) for tree in source.layers]
    assert image.digests == ()
    assert stores.leftovers() == []


def test_a_busybox_archive_is_loaded(stores: Stores) -> None:
    body = busybox_archive(stores.directory / "made", "bb:2", User="7").read_bytes()
    store = stores.open()
    assert load(store, body) == ["bb:2"]
    assert store.get("bb:2").config["config"]["User"] == "7"
    assert os.access(store.get("bb:2").layers[0] / "bin/busybox", os.X_OK)


def docker_archive(layers: list[bytes], **changes: Any) -> bytes:
    """As `docker save` before version 25 wrote it."""
    names = [f"{number}/layer.tar" for number in range(len(layers))]
    diff_ids = [sha256(gzip.decompress(x) if x[:2] == b"\x1f\x8b" else x) for x in layers]
    config = {"os": "linux", "architecture": host().architecture, "config": {"Cmd": ["x"]},
              "rootfs": {"type": "layers", "diff_ids": diff_ids}}  # fmt: skip
    entry = {"Config": "abc.json", "RepoTags": ["old:1", "r.io/old:2"], "Layers": names}
    files: dict[str, bytes | str] = {
        "abc.json": json.dumps(config).encode(),
        "manifest.json": json.dumps([{**entry, **changes.pop("entry", {})}]).encode(),
        **dict(zip(names, layers, strict=True)),
    }
    files.update(changes.pop("files", {}))
    return tar_of(files)


LAYERS = [tar_of({"a": b"1"}), gzip.compress(tar_of({"b": b"2"}))]


def test_a_docker_archive_is_loaded(stores: Stores) -> None:
    store = stores.open()
    assert load(store, docker_archive(LAYERS)) == ["old:1", "r.io/old:2"]
    image = store.get("old:1")
    assert (image.layers[0] / "a").read_text() == "1"
    assert (image.layers[1] / "b").read_text() == "2"
    assert image.config["config"] == {"Cmd": ["x"]}


def test_links_within_a_docker_archive_are_followed(stores: Stores) -> None:
    files = {"real/layer.tar": LAYERS[0], "0/layer.tar": "../real/layer.tar"}
    store = stores.open()
    assert load(store, docker_archive(LAYERS, files=files)) == ["old:1", "r.io/old:2"]


def test_an_image_without_a_name_goes_by_its_id(stores: Stores) -> None:
    store = stores.open()
    (name,) = load(store, docker_archive(LAYERS, entry={"RepoTags": None}))
    assert store.get(name).id == name


def noted_layout(name: str, key: str = "io.containerd.image.name") -> tuple[bytes, str]:
    """A layout whose image has this name as its note, with DIGEST for its own; and its digest."""
    files: dict[str, bytes | str] = {"oci-layout": b""}

    def blob(kind: str, body: bytes) -> dict[str, Any]:
        files[f"blobs/{sha256(body).replace(':', '/')}"] = body
        return {"mediaType": kind, "digest": sha256(body), "size": len(body)}

    config = {"os": "linux", "architecture": host().architecture,
              "rootfs": {"type": "layers", "diff_ids": [sha256(LAYERS[0])]}}  # fmt: skip
    manifest = {
        "schemaVersion": 2,
        "config": blob(OCI_CONFIG, json.dumps(config).encode()),
        "layers": [blob(OCI_LAYER, LAYERS[0])],
    }
    entry = blob(OCI_MANIFEST, json.dumps(manifest).encode())
    noted = {**entry, "annotations": {key: name.replace("DIGEST", entry["digest"])}}
    files["index.json"] = json.dumps({"schemaVersion": 2, "manifests": [noted]}).encode()
    return tar_of(files), entry["digest"]


def test_an_image_goes_by_its_own_digest(stores: Stores) -> None:
    body, digest = noted_layout("nginx@DIGEST")
    store = stores.open()
    assert load(store, body) == [f"nginx@{digest}"]
    assert store.get(f"nginx@{digest}").digests == (f"nginx@{digest}",)


FOREIGN = f"nginx@sha256:{'ab' * 32}"

INVALID = {
    "nothing": b"",
    "no tar": b"nonsense" * 500,
    "headers of headers": headers_of_headers(),
    "no image": tar_of({"a": b"1"}),
    "damaged gzip": gzip.compress(os.urandom(100_000))[:5000],
    "a missing layer": docker_archive(LAYERS, entry={"Layers": ["x", "y"]}),
    "fewer layers": docker_archive(LAYERS, entry={"Layers": ["0/layer.tar"]}),
    "a missing config": docker_archive(LAYERS, entry={"Config": "x"}),
    "a link to the outside": docker_archive(LAYERS, files={"0/layer.tar": "/etc/passwd"}),
    "a link in a circle": docker_archive(LAYERS, files={"0/layer.tar": "layer.tar"}),
    "a strange tag": docker_archive(LAYERS, entry={"RepoTags": ["UPPER"]}),
    "another's digest as a tag": docker_archive(LAYERS, entry={"RepoTags": [FOREIGN]}),
    "another's digest, full name": noted_layout(FOREIGN)[0],
    "another's digest, name": noted_layout(FOREIGN, "org.opencontainers.image.ref.name")[0],
    "no list": tar_of({"manifest.json": b"{}"}),
    "no json": tar_of({"manifest.json": b"{"}),
    "an empty list": tar_of({"manifest.json": b"[]"}),
    "a number": tar_of({"manifest.json": b"[1]"}),
    "an index of nothing": tar_of({"oci-layout": b"", "index.json": b"{}"}),
}


@pytest.mark.parametrize("case", INVALID)
def test_what_is_no_archive_is_refused(stores: Stores, case: str) -> None:
    store = stores.open()
    with pytest.raises(SwarmError) as refusal:
        load(store, INVALID[case])
    assert refusal.value.code is Code.INVALID
    assert store.list() == []
    assert stores.leftovers() == []


def test_a_negative_size_is_refused(stores: Stores) -> None:
    store = stores.open()
    with pytest.raises(SwarmError, match="has a negative size"):
        load(store, negative_size("manifest.json"))


def test_another_layer_than_the_promised_is_refused(stores: Stores) -> None:
    store = stores.open()
    with pytest.raises(SwarmError) as refusal:
        load(store, docker_archive(LAYERS, files={"0/layer.tar": tar_of({"evil": b"1"})}))
    assert refusal.value.code is Code.REFUSED
    assert store.list() == []


@pytest.mark.parametrize("index", [0, 1, 2])
def test_changed_blobs_of_a_layout_are_refused(stores: Stores, index: int) -> None:
    body = bytearray(archive(stores, stores.source("a")))
    layout = stores.directory / "layout/blobs/sha256"
    blob = sorted(layout.iterdir())[index].read_bytes()
    position = body.find(blob)
    body[position + len(blob) // 2] ^= 1
    store = stores.open()
    with pytest.raises(SwarmError):
        load(store, bytes(body))
    assert store.list() == []


def test_the_image_of_this_platform_is_loaded(stores: Stores) -> None:
    own, foreign = stores.source("own"), stores.source("foreign")
    images = [
        ImageSource(foreign.layers, platform=Platform("linux", "s390x")),
        ImageSource(own.layers),
    ]
    store = stores.open()
    load(store, archive(stores, *images))
    assert (store.get("team/app:1").layers[0] / "0").read_text() == "own"


def test_too_large_an_archive_is_refused(stores: Stores) -> None:
    store = stores.open()
    store._limits = Limits(max_bytes=100_000)
    for body in (b"\0" * 200_000, gzip.compress(b"\0" * 200_000)):
        with pytest.raises(SwarmError) as refusal:
            load(store, body)
        assert refusal.value.code is Code.EXHAUSTED
    assert stores.leftovers() == []


@pytest.mark.parametrize("kind", ["docker-archive", "oci-archive"])
def test_what_skopeo_writes_is_loaded(stores: Stores, kind: str) -> None:
    skopeo = shutil.which("skopeo")
    if skopeo is None:
        pytest.skip("skopeo is not installed")
    source = stores.source("a", "b")
    layout = stores.layout("layout", source)
    target = stores.directory / "skopeo.tar"
    copy = ["copy", "--quiet", "--insecure-policy", f"oci:{layout}:1"]
    subprocess.run([skopeo, *copy, f"{kind}:{target}:r.io/copied:7"], check=True)
    store = stores.open()
    assert load(store, target.read_bytes()) == ["r.io/copied:7"]
    image = store.get("r.io/copied:7")
    assert [tree_of(layer) for layer in image.layers] == [tree_of(tree) for tree in source.layers]


def test_skopeo_reads_what_we_write(stores: Stores, tmp_path: Path) -> None:
    skopeo = shutil.which("skopeo")
    if skopeo is None:
        pytest.skip("skopeo is not installed")
    archive(stores, stores.source("a"))
    words = ["inspect", f"oci-archive:{stores.directory / 'layout.tar'}"]
    told = subprocess.run([skopeo, *words], check=True, capture_output=True).stdout
    assert json.loads(told)["Os"] == "linux"
