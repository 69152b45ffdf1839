"""Pulling from registries that fail, lie, redirect and ask who we are."""

import asyncio
import base64
import json
import os
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from api.errors import Code, SwarmError
from hostkit import clock
from runtime.image.manifest import Descriptor
from runtime.image.reference import parse
from runtime.image.registry import Credentials, Registry, RegistryOptions, push
from tests.support.images import ImageSource, RegistryProcess, file_tree, running_registry
from tests.support.scripted_registry import (
    Reply,
    Request,
    ScriptedRegistry,
    bearer,
    serving,
    sha256,
)

BLOB = os.urandom(3 << 20)
LAYER = Descriptor("application/vnd.oci.image.layer.v1.tar", sha256(BLOB), len(BLOB))
MANIFEST = b'{"schemaVersion": 2}'
NOW = {"Retry-After": "0"}


def client(registry: ScriptedRegistry, **how: Any) -> Registry:
    return Registry(
        parse(f"{registry.address}/team/app:1"),
        how.pop("options", RegistryOptions(retry_delay=0.01)),
        clock=clock.wall,
        **how,
    )


def fetch_manifest(registry: ScriptedRegistry, name: str = "1", **how: Any) -> bytes:
    async def run() -> bytes:
        async with client(registry, **how) as opened:
            return (await opened.manifest(name)).body

    return asyncio.run(run())


def fetch_blob(
    registry: ScriptedRegistry, target: Path, report: Callable[[int], None] = lambda _: None
) -> None:
    async def run() -> None:
        async with client(registry) as opened:
            await opened.download(LAYER, target, report)

    asyncio.run(run())


def refusal(work: Callable[[], object]) -> SwarmError:
    with pytest.raises(SwarmError) as caught:
        work()
    return caught.value


@pytest.fixture
def served(scripted: ScriptedRegistry) -> ScriptedRegistry:
    scripted.blobs[LAYER.digest] = BLOB
    scripted.manifests["1"] = ("application/vnd.oci.image.manifest.v1+json", MANIFEST)
    return scripted


# Blobs


def test_a_blob_is_downloaded(served: ScriptedRegistry, tmp_path: Path) -> None:
    seen: list[int] = []
    fetch_blob(served, tmp_path / "blob", seen.append)
    assert (tmp_path / "blob").read_bytes() == BLOB
    assert seen == sorted(seen)
    assert (seen[0], seen[-1]) == (0, len(BLOB))


def test_a_broken_download_goes_on_where_it_broke(served: ScriptedRegistry, tmp_path: Path) -> None:
    half = len(BLOB) // 2
    served.once("/blobs/", Reply(200, BLOB, cut=half))
    fetch_blob(served, tmp_path / "blob")
    assert (tmp_path / "blob").read_bytes() == BLOB
    assert served.requests[-1].headers["range"] == f"bytes={half}-"


def test_a_server_without_ranges_begins_anew(served: ScriptedRegistry, tmp_path: Path) -> None:
    served.once("/blobs/", Reply(200, BLOB, cut=1000), Reply(200, BLOB))
    fetch_blob(served, tmp_path / "blob")
    assert (tmp_path / "blob").read_bytes() == BLOB


@pytest.mark.parametrize(
    "wrong",
    [
        Reply(206, BLOB, {"Content-Range": f"bytes 0-{len(BLOB) - 1}/{len(BLOB)}"}),
        Reply(206, BLOB),
        Reply(416),
    ],
    ids=["another range", "no range", "not satisfiable"],
)
def test_an_answer_for_another_range_is_not_used(
    served: ScriptedRegistry, tmp_path: Path, wrong: Reply
) -> None:
    served.once("/blobs/", Reply(200, BLOB, cut=1000), wrong)
    fetch_blob(served, tmp_path / "blob")
    assert (tmp_path / "blob").read_bytes() == BLOB


def test_what_an_earlier_process_got_is_used(served: ScriptedRegistry, tmp_path: Path) -> None:
    (tmp_path / "blob").write_bytes(BLOB[:-7])
    fetch_blob(served, tmp_path / "blob")
    assert (tmp_path / "blob").read_bytes() == BLOB
    assert served.requests[-1].headers["range"] == f"bytes={len(BLOB) - 7}-"
    fetch_blob(served, tmp_path / "blob")
    assert served.count("/blobs/") == 1


