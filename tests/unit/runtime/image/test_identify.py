"""What a registry says that a name means."""

import asyncio
import json
from pathlib import Path

import pytest

from api.errors import Code, SwarmError
from hostkit import clock
from runtime.image.identify import Identity, identify
from runtime.image.platforms import Platform, host
from runtime.image.reference import parse
from runtime.image.registry import Registry, RegistryOptions
from tests.support.images import RegistryProcess, busybox_source
from tests.support.scripted_registry import ScriptedRegistry, sha256

INDEX = "application/vnd.oci.image.index.v1+json"


def ask(reference: str) -> Identity:
    async def run() -> Identity:
        name = parse(reference)
        async with Registry(name, RegistryOptions(retry_delay=0.01), clock=clock.wall) as opened:
            return await identify(opened, name)

    return asyncio.run(run())


def test_an_image_of_a_real_registry(registry: RegistryProcess, tmp_path: Path) -> None:
    source = busybox_source(tmp_path / "source")
    digest = asyncio.run(registry.push(tmp_path / "layout", "team/named:1", source))
    found = ask(registry.reference("team/named:1"))
    assert found.reference == registry.reference(f"team/named:1@{digest}")
    assert found.platforms == (Platform("linux", host().architecture),)
    by_digest = registry.reference(f"team/named@{digest}")
    assert ask(by_digest).reference == by_digest


@pytest.mark.parametrize(
    ("offered", "platforms"),
    [
        ([("linux", "amd64", ""), ("linux", "arm64", "v8")], ["linux/amd64", "linux/arm64"]),
        ([("linux", "arm", "v6"), ("linux", "arm", "v7")], ["linux/arm", "linux/arm64"]),
        ([("linux", "386", "")], ["linux/386", "linux/amd64"]),
        ([("linux", "amd64", ""), ("unknown", "unknown", "")], ["linux/amd64"]),
        ([("windows", "amd64", "")], ["windows/amd64"]),
        ([], []),
    ],
)
def test_the_platforms_of_hosts_that_can_run_one_of_an_index(
    scripted: ScriptedRegistry, offered: list[tuple[str, str, str]], platforms: list[str]
) -> None:
    manifests = [
        {
            "mediaType": "application/vnd.oci.image.manifest.v1+json",
            "digest": sha256(str(each).encode()),
            "size": 1,
            "platform": {"os": each[0], "architecture": each[1], "variant": each[2]},
        }
        for each in offered
    ]
    document = {"schemaVersion": 2, "mediaType": INDEX, "manifests": manifests}
    body = json.dumps(document).encode()
    scripted.manifests["1"] = (INDEX, body)
    found = ask(f"{scripted.address}/team/app:1")
    assert found.reference == f"{scripted.address}/team/app:1@{sha256(body)}"
    assert [str(each) for each in found.platforms] == platforms


def test_an_image_that_is_not_there(scripted: ScriptedRegistry) -> None:
    with pytest.raises(SwarmError) as refused:
        ask(f"{scripted.address}/team/app:none")
    assert refused.value.code is Code.NOT_FOUND
