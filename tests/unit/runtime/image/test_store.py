"""The image store: pulled, shared, removed, swept, and crashed in between."""

import asyncio
import gzip
import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from api.errors import Code, SwarmError
from api.v1 import host_pb2, types_pb2
from runtime.image.build import Compression, ImageSource
from runtime.image.manifest import OCI_LAYER
from runtime.image.platforms import Platform, host
from runtime.image.registry import Credentials
from runtime.image.store import ImageStore, StoredImage
from tests.support.images import RegistryProcess, busybox_source, tree_of
from tests.support.scripted_registry import Reply, ScriptedRegistry, bearer, manifest_of, sha256
from tests.unit.runtime.image.conftest import Stores

pytestmark = pytest.mark.root

FOREIGN = Platform("linux", "s390x")


def pull(store: ImageStore, *references: str, **how: Any) -> list[StoredImage]:
    async def run() -> list[StoredImage]:
        return await asyncio.gather(*(store.pull(name, **how) for name in references))

    return asyncio.run(run())


def refusal(store: ImageStore, reference: str, **how: Any) -> SwarmError:
    with pytest.raises(SwarmError) as caught:
        pull(store, reference, **how)
    return caught.value


def collect(store: ImageStore) -> int:
    return asyncio.run(store.collect_garbage())


def remove(
    store: ImageStore, name: str, *, in_use: Sequence[str] = (), force: bool = False
) -> tuple[list[str], list[str]]:
    async def used() -> Sequence[str]:
        return in_use

    return asyncio.run(store.remove(name, in_use=used, force=force))


def layer_names(stores: Stores) -> set[str]:
    return {path.name for path in (stores.directory / "store/layers").iterdir()}


# Pulling


@pytest.mark.parametrize("compression", Compression)
def test_what_was_pushed_is_pulled(
    registry: RegistryProcess, stores: Stores, compression: Compression
) -> None:
    made = busybox_source(stores.directory / "made", files={"hello": "world"}, User="7")
    source = ImageSource(made.layers, made.config, compression=compression)
    name = f"round/{compression.name.lower()}:1"
    digest = asyncio.run(registry.push(stores.directory / "out", name, source))
    store = stores.open()
    seen: list[host_pb2.ImageProgress] = []
    reference = registry.reference(name)
    (image,) = pull(store, reference, progress=seen.append)
    assert [tree_of(layer) for layer in image.layers] == [tree_of(tree) for tree in source.layers]
    assert image.config["config"] == source.config
    assert image.references == (reference,)
    repository = reference.removesuffix(":1")
    assert image.digests == (f"{repository}@{digest}",)
    assert image.size_bytes > 5
    assert image.created_at == 0.0
    for name_of_it in (reference, image.id, image.id[7:19], *image.digests):
        assert store.get(name_of_it) == image
    assert seen[-1] == host_pb2.ImageProgress(status="done", digest=digest)
    assert {m.status for m in seen} == {"downloading", "unpacking", "done"}
    assert all(m.current <= m.total for m in seen if m.item)
    assert stores.leftovers() == []
    assert stores.open().list() == [image]


def test_a_digest_that_is_here_needs_no_registry(
    scripted: ScriptedRegistry, stores: Stores
) -> None:
    digest = scripted.add_layout(stores.layout("out", stores.source("a")), "1")
    reference = f"{scripted.address}/team/app:1@{digest}"
    store = stores.open()
    (image,) = pull(store, reference)
    asked = len(scripted.requests)
    assert pull(store, reference) == [image]
    assert len(scripted.requests) == asked
    assert image.references == ()
    shutil.rmtree(image.layers[0].parent)
    assert pull(store, reference) == [image]
    assert (image.layers[0] / "0").read_text() == "a"


def test_an_index_is_chosen_from(registry: RegistryProcess, stores: Stores) -> None:
    own, foreign = stores.source("own"), stores.source("foreign")
    images = (
        ImageSource(foreign.layers, platform=FOREIGN),
        ImageSource(own.layers, platform=host()),
    )
    digest = asyncio.run(registry.push(stores.directory / "out", "team/multi:1", *images))
    store = stores.open()
    reference = registry.reference("team/multi:1")
    (image,) = pull(store, reference)
    assert (image.layers[0] / "0").read_text() == "own"
    assert image.digests[0].endswith(digest)
    (other,) = pull(store, reference, platform=types_pb2.Platform(architecture="s390x"))
    assert (other.layers[0] / "0").read_text() == "foreign"
    assert other.config["architecture"] == "s390x"
    error = refusal(store, reference, platform=types_pb2.Platform(architecture="riscv64"))
    assert error.code is Code.NOT_FOUND
    assert error.why == f"it is offered for {', '.join(sorted([str(host()), str(FOREIGN)]))}"