def test_what_a_crash_tore_is_fetched_again(served: ScriptedRegistry, tmp_path: Path) -> None:
    (tmp_path / "blob").write_bytes(b"\0" * 5000)
    fetch_blob(served, tmp_path / "blob")
    assert (tmp_path / "blob").read_bytes() == BLOB
    (tmp_path / "blob").write_bytes(BLOB + b"more")
    fetch_blob(served, tmp_path / "blob")
    assert (tmp_path / "blob").read_bytes() == BLOB


@pytest.mark.parametrize(
    "body", [BLOB[:-1] + bytes([BLOB[-1] ^ 1]), BLOB + b"x"], ids=["another byte", "a byte more"]
)
def test_another_blob_is_refused_and_not_kept(
    served: ScriptedRegistry, tmp_path: Path, body: bytes
) -> None:
    served.always("/blobs/", Reply(200, body))
    error = refusal(lambda: fetch_blob(served, tmp_path / "blob"))
    assert error.code is Code.REFUSED
    assert "damaged or tampered" in error.what
    assert not (tmp_path / "blob").exists()


def test_a_download_that_never_ends_well_is_given_up(
    served: ScriptedRegistry, tmp_path: Path
) -> None:
    served.always("/blobs/", Reply(200, BLOB, cut=0))
    error = refusal(lambda: fetch_blob(served, tmp_path / "blob"))
    assert error.code is Code.UNAVAILABLE
    assert served.count("/blobs/") == 5


# Trying again


@pytest.mark.parametrize("status", [429, 500, 502, 503, 504])
def test_a_busy_server_is_asked_again(served: ScriptedRegistry, status: int) -> None:
    served.once("/manifests/", Reply(status, headers=NOW), Reply(status, headers=NOW))
    assert fetch_manifest(served) == MANIFEST
    assert served.count("/manifests/") == 3


def test_a_broken_manifest_is_read_again(served: ScriptedRegistry) -> None:
    served.once("/manifests/", Reply(200, MANIFEST, cut=3))
    assert fetch_manifest(served) == MANIFEST


def test_a_server_that_stays_busy_is_reported(served: ScriptedRegistry) -> None:
    body = json.dumps({"errors": [{"code": "TOOMANYREQUESTS", "message": "slow down"}]}).encode()
    served.always("/manifests/", Reply(429, body, NOW))
    error = refusal(lambda: fetch_manifest(served))
    assert error.code is Code.EXHAUSTED
    assert "slow down" in error.why
    assert served.count("/manifests/") == 5


def test_nobody_waits_for_an_hour(served: ScriptedRegistry) -> None:
    served.always("/manifests/", Reply(429, headers={"Retry-After": "3600"}))
    assert refusal(lambda: fetch_manifest(served)).code is Code.EXHAUSTED
    assert served.count("/manifests/") == 1


# Manifests


def test_the_digest_of_a_manifest_is_checked(served: ScriptedRegistry) -> None:
    assert fetch_manifest(served, "1") == MANIFEST
    served.manifests[LAYER.digest] = served.manifests["1"]
    error = refusal(lambda: fetch_manifest(served, LAYER.digest))
    assert error.code is Code.REFUSED
    header = {"Docker-Content-Digest": LAYER.digest}
    served.always("/manifests/2", Reply(200, MANIFEST, header))
    assert refusal(lambda: fetch_manifest(served, "2")).code is Code.REFUSED


def test_a_giant_manifest_is_refused(served: ScriptedRegistry) -> None:
    served.always("/manifests/", Reply(200, b" " * (5 << 20)))
    assert "too large" in refusal(lambda: fetch_manifest(served)).what


ANSWERS = [
    (404, "NAME_UNKNOWN", Code.NOT_FOUND, "no such repository"),
    (404, "MANIFEST_UNKNOWN", Code.NOT_FOUND, "no such tag"),
    (404, "", Code.NOT_FOUND, "answered 404"),
    (403, "DENIED", Code.DENIED, "credentials"),
    (418, "", Code.REFUSED, "answered 418"),
    (501, "", Code.UNAVAILABLE, "answered 501"),
]


