"""nftables in this process, by libnftables: no `nft` is forked. It knows nothing of what the rules
mean.

A context is made by a thread inside a network namespace and stays there; it is kept, for making one
costs more than most transactions. Each `run` is one transaction: all of it happens, or nothing.
"""

import ctypes
import json
import os
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Protocol

from api.errors import Code, SwarmError
from hostkit import netns
from hostkit.netlink import Netlink, open_socket
from hostkit.netlink_message import Message
from overlay_net import nfnetlink
from overlay_net.failures import legible, told
from overlay_net.nfnetlink import Table
from overlay_net.nft_generation import Generations

LIBRARY = "libnftables.so.1"

JsonObject = dict[str, Any]

_JSON = 1 << 4  # NFT_CTX_OUTPUT_JSON
_NUMERIC_PROTOCOLS = 1 << 6
_NUMERIC_PRIORITIES = 1 << 5
_LONGEST_ERROR = 2000


class Nft(Protocol):
    """What programs rules in the network namespace of a file."""

    def run(self, target: Path, text: str) -> None:
        """One transaction. SwarmError with what nftables says if it is refused; nothing has changed
        then.
        """

    def ask(self, target: Path, text: str) -> list[JsonObject]:
        """The objects that a `list` command names, as libnftables-json(5) describes them."""

    def generation(self, target: Path) -> int:
        """A number that each transaction in the namespace changes, whoever made it."""


class LibNft:
    """Nft with one context per namespace. Any thread may call it; calls wait for each other."""

    def __init__(self) -> None:
        self._library = _load()
        self._contexts: dict[Path, _Context] = {}
        self._lock = threading.Lock()  # the library has variables of its own

    def run(self, target: Path, text: str) -> None:
        """See Nft."""
        with self._lock:
            self._context(target).run(text)

    def ask(self, target: Path, text: str) -> list[JsonObject]:
        """See Nft."""
        with self._lock:
            answer = self._context(target).run(text, as_json=True)
        with legible("what nftables says"):
            objects = json.loads(answer)["nftables"] if answer else []
            return [each for each in objects if "metainfo" not in each]

    def generation(self, target: Path) -> int:
        """See Nft. Costs some 20 us."""
        with self._lock:
            return self._context(target).generations.now()

    def send(self, target: Path, messages: Sequence[Message]) -> None:
        """As `run`, of messages of `nfnetlink`: a fraction of the cost."""
        with self._lock, told("a change of nftables"):
            self._context(target).netlink.transact(nfnetlink.batch(messages))

    def members(self, target: Path, table: Table, name: str) -> frozenset[str]:
        """The addresses in a set of a table."""
        with self._lock, told("reading nftables"):
            return nfnetlink.members(self._context(target).netlink.dump(table.ask_members(name)))

    def forget(self, target: Path) -> None:
        """Let go of a namespace, which lives as long as its context does. No error if it is
        unknown.
        """
        with self._lock:
            if context := self._contexts.pop(target, None):
                context.close()

    def close(self) -> None:
        """Let go of all namespaces."""
        with self._lock:
            while self._contexts:
                self._contexts.popitem()[1].close()

    def _context(self, target: Path) -> "_Context":
        namespace = _identity(target)
        context = self._contexts.get(target)
        if context and context.namespace == namespace:
            return context
        if context:  # the name stands for another namespace by now
            self._contexts.pop(target).close()
        made = netns.call_in(target, lambda: _Context(self._library, namespace))
        self._contexts[target] = made
        return made


class _Context:
    """A context of the library, with its outputs kept in memory."""

    def __init__(self, library: ctypes.CDLL, namespace: tuple[int, int]) -> None:
        self.namespace = namespace
        self._library = library
        self._handle = library.nft_ctx_new(0)
        if not self._handle:
            raise SwarmError(
                Code.INTERNAL, "nftables gives no context", remedy="is this run as root?"
            )
        self.generations = Generations()
        self.netlink = Netlink(open_socket(nfnetlink.NETFILTER))
        library.nft_ctx_buffer_output(self._handle)
        library.nft_ctx_buffer_error(self._handle)

    def run(self, text: str, *, as_json: bool = False) -> str:
        flags = _JSON | _NUMERIC_PRIORITIES if as_json else _NUMERIC_PROTOCOLS
        self._library.nft_ctx_output_set_flags(self._handle, flags)
        failed = self._library.nft_run_cmd_from_buffer(self._handle, text.encode())
        # Both buffers are read each time: reading is what empties them.
        output: bytes = self._library.nft_ctx_get_output_buffer(self._handle) or b""
        error: bytes = self._library.nft_ctx_get_error_buffer(self._handle) or b""
        if failed:
            raise _refusal(error.decode(errors="replace"))
        return output.decode()

    def close(self) -> None:
        self.generations.close()
        self.netlink.close()
        self._library.nft_ctx_free(self._handle)


def _refusal(error: str) -> SwarmError:
    missing = "No such file or directory" in error
    return SwarmError(
        Code.NOT_FOUND if missing else Code.INTERNAL,
        "nftables refuses a change",
        why=" ".join(error[:_LONGEST_ERROR].split()),
    )


def _identity(target: Path) -> tuple[int, int]:
    try:
        found = os.stat(target)
    except FileNotFoundError:
        raise SwarmError(Code.NOT_FOUND, f"network namespace {target} does not exist") from None
    return found.st_dev, found.st_ino


def _load() -> ctypes.CDLL:
    try:
        library = ctypes.CDLL(LIBRARY)
    except OSError as error:
        raise SwarmError(
            Code.UNAVAILABLE,
            "nftables cannot be used",
            why=str(error),
            remedy="install the package nftables",
        ) from None
    library.nft_ctx_new.argtypes = [ctypes.c_uint32]
    library.nft_ctx_new.restype = ctypes.c_void_p
    library.nft_ctx_output_set_flags.argtypes = [ctypes.c_void_p, ctypes.c_uint]
    library.nft_run_cmd_from_buffer.argtypes = [ctypes.c_void_p, ctypes.c_char_p]
    for name in ("output", "error"):
        getattr(library, f"nft_ctx_buffer_{name}").argtypes = [ctypes.c_void_p]
        reader = getattr(library, f"nft_ctx_get_{name}_buffer")
        reader.argtypes, reader.restype = [ctypes.c_void_p], ctypes.c_char_p
    library.nft_ctx_free.argtypes = [ctypes.c_void_p]
    library.nft_ctx_free.restype = None
    return library
