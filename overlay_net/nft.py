"""nftables in this process, by libnftables: no `nft` is forked. It knows nothing of what the rules
mean.

A context is made by a thread inside a network namespace and stays there. Those that were used last
are kept, for making one costs half as much as a transaction; not all, for each holds more than half
a MiB. Each `run` is one transaction: all of it happens, or nothing.
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
from hostkit.netlink import Netlink
from hostkit.netlink_message import Message
from overlay_net import nfnetlink
from overlay_net.failures import legible, told
from overlay_net.nfnetlink import Table

LIBRARY = "libnftables.so.1"

JsonObject = dict[str, Any]

_JSON = 1 << 4  # NFT_CTX_OUTPUT_JSON
_NUMERIC_PROTOCOLS = 1 << 6
_NUMERIC_PRIORITIES = 1 << 5
_LONGEST_ERROR = 2000
_KEPT = 4


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

    def foreign(self, target: Path) -> int:
        """The same, but for those that were made here: what we changed we need not look at."""


class LibNft:
    """Nft with one context per namespace. Any thread may call it; calls wait for each other."""

    def __init__(self) -> None:
        self._library = _load()
        self._contexts: dict[Path, _Context] = {}
        self._used: list[_Context] = []  # those with a context of the library, the last one last
        self._lock = threading.Lock()  # the library has variables of its own

    def run(self, target: Path, text: str) -> None:
        """See Nft."""
        with self._lock:
            context = self._reader(target)
            context.run(text)
            context.has_changed()

    def ask(self, target: Path, text: str) -> list[JsonObject]:
        """See Nft."""
        with self._lock:
            answer = self._reader(target).run(text, as_json=True)
        with legible("what nftables says"):
            objects = json.loads(answer)["nftables"] if answer else []
            return [each for each in objects if "metainfo" not in each]

    def generation(self, target: Path) -> int:
        """See Nft. Costs some 20 us."""
        with self._lock:
            return self._context(target).generation()

    def foreign(self, target: Path) -> int:
        """See Nft."""
        with self._lock:
            context = self._context(target)
            return context.generation() - context.own

    def send(self, target: Path, messages: Sequence[Message]) -> None:
        """As `run`, of messages of `nfnetlink`: a fraction of the cost."""
        with self._lock, told("a change of nftables"):
            context = self._context(target)
            context.netlink.transact(nfnetlink.batch(messages))
            context.has_changed()

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
                self._let_go(context)

    def close(self) -> None:
        """Let go of all namespaces."""
        with self._lock:
            while self._contexts:
                self._let_go(self._contexts.popitem()[1])

    def _context(self, target: Path) -> "_Context":
        namespace = _identity(target)
        context = self._contexts.get(target)
        if context and context.namespace == namespace:
            return context
        if context:  # the name stands for another namespace by now
            self._let_go(self._contexts.pop(target))
        made = self._contexts[target] = _Context(self._library, target, namespace)
        return made

    def _reader(self, target: Path) -> "_Context":
        """One that reads text now; those that did so longest ago give back their memory."""
        context = self._context(target)
        self._used = [*(each for each in self._used if each is not context), context]
        while len(self._used) > _KEPT:
            self._used.pop(0).rest()
        return context

    def _let_go(self, context: "_Context") -> None:
        self._used = [each for each in self._used if each is not context]
        context.close()


class _Context:
    """The kernel's nftables in one namespace, of a file and its identity.

    That of the library, with its outputs kept in memory, is made when it is needed first: what goes
    as messages, as nearly all in a container, needs none.
    """

    def __init__(self, library: ctypes.CDLL, target: Path, namespace: tuple[int, int]) -> None:
        self.namespace = namespace
        self.netlink = Netlink.inside(target, nfnetlink.NETFILTER)
        self._target = target
        self._library = library
        self._handle: int | None = None
        self.own = 0
        """Transactions made here."""
        self._last = self.generation()

    def generation(self) -> int:
        """The present one."""
        with told("asking how often nftables changed"):
            self._last = nfnetlink.generation(self.netlink.get(nfnetlink.ASK_GENERATION))
        return self._last

    def has_changed(self) -> None:
        """A transaction was made here. If others made one at the same time, it counts as theirs."""
        before = self._last
        if self.generation() == before + 1:
            self.own += 1

    def _open(self) -> int:
        handle: int | None = netns.call_in(self._target, lambda: self._library.nft_ctx_new(0))
        if not handle:
            raise SwarmError(
                Code.INTERNAL, "nftables gives no context", remedy="is this run as root?"
            )
        self._library.nft_ctx_buffer_output(handle)
        self._library.nft_ctx_buffer_error(handle)
        return handle

    def run(self, text: str, *, as_json: bool = False) -> str:
        if self._handle is None:
            self._handle = self._open()
        flags = _JSON | _NUMERIC_PRIORITIES if as_json else _NUMERIC_PROTOCOLS
        self._library.nft_ctx_output_set_flags(self._handle, flags)
        failed = self._library.nft_run_cmd_from_buffer(self._handle, text.encode())
        # Both buffers are read each time: reading is what empties them.
        output: bytes = self._library.nft_ctx_get_output_buffer(self._handle) or b""
        error: bytes = self._library.nft_ctx_get_error_buffer(self._handle) or b""
        if failed:
            raise _refusal(error.decode(errors="replace"))
        return output.decode()

    def rest(self) -> None:
        """Lets go of the library's context; the next text makes another."""
        if self._handle is not None:
            self._library.nft_ctx_free(self._handle)
            self._handle = None

    def close(self) -> None:
        self.netlink.close()
        self.rest()


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