def test_an_image_of_another_platform_is_refused(
    scripted: ScriptedRegistry, stores: Stores
) -> None:
    source = ImageSource(stores.source("a").layers, platform=FOREIGN)
    scripted.add_layout(stores.layout("out", source), "1")
    error = refusal(stores.open(), f"{scripted.address}/team/app:1")
    assert "linux/s390x" in error.why


def test_a_tag_that_moved_is_followed(scripted: ScriptedRegistry, stores: Stores) -> None:
    reference = f"{scripted.address}/team/app:1"
    store = stores.open()
    images = []
    for text in ("old", "new"):
        scripted.add_layout(stores.layout(text, stores.source(text)), "1")
        images += pull(store, reference)
    old, new = (store.get(image.id) for image in images)
    assert (old.references, new.references) == ((), (reference,))
    assert len(store.list()) == 2


def test_credentials_are_handed_on(scripted: ScriptedRegistry, stores: Stores) -> None:
    scripted.add_layout(stores.layout("out", stores.source("a", "b", "c")), "1")
    user = Credentials("ann", "hush")
    scripted.rules.append(bearer(scripted.address, value="t", user=user.basic()))
    store = stores.open()
    reference = f"{scripted.address}/team/app:1"
    assert refusal(store, reference).code is Code.UNAUTHENTICATED
    assert len(pull(store, reference, credentials=user)[0].layers) == 3
    assert scripted.count("/token") == 2


# What must not get in


def test_a_corrupted_layer_is_refused_and_nothing_kept(
    scripted: ScriptedRegistry, stores: Stores
) -> None:
    scripted.add_layout(stores.layout("out", stores.source("good", "bad")), "1")
    good, bad = scripted.layers("1")
    body = bytearray(scripted.blobs[bad])
    body[-1] ^= 1
    scripted.blobs[bad] = bytes(body)
    store = stores.open()
    error = refusal(store, f"{scripted.address}/team/app:1")
    assert error.code is Code.REFUSED
    assert bad in error.what
    assert store.list() == []
    collect(store)
    assert layer_names(stores) == set()
    assert stores.leftovers() == []
    assert not list((stores.directory / "store/blobs").rglob("*/*"))
    assert good != bad


def test_a_layer_that_is_not_its_diff_id_is_refused(
    scripted: ScriptedRegistry, stores: Stores
) -> None:
    layer = gzip.compress(b"\0" * 1024)
    for diff_id in (sha256(b"something else"), sha256(layer)):
        rootfs = {"type": "layers", "diff_ids": [diff_id]}
        config = json.dumps({"os": "linux", "rootfs": rootfs}).encode()
        manifest = manifest_of(config, [layer], OCI_LAYER + "+gzip")
        scripted.blobs |= {sha256(config): config, sha256(layer): layer}
        scripted.manifests["1"] = ("", manifest)
        store = stores.open()
        assert refusal(store, f"{scripted.address}/team/app:1").code is Code.REFUSED
        assert store.list() == []
        assert layer_names(stores) == set()
        assert stores.leftovers() == []


@pytest.mark.parametrize("damage", ["another config", "another manifest", "more layers"])
def test_documents_are_verified(scripted: ScriptedRegistry, stores: Stores, damage: str) -> None:
    digest = scripted.add_layout(stores.layout("out", stores.source("a")), "1")
    reference = f"{scripted.address}/team/app:1"
    if damage == "another config":
        config = json.loads(scripted.manifests["1"][1])["config"]["digest"]
        scripted.blobs[config] = scripted.blobs[config].replace(b"sh", b"ls")
    elif damage == "another manifest":
        kind, body = scripted.manifests[digest]
        scripted.manifests[digest] = (kind, body + b" ")
        reference += f"@{digest}"
    else:
        manifest = json.loads(scripted.manifests["1"][1])
        manifest["layers"] *= 2
        scripted.manifests["1"] = ("", json.dumps(manifest).encode())
    store = stores.open()
    assert refusal(store, reference).code in (Code.REFUSED, Code.INVALID)
    assert store.list() == []


