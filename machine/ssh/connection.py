"""The connection to a host over all its hops. Blocks, and so runs in threads; `cut` ends it from
any other one. It is never mended: a connection that broke stays broken.
"""

import asyncio
import socket
import threading
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import paramiko

from api.errors import Code, SwarmError
from machine.ssh import keys, piped, proving
from machine.ssh.dial import dial
from machine.ssh.host_keys import HostKey, KnownHosts
from machine.ssh.keys import Keyring
from machine.ssh.questions import Asker
from machine.ssh.route import Hop
from machine.ssh.transport import Patience, Transport, end, negotiate

_PROHIBITED = 1  # RFC 4254, 5.1
_KINDS = ("ssh-ed25519", "ecdsa-sha2-nistp256", "ssh-rsa")


@dataclass(frozen=True)
class Circumstances:
    """What every connection of one command has in common."""

    known: KnownHosts
    keyring: Keyring
    pinned: proving.Pinned = lambda _: None
    folder: Path = field(default_factory=Path)  # where relative names of keys begin
    patience: Patience = field(default_factory=Patience)


class Connection:
    """One way to one host, open from `open` to `cut`."""

    def __init__(
        self,
        machine: str,
        hops: tuple[Hop, ...],
        around: Circumstances,
        loop: asyncio.AbstractEventLoop,
    ) -> None:
        self._machine = machine
        self._hops = hops
        self._around = around
        self._transports: list[Transport] = []
        self._agents: list[keys.Agent] = []
        self._asker = Asker(loop, lambda: self._cut)
        self._lock = threading.Lock()
        self._cut = False
        self._silent = False

    def open(self) -> None:
        """Goes hop by hop. Whatever fails is raised, and nothing stays open."""
        try:
            for hop in self._hops:
                self._prove(self._reach(hop), hop)
        except BaseException:
            self.cut()
            raise

    def look(self) -> HostKey:
        """The key that the host shows now, without judging it; tells the host nothing of us."""
        *jumps, last = self._hops
        try:
            for hop in jumps:
                self._prove(self._reach(hop), hop)
            return proving.shown_key(self._negotiated(last, self._kinds(last)), last)
        finally:
            self.cut()

    @property
    def transport(self) -> Transport:
        """To the host itself; UNAVAILABLE if it was cut, or broke."""
        if self._cut or not self._transports or not self._transports[-1].is_active():
            raise self.lost()
        return self._transports[-1]

    @property
    def is_cut(self) -> bool:
        """Whether somebody here has ended it."""
        return self._cut

    def lost(self) -> SwarmError:
        """What to raise once the connection is no more."""
        if self._cut and not self._silent:
            return SwarmError(Code.UNAVAILABLE, f"the connection to {self._machine} is closed")
        last = self._transports[-1] if self._transports else None
        said = (last.last_words if last else "") or "it broke, or the host went down"
        return SwarmError(
            Code.UNAVAILABLE,
            f"the connection to {self._machine} is lost",
            why="the host is silent" if self._silent else said,
            remedy="look whether the host is up, then do the same again: it goes on where it was",
        )

    def give_up(self) -> None:
        """As `cut`, because the host says nothing any more."""
        self._silent = True
        self.cut()

    def cut(self) -> None:
        """Closes all of it; no thread or socket is left. Twice does no harm."""
        with self._lock:
            self._cut = True
            for transport in self._transports:  # the first hop first: the others hang on it
                end(transport)
            for agent in self._agents:
                agent.end()

    def _reach(self, hop: Hop) -> Transport:
        """An encrypted connection to the hop, over the one before it, with its key judged."""
        transport = self._negotiated(hop, _KINDS if hop.host_key else self._kinds(hop))
        shown = proving.shown_key(transport, hop)
        if hop.host_key and shown.fingerprint != hop.host_key:
            # A server has several keys, and the operator may have given another one's fingerprint.
            for kind in _KINDS:
                if kind != shown.kind and (other := self._with_key(hop, kind)):
                    self._forget(transport)
                    return other
        return transport

    def _kinds(self, hop: Hop) -> Sequence[str]:
        """Of keys, the best liked first: a pinned one, else the host would seem to have changed."""
        return [key.kind for key in self._around.known.find(hop.known_as)] or _KINDS

    def _with_key(self, hop: Hop, kind: str) -> Transport | None:
        transport = self._negotiated(hop, [kind])
        if proving.shown_key(transport, hop).fingerprint == hop.host_key:
            return transport
        self._forget(transport)
        return None

    def _negotiated(self, hop: Hop, kinds: Sequence[str]) -> Transport:
        way = self._way(hop)
        try:
            transport = negotiate(way, f"{hop.host}:{hop.port}", self._around.patience, kinds)
        except SwarmError as error:
            if isinstance(way, piped.PipedWay) and (why := way.why()):
                error.why = f"{error.why}; its ProxyCommand: {why}"
                error.remedy = f"try it by hand: {hop.command}"
            raise
        with self._lock:
            self._transports.append(transport)
        if self._cut:
            end(transport)
            raise self.lost()
        return transport

    def _forget(self, transport: Transport) -> None:
        end(transport)
        with self._lock:
            self._transports.remove(transport)

    def _way(self, hop: Hop) -> socket.socket | paramiko.Channel:
        patience = self._around.patience
        at = self._hops.index(hop)
        if hop.command:
            return piped.through(hop.command)
        if at == 0:
            return dial(hop.host, hop.port, patience.dial)
        before, transport = self._hops[at - 1], self._transports[at - 1]
        try:
            return transport.open_channel(
                "direct-tcpip", (hop.host, hop.port), ("127.0.0.1", 0), timeout=patience.dial
            )
        except paramiko.ChannelException as error:
            barred = error.code == _PROHIBITED
            raise SwarmError(
                Code.UNAVAILABLE,
                f"cannot reach port {hop.port} of {hop.host} from {before.host}",
                why=(transport.last_refusal or error.text).lower(),
                remedy=f"allow it on {before.host} (AllowTcpForwarding yes)"
                if barred
                else f"look whether {hop.host} is up, and reached from {before.host}",
            ) from None
        except (paramiko.SSHException, EOFError, OSError) as error:
            raise SwarmError(
                Code.UNAVAILABLE,
                f"cannot reach port {hop.port} of {hop.host} from {before.host}",
                why=f"no answer within {patience.dial:g} s"
                if "imeout" in str(error)
                else f"the connection to {before.host} broke",
                remedy=f"look whether {hop.host} is up, and no firewall drops the port",
            ) from None

    def _prove(self, transport: Transport, hop: Hop) -> None:
        around = self._around
        shown = proving.shown_key(transport, hop)
        proving.check_host(hop, shown, around.known, self._machine, around.pinned)
        agent = keys.agent_of(hop)
        with self._lock:
            self._agents.append(agent)
        offered = keys.candidates(hop, around.folder, around.keyring, agent, self._asker)
        proving.authenticate(transport, hop, offered)
