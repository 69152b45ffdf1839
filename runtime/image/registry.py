"""A registry: fetches manifests and blobs, and pushes images, by the OCI distribution protocol."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType

import httpx

from api.errors import Code, SwarmError, invalid
from hostkit.clock import Clock
from runtime.http_body import read_limited
from runtime.image import digest as digests
from runtime.image import endpoint, faults
from runtime.image.auth import Credentials
from runtime.image.download import Report, download
from runtime.image.endpoint import RegistryOptions
from runtime.image.layout import Layout
from runtime.image.manifest import ACCEPTED, MAX_DOCUMENT, Descriptor
from runtime.image.reference import Reference, parse
from runtime.image.stream import CHUNK
from runtime.image.transport import Call, Transport

__all__ = ["Credentials", "Document", "Registry", "RegistryOptions", "push"]

_PARALLEL = 3
"""Blobs on their way at the same time, as in Docker."""
_OK = 200
_CREATED = 201
_ACCEPTED = 202


@dataclass(frozen=True)
class Document:
    """A manifest or an index, whose body hashes to `digest`."""

    digest: str
    media_type: str
    body: bytes


class Registry:
    """One repository of a registry, for one user. An asynchronous context manager."""

    def __init__(
        self,
        reference: Reference,
        options: RegistryOptions,
        *,
        credentials: Credentials | None = None,
        clock: Clock,
        actions: str = "pull",
    ) -> None:
        self._reference = reference
        self._scope = f"repository:{reference.path}:{actions}"
        self._prefix = f"/v2/{reference.path}"
        self._transport = Transport(
            endpoint.resolve(reference.domain, options),
            credentials=credentials,
            clock=clock,
            retry_delay=options.retry_delay,
        )
        self._gate = asyncio.Semaphore(_PARALLEL)

    async def __aenter__(self) -> "Registry":
        await self._transport.__aenter__()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self._transport.__aexit__(kind, error, trace)

    async def manifest(self, name: str) -> Document:
        """The manifest or index called `name`, a tag or a digest; verified."""
        what = f"image {self._reference.familiar()}"
        call = self._call("GET", f"manifests/{name}", what, {"Accept": ", ".join(ACCEPTED)})
        response, body = await self._read(call)
        claimed = response.headers.get("docker-content-digest", "")
        expected = name if digests.is_valid(name) else claimed
        if expected and not (digests.is_valid(expected) and digests.matches(expected, body)):
            raise faults.mismatch(f"the manifest of {what}", expected, digests.of(body))
        media_type = response.headers.get("content-type", "").partition(";")[0].strip()
        return Document(expected or digests.of(body), media_type, body)

    async def document(self, descriptor: Descriptor) -> bytes:
        """A small blob, as a configuration; verified."""
        what = f"blob {descriptor.digest} of {self._reference.familiar()}"
        _, body = await self._read(self._call("GET", f"blobs/{descriptor.digest}", what))
        if len(body) != descriptor.size or not digests.matches(descriptor.digest, body):
            raise faults.mismatch(what, descriptor.digest, f"{len(body)} other bytes")
        return body

    async def download(self, descriptor: Descriptor, target: Path, report: Report) -> None:
        """Makes the file `target` hold a blob; see `download.download`."""
        what = f"layer {descriptor.digest} of {self._reference.familiar()}"
        call = self._call("GET", f"blobs/{descriptor.digest}", what)
        async with self._gate:
            await download(self._transport, call, descriptor, target, report)

    async def push_blob(self, path: Path, digest: str) -> None:
        """Uploads the blob in the file `path`, if the repository does not have it."""
        what = f"blob {digest}"
        async with self._gate:
            async with self._transport.send(
                self._call("HEAD", f"blobs/{digest}", what)
            ) as response:
                if response.status_code == _OK:
                    return
            async with self._transport.send(
                self._call("POST", "blobs/uploads/", what, {"Content-Length": "0"})
            ) as response:
                if response.status_code != _ACCEPTED:
                    raise await self._transport.fail(response, what)
                upload = self._upload_url(response, digest)
            await self._put(
                upload,
                path,
                {"Content-Type": "application/octet-stream"},
                what,
            )

    def _upload_url(self, response: httpx.Response, digest: str) -> str:
        location = response.headers.get("location", "")
        try:
            return str(response.request.url.join(location).copy_set_param("digest", digest))
        except httpx.InvalidURL as error:
            why = "it does not say where to upload to"
            raise SwarmError(
                Code.UNAVAILABLE, f"{self._transport.registry} takes no upload", why=why
            ) from error

    async def push_manifest(self, path: Path, name: str, media_type: str) -> None:
        """Uploads a manifest or an index under a tag or its digest."""
        target = f"{self._prefix}/manifests/{name}"
        await self._put(target, path, {"Content-Type": media_type}, f"manifest {name}")

    async def _put(self, target: str, path: Path, headers: dict[str, str], what: str) -> None:
        size = (await asyncio.to_thread(path.stat)).st_size
        headers["Content-Length"] = str(size)
        call = Call("PUT", target, self._scope, what, headers, lambda: _chunks(path))
        async with self._transport.send(call) as response:
            if response.status_code != _CREATED:
                raise await self._transport.fail(response, what)

    def _call(
        self, method: str, target: str, what: str, headers: dict[str, str] | None = None
    ) -> Call:
        return Call(method, f"{self._prefix}/{target}", self._scope, what, headers or {})

    async def _read(self, call: Call) -> tuple[httpx.Response, bytes]:
        """A small answer as a whole; read again if the connection broke."""
        attempt = 0
        while True:
            attempt += 1
            async with self._transport.send(call) as response:
                if response.status_code != _OK:
                    raise await self._transport.fail(response, call.what)
                try:
                    return response, await read_limited(response, MAX_DOCUMENT)
                except httpx.TransportError as error:
                    failure: SwarmError = faults.of_transport(
                        error, what=call.what, registry=self._transport.registry
                    )
            if not await self._transport.pause(attempt):
                raise failure


async def push(
    layout: Path,
    reference: str,
    *,
    options: RegistryOptions,
    clock: Clock,
    credentials: Credentials | None = None,
) -> str:
    """Pushes the only image (or index) of an OCI layout directory; the digest of its manifest."""
    target = parse(reference)
    if target.digest:
        raise invalid("reference", "an image is pushed under a tag", remedy="leave out the digest")
    source = Layout(layout)
    top = source.only_image()
    registry = Registry(target, options, credentials=credentials, clock=clock, actions="pull,push")
    async with registry:
        manifests, blobs = source.reachable(top)
        await asyncio.gather(
            *(registry.push_blob(source.blob(blob.digest), blob.digest) for blob in blobs)
        )
        for manifest in manifests:  # the innermost first: a registry refuses what points nowhere
            name = target.tag if manifest == top else manifest.digest
            await registry.push_manifest(source.blob(manifest.digest), name, manifest.media_type)
    return top.digest


async def _chunks(path: Path) -> AsyncIterator[bytes]:
    with path.open("rb") as file:
        while chunk := await asyncio.to_thread(file.read, CHUNK):
            yield chunk
