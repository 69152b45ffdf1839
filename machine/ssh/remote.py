"""A host over SSH: everything as root, over one connection, and nothing that waits for ever.

paramiko works in threads, a few for each host; the event loop only waits for them. A connection
that broke is not mended here.
"""

import asyncio
import contextlib
import functools
import io
from collections.abc import Callable, Sequence
from typing import Self

import paramiko

from api.errors import Code, SwarmError
from hostkit import clock
from hostkit.conversation import Source
from hostkit.process import Completed
from machine.bounded import too_long, was_ended
from machine.commanded import CommandedRemote
from machine.ssh import sudo
from machine.ssh.config import hops_of
from machine.ssh.connection import Circumstances, Connection
from machine.ssh.exchange import CutError, Exchange, LateError, RefusedError, UnopenedError
from machine.ssh.host_keys import HostKey
from machine.ssh.route import Hop, Lookup
from machine.ssh.sessions import Sessions
from machine.ssh.sudo import Rights, Way
from machine.ssh.telling import Teller, TellingError
from machine.ssh.threads import EndedError, Threads
from machine.ssh.words import command_line
from machine.target import Target

_AT_ONCE = 8
"""Commands at a time on one connection; sshd takes ten (MaxSessions)."""
_LEAST = 0.01
"""Seconds that a command gets, however long it had to wait."""
_CHECK = 60.0
"""Seconds for the first commands, which tell what the user may do."""
_ALIVE = "keepalive@openssh.com"


