"""Reads an OCI image layout: a directory of blobs and an index.json (image-layout.md)."""

import json
from pathlib import Path

from runtime.image import digest as digests
from runtime.image.manifest import Descriptor, Index, malformed, parse

VERSION = '{"imageLayoutVersion": "1.0.0"}'
_MAX_NESTING = 4


class Layout:
    """An OCI layout at `root`. Blocking."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._what = f"OCI layout {root}"

    def blob(self, digest: str) -> Path:
        """The file of a blob."""
        return self._root / "blobs" / digest.partition(":")[0] / digests.encoded(digest)

    def only_image(self) -> Descriptor:
        """The one entry of index.json. SwarmError INVALID if there are none or several."""
        try:
            body = (self._root / "index.json").read_bytes()
        except FileNotFoundError as error:
            raise malformed(self._what, "there is no index.json") from error
        index = parse(body, "", self._what)
        if not isinstance(index, Index) or len(index.manifests) != 1:
            raise malformed(self._what, "index.json does not name exactly one image")
        return index.manifests[0]

    def reachable(self, top: Descriptor) -> tuple[list[Descriptor], list[Descriptor]]:
        """Manifests (each after those that it names, so `top` last) and other blobs below `top`."""
        manifests: dict[str, Descriptor] = {}
        blobs: dict[str, Descriptor] = {}
        self._walk(top, manifests, blobs, _MAX_NESTING)
        return list(manifests.values()), list(blobs.values())

    def _walk(
        self,
        top: Descriptor,
        manifests: dict[str, Descriptor],
        blobs: dict[str, Descriptor],
        depth: int,
    ) -> None:
        if depth == 0:
            raise malformed(self._what, "indexes within indexes without end")
        document = parse(self.blob(top.digest).read_bytes(), top.media_type, self._what)
        if isinstance(document, Index):
            for entry in document.manifests:
                self._walk(entry, manifests, blobs, depth - 1)
        else:
            for blob in (document.config, *document.layers):
                blobs[blob.digest] = blob
        manifests[top.digest] = top


def write_index(root: Path, top: dict[str, object]) -> None:
    """Makes `root` a layout whose only image is the descriptor `top`."""
    (root / "oci-layout").write_text(VERSION)
    (root / "index.json").write_text(
        json.dumps({"schemaVersion": 2, "manifests": [top]}, sort_keys=True)
    )
