"""The store's directories: blobs by digest, unpacked layers by diff id, and what is half done.

    blobs/sha256/HEX      manifests and configurations
    layers/HEX/diff       an unpacked layer; layers/HEX/layer.json says how large it is
    ingest/HEX            a packed layer on its way, kept for the next attempt if the network failed
    scratch/NAME          trees being unpacked, archives being read, and trash
    catalogue.json        what images there are

A name outside `ingest` and `scratch` is complete: it got there by a rename after its content was on
disk. What is pinned is in use by work under way. Blocking: slow calls belong in a thread, and those
that decide (`has_layer`, `sweep`) on the event loop, where nothing comes between.
"""

import contextlib
import itertools
import json
import os
import secrets
import shutil
from collections import Counter
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Any

from api.errors import Code, SwarmError
from hostkit.durable import sync_folder
from runtime.image import digest as digests

_FACTS = "layer.json"
_TREE = "diff"


class Content:
    """All files of one image store below `root`."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self._blobs = root / "blobs"
        self._layers = root / "layers"
        self._ingest = root / "ingest"
        self._scratch = root / "scratch"
        self._pins: Counter[str] = Counter()
        self._run = secrets.token_hex(4)  # tells what this process makes from what a crash left
        self._numbers = itertools.count(1)
        for directory in (root, self._blobs, self._layers, self._ingest, self._scratch):
            _make_directory(directory)

    # Names

    def blob(self, digest: str) -> Path:
        """Where the blob of this digest is, or would be."""
        return self._blobs / digest.partition(":")[0] / digests.encoded(digest)

    def tree(self, diff_id: str) -> Path:
        """The unpacked files of a layer."""
        return self._layers / digests.encoded(diff_id) / _TREE

    @property
    def catalogue(self) -> Path:
        """The list of images and their names."""
        return self.root / "catalogue.json"

    def ingest(self, diff_id: str) -> Path:
        """Where a layer collects, as it was packed, while it is being downloaded."""
        return self._ingest / digests.encoded(diff_id)

    @contextlib.contextmanager
    def scratch(self, kind: str) -> Iterator[Path]:
        """A fresh name in scratch; whatever is there afterwards becomes trash."""
        path = self._fresh(kind)
        try:
            yield path
        finally:
            self.discard(path)

    @contextlib.contextmanager
    def pinned(self, *names: str) -> Iterator[None]:
        """Keeps the blobs and layers of these digests for as long as the block runs."""
        with counted(self._pins, [digests.encoded(name) for name in names]):
            yield

    def _fresh(self, kind: str) -> Path:
        return self._scratch / f"{kind}-{self._run}-{next(self._numbers)}"

    # Blobs

    def read_blob(self, digest: str) -> bytes:
        """A small blob. SwarmError INTERNAL if it is not what was stored."""
        try:
            body = self.blob(digest).read_bytes()
        except FileNotFoundError:
            body = b""
        if not digests.matches(digest, body):
            raise SwarmError(
                Code.INTERNAL,
                f"blob {digest} of the image store is missing or damaged",
                remedy="remove the image and pull it again",
            )
        return body

    def write_blob(self, digest: str, body: bytes) -> None:
        """Stores a small blob, which the caller has verified."""
        target = self.blob(digest)
        _make_directory(target.parent)
        write_atomic(target, body, self._fresh("blob"))

    def write_catalogue(self, body: bytes) -> None:
        """Stores the catalogue, which says what images there are."""
        write_atomic(self.catalogue, body, self._fresh("catalogue"))

    # Layers

    def has_layer(self, diff_id: str) -> bool:
        """Whether the layer is here, complete."""
        return (self._layers / digests.encoded(diff_id) / _FACTS).exists()

    def layer_size(self, diff_id: str) -> int:
        """Bytes of the files of a layer; 0 if it is not here."""
        try:
            facts = json.loads((self._layers / digests.encoded(diff_id) / _FACTS).read_bytes())
        except FileNotFoundError:
            return 0
        return int(facts["size"])

    def prepare_layer(self, scratch: Path) -> Path:
        """Makes the directory for an unpacked layer below `scratch`."""
        scratch.mkdir(mode=0o700)
        tree = scratch / _TREE
        tree.mkdir(mode=0o755)
        tree.chmod(0o755)
        return tree

    def commit_layer(self, scratch: Path, diff_id: str, facts: dict[str, Any]) -> None:
        """Gives a layer, whose files are on disk, its name."""
        write_atomic(scratch / _FACTS, json.dumps(facts).encode(), scratch / f".{_FACTS}")
        sync_folder(scratch)
        scratch.rename(self._layers / digests.encoded(diff_id))
        sync_folder(self._layers)

    # Removal

    def discard(self, path: Path) -> None:
        """Moves `path`, if it is there, into the trash: gone at once, deleted by `empty_trash`."""
        with contextlib.suppress(FileNotFoundError):
            path.rename(self._fresh("trash"))

    def discard_layer(self, diff_id: str) -> bool:
        """Moves a layer into the trash, unless work under way uses it; whether it did."""
        if digests.encoded(diff_id) in self._pins or not self.has_layer(diff_id):
            return False
        self.discard(self._layers / digests.encoded(diff_id))
        return True

    def discard_blob(self, digest: str) -> None:
        """Moves a blob into the trash, unless work under way uses it."""
        if digests.encoded(digest) not in self._pins:
            self.discard(self.blob(digest))

    def sweep(self, keep: Collection[str]) -> None:
        """Moves all into the trash that is neither among the digests `keep` nor pinned."""
        kept = {digests.encoded(digest) for digest in keep}
        blobs = [path for folder in self._blobs.iterdir() for path in folder.iterdir()]
        for path in (*blobs, *self._layers.iterdir()):
            if path.name not in kept and path.name not in self._pins:
                self.discard(path)
        for path in self._ingest.iterdir():
            if path.name not in self._pins:
                self.discard(path)
        for path in self._scratch.iterdir():
            if f"-{self._run}-" not in path.name:
                self.discard(path)

    def empty_trash(self) -> int:
        """Deletes what was discarded; the bytes of its files. Slow: for one thread at a time."""
        freed = 0
        for path in self._scratch.glob("trash-*"):
            if path.is_dir() and not path.is_symlink():
                freed += _tree_size(path)
                shutil.rmtree(path)
            else:
                freed += path.lstat().st_size
                path.unlink()
        return freed


@contextlib.contextmanager
def counted(counter: Counter[str], keys: Collection[str]) -> Iterator[None]:
    """Has each of the keys in the counter once more for as long as the block runs."""
    counter.update(keys)
    try:
        yield
    finally:
        counter.subtract(keys)
        for key in set(keys):
            if not counter[key]:
                del counter[key]


def write_atomic(target: Path, body: bytes, temporary: Path) -> None:
    """Makes `target` hold `body`: after a crash it is there as a whole, or as it was before."""
    try:
        with temporary.open("wb") as file:
            file.write(body)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(target)
    except OSError:
        temporary.unlink(missing_ok=True)
        raise
    sync_folder(target.parent)


def _make_directory(path: Path) -> None:
    """Makes a private directory where it is missing; a crash does not take it away again."""
    if not path.exists():
        path.mkdir(mode=0o700, parents=True, exist_ok=True)
        sync_folder(path.parent)


def _tree_size(top: Path) -> int:
    total = 0
    pending = [str(top)]
    while pending:
        with os.scandir(pending.pop()) as entries:
            for entry in entries:
                if entry.is_dir(follow_symlinks=False):
                    pending.append(entry.path)
                else:
                    total += entry.stat(follow_symlinks=False).st_size
    return total