@pytest.mark.parametrize(("status", "name", "code", "words"), ANSWERS)
def test_refusals_are_told_apart(
    served: ScriptedRegistry, status: int, name: str, code: Code, words: str
) -> None:
    body = json.dumps({"errors": [{"code": name}]}).encode() if name else b"<html>"
    served.always("/manifests/", Reply(status, body))
    error = refusal(lambda: fetch_manifest(served))
    assert error.code is code
    assert words in str(error)


# Who we are


def test_a_token_is_fetched_once_for_all(served: ScriptedRegistry) -> None:
    served.rules.append(bearer(served.address, value="t1"))

    async def run() -> None:
        async with client(served) as opened:
            await asyncio.gather(*(opened.manifest("1") for _ in range(4)))

    asyncio.run(run())
    assert served.count("/token") == 1
    asked = next(r.path for r in served.requests if r.path.startswith("/token"))
    assert "service=small" in asked
    assert "scope=repository%3Ateam%2Fapp%3Apull" in asked


def test_the_token_server_gets_the_credentials(served: ScriptedRegistry) -> None:
    user = Credentials("ann", "hush")
    served.rules.append(bearer(served.address, value="t1", user=user.basic()))
    assert fetch_manifest(served, credentials=user) == MANIFEST
    for wrong in (None, Credentials("ann", "wrong")):
        error = refusal(lambda: fetch_manifest(served, credentials=wrong))  # noqa: B023
        assert error.code is Code.UNAUTHENTICATED
        assert "team/app" in error.what
        assert "hush" not in str(error)


def basic(user: Credentials) -> Callable[[Request], Reply | None]:
    def rule(request: Request) -> Reply | None:
        given = request.headers.get("authorization", "").removeprefix("Basic ")
        if base64.b64decode(given).decode() == f"{user.username}:{user.password}":
            return None
        return Reply(401, b"", {"WWW-Authenticate": 'Basic realm="r"'})

    return rule


def test_basic_credentials_are_sent_when_asked_for(served: ScriptedRegistry) -> None:
    user = Credentials("ann", "p:ä")
    served.rules.append(basic(user))
    assert fetch_manifest(served, credentials=user) == MANIFEST
    for wrong in (None, Credentials("ann", "wrong")):
        error = refusal(lambda: fetch_manifest(served, credentials=wrong))  # noqa: B023
        assert error.code is Code.UNAUTHENTICATED


def test_an_unknown_scheme_is_told(served: ScriptedRegistry) -> None:
    served.always("/manifests/", Reply(401, b"", {"WWW-Authenticate": "Negotiate"}))
    assert "no known scheme" in refusal(lambda: fetch_manifest(served)).why


# Redirects


def test_a_redirect_elsewhere_takes_no_credentials_along(
    served: ScriptedRegistry, tmp_path: Path
) -> None:
    served.rules.append(bearer(served.address, value="t1"))
    with serving() as store:
        store.blobs[LAYER.digest] = BLOB
        location = f"http://{store.address}/signed/blobs/{LAYER.digest}?key=1"
        store.always("/signed/", Reply(200, BLOB))

        def redirect(request: Request) -> Reply | None:
            return Reply(307, b"", {"Location": location}) if "/blobs/" in request.path else None

        served.rules.append(redirect)
        fetch_blob(served, tmp_path / "blob")
        assert (tmp_path / "blob").read_bytes() == BLOB
        assert [r.path for r in store.requests] == [f"/signed/blobs/{LAYER.digest}?key=1"]
        assert "authorization" not in store.requests[0].headers
    assert served.requests[-1].headers["authorization"] == "Bearer t1"


def test_a_redirect_on_the_same_host_keeps_them(served: ScriptedRegistry) -> None:
    served.rules.append(bearer(served.address, value="t1"))
    served.once("/manifests/old", Reply(308, b"", {"Location": "1"}))
    assert fetch_manifest(served, "old") == MANIFEST


@pytest.mark.parametrize("location", ["file:///etc/passwd", "ftp://x/y", "data:,x"])
def test_a_strange_redirect_is_refused(served: ScriptedRegistry, location: str) -> None:
    served.always("/manifests/", Reply(302, b"", {"Location": location}))
    assert refusal(lambda: fetch_manifest(served)).code is Code.REFUSED