def test_a_disk_that_is_full_is_told(
    scripted: ScriptedRegistry, stores: Stores, tmp_path: Path
) -> None:
    scripted.add_layout(
        stores.layout("out", stores.source(*(os.urandom(9).hex() * 9 for _ in "ab"))), "1"
    )
    big = os.urandom(4 << 20)
    rootfs = {"type": "layers", "diff_ids": [sha256(big)]}
    config = json.dumps({"os": "linux", "rootfs": rootfs}).encode()
    scripted.blobs |= {sha256(config): config, sha256(big): big}
    scripted.manifests["1"] = ("", manifest_of(config, [big], OCI_LAYER))
    root = tmp_path / "store"
    root.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "none", root], check=True)
    try:
        error = refusal(stores.open(), f"{scripted.address}/team/app:1")
        assert error.code is Code.EXHAUSTED
        assert "make room" in error.remedy
    finally:
        subprocess.run(["umount", root], check=True)


# Interruptions


def test_an_interrupted_download_is_resumed_by_the_next_pull(
    scripted: ScriptedRegistry, stores: Stores
) -> None:
    source = stores.source(os.urandom(200_000).hex())
    source = ImageSource(source.layers, compression=Compression.PLAIN)
    scripted.add_layout(stores.layout("out", source), "1")
    (layer,) = scripted.layers("1")
    whole = scripted.blobs[layer]
    scripted.once("/blobs/" + layer, Reply(200, whole, cut=300_000))
    for _ in range(5):
        scripted.once("/blobs/" + layer, Reply(503, headers={"Retry-After": "0"}))
    reference = f"{scripted.address}/team/app:1"
    store = stores.open()
    assert refusal(store, reference).code is Code.UNAVAILABLE
    assert store.list() == []
    assert len(stores.leftovers()) == 1
    later = stores.open()
    (image,) = pull(later, reference)
    assert scripted.requests[-1].headers["range"] == "bytes=300000-"
    assert tree_of(image.layers[0]) == tree_of(source.layers[0])
    assert stores.leftovers() == []


def test_layers_of_a_failed_pull_are_not_fetched_again(
    scripted: ScriptedRegistry, stores: Stores
) -> None:
    scripted.add_layout(stores.layout("out", stores.source("first")), "1")
    (first,) = scripted.layers("1")
    store = stores.open()
    pull(store, f"{scripted.address}/team/app:1")
    scripted.add_layout(stores.layout("two", stores.source("first", "second")), "2")
    _, second = scripted.layers("2")
    scripted.once(second, Reply(404))
    assert refusal(store, f"{scripted.address}/team/app:2").code is Code.NOT_FOUND
    pull(store, f"{scripted.address}/team/app:2")
    assert scripted.count(first) == 1


def test_a_cancelled_pull_leaves_nothing_behind(scripted: ScriptedRegistry, stores: Stores) -> None:
    scripted.add_layout(stores.layout("out", stores.source("a")), "1")
    store = stores.open()

    async def scenario() -> None:
        unpacking = asyncio.Event()

        def progress(message: host_pb2.ImageProgress) -> None:
            if message.status == "unpacking":
                unpacking.set()

        task = asyncio.create_task(store.pull(f"{scripted.address}/team/app:1", progress=progress))
        await unpacking.wait()
        task.cancel()
        await asyncio.wait([task])
        assert task.cancelled()
        await store.collect_garbage()

    asyncio.run(scenario())
    assert store.list() == []
    assert stores.leftovers() == []
    assert layer_names(stores) == set()


# At the same time


def test_pulls_of_the_same_do_the_work_once(scripted: ScriptedRegistry, stores: Stores) -> None:
    scripted.add_layout(stores.layout("out", stores.source("a", "b")), "1")
    images = pull(stores.open(), *[f"{scripted.address}/team/app:1"] * 5)
    assert len({image.id for image in images}) == 1
    assert scripted.count("/manifests/1") == 1
    assert [scripted.count(layer) for layer in scripted.layers("1")] == [1, 1]