class SshRemote(CommandedRemote):
    """Remote over SSH; made by `connect` alone."""

    def __init__(self, name: str, hops: tuple[Hop, ...], around: Circumstances) -> None:
        super().__init__(name)
        self._user = hops[-1].user
        self._around = around
        self._connection = Connection(name, hops, around, asyncio.get_running_loop())
        self._rights = Rights(Way.ROOT)
        self._threads = Threads(
            _AT_ONCE + 2,
            f"ssh-{name}",
            stuck=around.patience.stuck,
            give_up=self._connection.give_up,
        )
        self._sessions = Sessions(_AT_ONCE)
        self._watch: asyncio.Task[None] | None = None

    @classmethod
    async def connect(
        cls, name: str, target: Target, around: Circumstances, *, lookup: Lookup | None = None
    ) -> Self:
        """Goes there, proves both sides, and finds out how commands become root's.

        Raises within seconds UNAVAILABLE if nobody answers, UNAUTHENTICATED if a key is not the
        right one (theirs or ours; final), DENIED without root's rights, INVALID for a target that
        cannot be meant. `lookup`: what is said instead of ~/.ssh/config.
        """
        remote = cls(name, hops_of(target, lookup), around)
        try:
            await remote._threads.run(remote._connection.open, remote._connection.cut)
            await remote._become_root()
        except BaseException:
            await remote.close()
            raise
        remote._watch = asyncio.create_task(remote._watch_over())
        return remote

    async def close(self) -> None:
        """See Remote."""
        if self._watch is not None:
            self._watch.cancel()
        await asyncio.to_thread(self._end)

    def _end(self) -> None:
        self._connection.cut()
        self._threads.end()

    async def _become_root(self) -> None:
        if sudo.is_root(await self._plain(sudo.WHO), self._user, self._name):
            return
        if not sudo.wants_password(await self._plain(sudo.FREE_CHECK), self._user, self._name):
            self._rights = Rights(Way.FREE)
            return
        keyring = self._around.keyring
        password = await keyring.sudo_password(self._name, self._user)
        if password is None:
            raise sudo.unasked(self._user, self._name)
        argv, line = sudo.password_check(password)
        answer = await self._plain(argv, line)
        if answer.code != 0:
            raise self._denied(answer)
        keyring.keep_password(self._name, self._user, password)
        self._rights = Rights(Way.PASSWORD, password)

    def _denied(self, answer: Completed) -> SwarmError:
        self._around.keyring.drop_password(self._name, self._user)
        return sudo.denied(answer, self._user, self._name)

    async def _run(
        self,
        argv: tuple[str, ...],
        feed: Source,
        *,
        timeout: float,
        limit: int,
        tell: Callable[[str], None] | None = None,
        sent: Callable[[int], None] | None = None,
    ) -> Completed:
        begun = clock.monotonic()
        while True:
            ticket = await self._turn(argv, timeout, begun)
            left = max(timeout - (clock.monotonic() - begun), _LEAST)
            words, first = sudo.wrapped(argv, self._rights, left)
            try:
                joined = _Joined(first, feed)
                done = await self._exchange(words, joined, left, limit, tell, sent)
                break
            except RefusedError as error:  # nothing was fed to it yet
                if not self._sessions.refused(ticket):
                    raise self._no_session(error) from None
            finally:
                self._sessions.leave()
        if was_ended(done.code, clock.monotonic() - begun, timeout):
            raise too_long(argv, self._name, timeout)
        if sudo.refused_later(self._rights, done):
            raise self._denied(done)
        return Completed(argv, done.code, done.out, done.err)

    async def _turn(self, argv: Sequence[str], timeout: float, begun: float) -> int:
        """Waits until one more command may run; its ticket."""
        try:
            async with asyncio.timeout(timeout - (clock.monotonic() - begun)):
                return await self._sessions.enter()
        except TimeoutError:
            raise too_long(argv, self._name, timeout) from None

    async def _plain(self, argv: Sequence[str], stdin: bytes = b"") -> Completed:
        """Runs a command as the user, to learn what he may do. Late means that nobody answers."""
        try:
            return await self._exchange(argv, io.BytesIO(stdin), _CHECK, 1 << 16, None, None)
        except RefusedError as error:
            raise self._no_session(error) from None
        except SwarmError as error:
            if error.code is not Code.DEADLINE:
                raise
            raise self._no_answer(f"{' '.join(argv)} took longer than {_CHECK:g} s") from None

    async def _exchange(
        self,
        argv: Sequence[str],
        feed: Source,
        timeout: float,
        limit: int,
        tell: Callable[[str], None] | None,
        sent: Callable[[int], None] | None,
    ) -> Completed:
        patience = self._around.patience
        teller = Teller(asyncio.get_running_loop())
        exchange = Exchange(
            command_line(argv),
            feed,
            clock.monotonic() + timeout + patience.late,
            limit,
            tell=teller.lines(tell),
            sent=teller.counts(sent),
            stopped=teller.stopped,
        )
        transport = self._connection.transport
        try:
            async with asyncio.timeout(timeout + patience.late + patience.stuck):
                code = await self._threads.run(lambda: exchange.run(transport), exchange.stop)
        except TellingError as error:
            raise error.cause from None
        except (LateError, TimeoutError):
            raise too_long(argv, self._name, timeout) from None
        except UnopenedError:
            raise self._no_answer(f"no session was opened within {patience.channel:g} s") from None
        except (CutError, EndedError, EOFError, OSError, paramiko.SSHException):
            raise self._connection.lost() from None
        return Completed(tuple(argv), code, exchange.out.kept, exchange.err.kept)

    def _no_session(self, error: RefusedError) -> SwarmError:
        return SwarmError(
            Code.UNAVAILABLE,
            f"{self._name} takes no commands over this connection",
            why=str(error).lower(),
            remedy="look at MaxSessions of its sshd: it takes one at least",
        )

    def _no_answer(self, why: str) -> SwarmError:
        return SwarmError(
            Code.UNAVAILABLE,
            f"{self._name} does not answer any more",
            why=why,
            remedy="look whether the host is up, and what it is busy with, then do the same again",
        )

    async def _watch_over(self) -> None:
        """Cuts the connection when the host answers no more; TCP itself would wait for long."""
        patience = self._around.patience
        with contextlib.suppress(SwarmError, EndedError, paramiko.SSHException, EOFError, OSError):
            while True:
                await asyncio.sleep(patience.alive)
                ask = functools.partial(self._connection.transport.global_request, _ALIVE)
                try:
                    async with asyncio.timeout(patience.silence):
                        await self._threads.run(ask, self._connection.give_up)
                except TimeoutError:
                    if self._connection.is_cut:
                        return


class _Joined:
    """One input after another, read as one."""

    def __init__(self, first: bytes, rest: Source) -> None:
        self._first = first
        self._rest = rest

    def read(self, size: int, /) -> bytes:
        first, self._first = self._first, b""
        return first or self._rest.read(size)


async def shown_key(
    name: str, target: Target, around: Circumstances, *, lookup: Lookup | None = None
) -> HostKey:
    """The key that the host shows now, for `machine trust`; nothing is trusted by this."""
    loop = asyncio.get_running_loop()
    connection = Connection(name, hops_of(target, lookup), around, loop)
    looking = loop.run_in_executor(None, connection.look)
    try:
        return await asyncio.shield(looking)
    except asyncio.CancelledError:
        await asyncio.to_thread(connection.cut)
        await asyncio.wait([looking])
        raise