def test_a_redirect_to_nonsense_is_no_answer(served: ScriptedRegistry) -> None:
    served.always("/manifests/", Reply(302, b"", {"Location": "http://[bad"}))
    assert refusal(lambda: fetch_manifest(served)).code is Code.UNAVAILABLE


def test_redirects_in_a_circle_end(served: ScriptedRegistry) -> None:
    served.always("/manifests/", Reply(302, b"", {"Location": "1"}))
    assert "redirected again and again" in refusal(lambda: fetch_manifest(served)).why


# TLS


def make_certificate(directory: Path) -> tuple[Path, Path]:
    """A self-signed certificate for 127.0.0.1, which is its own CA, and its key."""
    subject = ["-subj", "/CN=registry", "-addext", "subjectAltName=IP:127.0.0.1"]
    files = ["-keyout", f"{directory}/key.pem", "-out", f"{directory}/cert.pem"]
    kind = ["-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"]
    subprocess.run(
        ["openssl", "req", *kind, *files, "-days", "2", *subject], check=True, capture_output=True
    )
    return directory / "cert.pem", directory / "key.pem"


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Certificate and key of a registry."""
    return make_certificate(tmp_path_factory.mktemp("tls"))


def test_a_registry_with_an_own_ca(certificate: tuple[Path, Path], tmp_path: Path) -> None:
    source = ImageSource((file_tree(tmp_path / "tree", {"a": "1"}),))
    with running_registry(tmp_path / "registry", tls=certificate) as real:
        options = RegistryOptions(ca_files={real.address: certificate[0]})

        async def run() -> str:
            digest = await real.push(tmp_path / "out", "team/app:1", source, options=options)
            reference = parse(real.reference("team/app:1"))
            async with Registry(reference, options, clock=clock.wall) as opened:
                assert (await opened.manifest("1")).digest == digest
            return digest

        asyncio.run(run())


def test_tls_is_checked_where_the_operator_expects_it(
    certificate: tuple[Path, Path], tmp_path: Path, served: ScriptedRegistry
) -> None:
    other = make_certificate(tmp_path)[0]
    with serving(tls=certificate) as secure:
        secure.manifests["1"] = served.manifests["1"]
        options = RegistryOptions(ca_files={secure.address: other})
        error = refusal(lambda: fetch_manifest(secure, options=options))
        assert error.code is Code.UNAVAILABLE
        assert "not trusted" in error.why
        assert "--registry-ca" in error.remedy
        # Without a CA, loopback is trusted as Docker trusts it.
        assert fetch_manifest(secure) == MANIFEST
    plain = RegistryOptions(ca_files={served.address: other})
    error = refusal(lambda: fetch_manifest(served, options=plain))
    assert "TLS with" in error.why
    assert "--insecure-registry" in error.remedy
    assert served.requests == []


def test_an_unreachable_registry_is_told() -> None:
    gone = ScriptedRegistry()
    gone.address = "127.0.0.1:1"
    error = refusal(lambda: fetch_manifest(gone))
    assert error.code is Code.UNAVAILABLE
    assert "cannot be reached" in error.why


# Pushing


def test_pushing_twice_uploads_nothing_again(registry: RegistryProcess, tmp_path: Path) -> None:
    source = ImageSource((file_tree(tmp_path / "tree", {"a": str(tmp_path)}),))

    async def run() -> None:
        first = await registry.push(tmp_path / "out", "push/app:1", source)
        target = registry.reference("push/app:2")
        how = {"options": RegistryOptions(), "clock": clock.wall}
        assert await push(tmp_path / "out", target, **how) == first  # type: ignore[arg-type]
        async with Registry(parse(target), RegistryOptions(), clock=clock.wall) as opened:
            assert (await opened.manifest("2")).digest == first

    asyncio.run(run())


def test_a_push_needs_a_tag(tmp_path: Path) -> None:
    name = f"127.0.0.1:1/a@{LAYER.digest}"
    work = push(tmp_path, name, options=RegistryOptions(), clock=clock.wall)
    assert refusal(lambda: asyncio.run(work)).field == "reference"