def test_a_shared_layer_is_fetched_once(scripted: ScriptedRegistry, stores: Stores) -> None:
    for tag, text in (("1", "one"), ("2", "two"), ("3", "three")):
        scripted.add_layout(stores.layout(tag, stores.source("shared", text)), tag)
    store = stores.open()
    images = pull(store, *(f"{scripted.address}/team/app:{tag}" for tag in "123"))
    assert len({image.layers[0] for image in images}) == 1
    assert scripted.count(scripted.layers("1")[0]) == 1
    assert len(layer_names(stores)) == 4


def test_garbage_collection_spares_work_under_way(
    scripted: ScriptedRegistry, stores: Stores
) -> None:
    scripted.add_layout(stores.layout("out", stores.source("a", "b")), "1")
    store = stores.open()

    async def scenario() -> None:
        def progress(message: host_pb2.ImageProgress) -> None:
            sweeps.append(asyncio.ensure_future(store.collect_garbage()))

        sweeps: list[asyncio.Future[int]] = []
        image = await store.pull(f"{scripted.address}/team/app:1", progress=progress)
        await asyncio.gather(*sweeps)
        assert len(sweeps) > 5
        assert [(layer / str(n)).read_text() for n, layer in enumerate(image.layers)] == ["a", "b"]

    asyncio.run(scenario())
    assert stores.leftovers() == []


# Removing


def test_what_other_images_need_stays(scripted: ScriptedRegistry, stores: Stores) -> None:
    for tag, text in (("1", "one"), ("2", "two")):
        scripted.add_layout(stores.layout(tag, stores.source("shared", text)), tag)
    store = stores.open()
    one, two = pull(store, *(f"{scripted.address}/team/app:{tag}" for tag in "12"))
    untagged, deleted = remove(store, f"{scripted.address}/team/app:1")
    assert untagged == [f"{scripted.address}/team/app:1", *one.digests]
    assert deleted == [one.id, f"sha256:{one.layers[1].parent.name}"]
    assert not one.layers[1].exists()
    assert (two.layers[0] / "0").read_text() == "shared"
    assert store.list() == [two]
    assert stores.open().list() == [two]
    with pytest.raises(SwarmError, match="not on this host"):
        store.get(one.id)
    assert remove(store, two.id)[1][0] == two.id
    assert layer_names(stores) == set()
    assert stores.leftovers() == []


def test_an_image_in_use_keeps_its_layers(scripted: ScriptedRegistry, stores: Stores) -> None:
    scripted.add_layout(stores.layout("out", stores.source("a")), "1")
    store = stores.open()
    reference = f"{scripted.address}/team/app:1"
    (image,) = pull(store, reference)
    with pytest.raises(SwarmError) as caught:
        remove(store, reference, in_use=[image.id])
    assert caught.value.code is Code.REFUSED
    assert store.get(reference) == image
    untagged, deleted = remove(store, reference, in_use=[image.id], force=True)
    assert (len(untagged), deleted) == (2, [])
    collect(store)
    assert (store.get(image.id).layers[0] / "0").read_text() == "a"


def test_an_image_that_is_held_is_in_use(scripted: ScriptedRegistry, stores: Stores) -> None:
    scripted.add_layout(stores.layout("out", stores.source("a")), "1")
    store = stores.open()
    reference = f"{scripted.address}/team/app:1"
    (image,) = pull(store, reference)

    async def scenario() -> None:
        async with store.holding(image.id):
            async with store.holding(image.id, image.id):
                pass
            with pytest.raises(SwarmError, match="is in use"):
                await store.remove(reference)
            assert (await store.remove(reference, force=True))[1] == []
        assert (await store.remove(image.id))[1][0] == image.id

    asyncio.run(scenario())


def test_nobody_holds_an_image_that_is_being_removed(
    scripted: ScriptedRegistry, stores: Stores
) -> None:
    scripted.add_layout(stores.layout("out", stores.source("a")), "1")
    store = stores.open()
    (image,) = pull(store, f"{scripted.address}/team/app:1")

    async def scenario() -> None:
        asked, goes_on = asyncio.Event(), asyncio.Event()

        async def slowly() -> Sequence[str]:
            asked.set()
            await goes_on.wait()
            return ()

        async def hold() -> None:
            async with store.holding(image.id):
                raise AssertionError

        removal = asyncio.create_task(store.remove(image.id, in_use=slowly))
        await asked.wait()
        holding = asyncio.create_task(hold())
        await asyncio.sleep(0)
        goes_on.set()
        await removal
        with pytest.raises(SwarmError, match="is not on this host"):
            await holding

    asyncio.run(scenario())


# After a crash


def test_what_a_crash_left_is_swept(scripted: ScriptedRegistry, stores: Stores) -> None:
    scripted.add_layout(stores.layout("out", stores.source("a")), "1")
    (image,) = pull(stores.open(), f"{scripted.address}/team/app:1")
    root = stores.directory / "store"
    other = "f" * 64
    for name in ("layers", "scratch"):
        (root / name / other / "diff/deep").mkdir(parents=True)
        (root / name / other / "diff/deep/file").write_bytes(b"x" * 1000)
    (root / "layers" / other / "layer.json").write_text('{"size": 1000, "entries": 1}')
    (root / "ingest" / other).write_bytes(b"x" * 100)
    (root / "blobs/sha256" / other).write_bytes(b"x" * 10)
    (root / "scratch/catalogue-0-1").write_bytes(b"x")
    (root / "scratch/trash-0-1").symlink_to("/etc")
    store = stores.open()
    freed = collect(store)
    assert freed >= 2 * 1000 + 100 + 10 + 1
    assert store.list() == [image]
    assert stores.leftovers() == []
    assert layer_names(stores) == {image.layers[0].parent.name}
    assert Path("/etc/passwd").exists()
    assert collect(store) == 0


PULL = """
import asyncio, sys; from pathlib import Path
from hostkit import clock; from runtime.image.registry import RegistryOptions
from runtime.image.store import ImageStore
store = ImageStore(Path(sys.argv[1]), options=RegistryOptions(), clock=clock.wall)
print("ready", flush=True)
asyncio.run(store.pull(sys.argv[2], progress=lambda message: print(message.status, flush=True)))
print("pulled", flush=True)
"""


def test_a_daemon_killed_at_any_moment_leaves_a_whole_store(
    registry: RegistryProcess, stores: Stores
) -> None:
    texts = [os.urandom(300_000).hex() for _ in range(3)]
    source = stores.source(*texts)
    asyncio.run(registry.push(stores.directory / "out", "crash/app:1", source))
    reference = registry.reference("crash/app:1")
    root = stores.directory / "store"
    words = [sys.executable, "-c", PULL, str(root), reference]
    for lines in (1, 2, 5, 8, 11):
        with subprocess.Popen(words, stdout=subprocess.PIPE, text=True) as process:
            assert process.stdout is not None
            for _ in range(lines):
                process.stdout.readline()
            process.send_signal(signal.SIGKILL)
        store = stores.open()
        for image in store.list():
            check(image, texts)
    collect(store)
    assert stores.leftovers() == []
    (image,) = pull(store, reference)
    check(image, texts)


def check(image: StoredImage, texts: list[str]) -> None:
    found = [(layer / str(number)).read_text() for number, layer in enumerate(image.layers)]
    assert found == texts


def test_a_damaged_catalogue_is_not_overwritten(stores: Stores) -> None:
    stores.open()
    catalogue = stores.directory / "store/catalogue.json"
    catalogue.write_text("{")
    with pytest.raises(SwarmError, match="unreadable"):
        stores.open()
    assert catalogue.read_text() == "{"


def test_a_damaged_image_hides_no_other(scripted: ScriptedRegistry, stores: Stores) -> None:
    for tag in "12":
        scripted.add_layout(stores.layout(tag, stores.source(tag)), tag)
    good, bad = (f"{scripted.address}/team/app:{tag}" for tag in "12")
    kept, damaged = pull(stores.open(), good, bad)
    blobs = stores.directory / "store/blobs/sha256"
    (blobs / damaged.id.removeprefix("sha256:")).write_bytes(b"{}")
    store = stores.open()
    assert store.list() == [kept]
    with pytest.raises(SwarmError, match="damaged"):
        store.get(bad)
    assert pull(store, f"{bad}@{damaged.digests[0].partition('@')[2]}")[0].layers == damaged.layers
    assert len(store.list()) == 2
