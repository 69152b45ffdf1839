"""One encrypted connection to an SSH server: paramiko's, with its old algorithms off, and told
apart where it tells nothing. Whom it speaks to is not known yet, nor who speaks.
"""

import logging
import signal
import socket
import threading
from collections.abc import Sequence
from dataclasses import dataclass

import paramiko
from paramiko.ssh_exception import IncompatiblePeer

from api.errors import Code, SwarmError
from machine.bounded import BACKSTOP

# What paramiko logs, the errors that it raises say as well.
logging.getLogger("paramiko").addHandler(logging.NullHandler())

_OLD = {
    "ciphers": ["aes128-cbc", "aes192-cbc", "aes256-cbc", "3des-cbc"],
    "macs": ["hmac-sha1", "hmac-md5", "hmac-sha1-96", "hmac-md5-96"],
}
_CHANNEL_CLOSE, _CHANNEL_REQUEST = 97, 98  # RFC 4254, 9
_SHUT_OUT = "Not allowed at this time"
"""What OpenSSH since 9.8 says to an address whose logins failed (PerSourcePenalties), or when too
many are about to log in (MaxStartups).
"""
_BEFORE = "Banner: "
_ENDING = 5.0
"""Seconds that a connection's thread has to end; it looks ten times a second."""


@dataclass(frozen=True)
class Patience:
    """Seconds. Generous once somebody answers, for hosts can be busy."""

    dial: float = 10.0
    banner: float = 30.0
    handshake: float = 30.0
    auth: float = 30.0
    channel: float = 30.0
    alive: float = 15.0  # between two questions whether it still answers
    silence: float = 120.0  # without an answer, after which it is lost: a busy host is slow
    late: float = BACKSTOP  # that a command may take beyond its time, until its host has ended it
    stuck: float = 10.0  # that a thread may take to stop, until the connection is cut under it


class Transport(paramiko.Transport):
    """Tells also which signal ended a command, and what a server says when it refuses."""

    def __init__(self, way: socket.socket | paramiko.Channel) -> None:
        super().__init__(way, disabled_algorithms=_OLD)
        self.first_words = ""  # what it said in place of its version
        self.last_words = ""
        self.last_refusal = ""  # why a channel was not opened
        self.signals: dict[int, int] = {}  # by channel: what ended its command
        self.sending = threading.Lock()
        """Held by who sends into a channel: that a close is answered meanwhile is made to wait.
        paramiko lets go of its own lock before, and OpenSSH ends the whole connection at data, or
        an end of data, for a channel that is closed.
        """

    def _log(self, level: int, msg: str | list[str], *args: object) -> None:
        # paramiko tells nowhere else of lines before the version (RFC 4253, 4.2).
        if isinstance(msg, str) and msg.startswith(_BEFORE) and not self.first_words:
            self.first_words = msg.removeprefix(_BEFORE).strip()
        super()._log(level, msg, *args)  # type: ignore[misc]

    def _parse_disconnect(self, message: paramiko.Message) -> None:
        message.get_int()
        self.last_words = message.get_text().strip()

    def _parse_channel_open_failure(self, message: paramiko.Message) -> None:
        start = message.packet.tell()
        message.get_int()
        message.get_int()
        self.last_refusal = message.get_text().strip()
        message.packet.seek(start)
        super()._parse_channel_open_failure(message)  # type: ignore[misc]

    def _channel_request(self, channel: paramiko.Channel, message: paramiko.Message) -> None:
        start = message.packet.tell()
        kind, _ = message.get_text(), message.get_boolean()
        if kind == "exit-signal":
            self.signals[channel.chanid] = _number(message.get_text())
            channel.status_event.set()
            return
        message.packet.seek(start)
        channel._handle_request(message)  # type: ignore[attr-defined]

    def _channel_close(self, channel: paramiko.Channel, message: paramiko.Message) -> None:
        with self.sending:
            channel._handle_close(message)  # type: ignore[attr-defined]

    # paramiko has no public way to hear of these (RFC 4253, 11.1; RFC 4254, 5.1, 5.3 and 6.10).
    _channel_handler_table = {  # noqa: RUF012 - never changed
        **paramiko.Transport._channel_handler_table,  # type: ignore[attr-defined]
        _CHANNEL_CLOSE: lambda channel, message: channel.transport._channel_close(channel, message),
        _CHANNEL_REQUEST: lambda channel, message: channel.transport._channel_request(
            channel, message
        ),
    }


def _number(name: str) -> int:
    try:
        return int(signal.Signals[f"SIG{name}"])
    except KeyError:
        return int(signal.SIGKILL)  # some signal that this machine has no name for


def negotiate(
    way: socket.socket | paramiko.Channel, where: str, patience: Patience, kinds: Sequence[str]
) -> Transport:
    """Keys are agreed on; the server's host key is there to be judged. `kinds`: liked best.

    UNAVAILABLE if nobody answers in the protocol; the way is closed then.
    """
    transport = Transport(way)
    try:
        transport.banner_timeout = patience.banner
        transport.handshake_timeout = patience.handshake
        transport.auth_timeout = patience.auth
        transport.channel_timeout = patience.channel
        options = transport.get_security_options()
        liked = [kind for kind in options.key_types if _family(kind) in map(_family, kinds)]
        options.key_types = [*liked, *(kind for kind in options.key_types if kind not in liked)]
        transport.start_client(timeout=patience.banner + patience.handshake)
        transport.get_remote_server_key()  # raises if all this took too long
    except (paramiko.SSHException, EOFError, OSError) as error:
        end(transport)
        raise _no_server(transport, where, patience, error) from None
    except BaseException:
        end(transport)
        raise
    return transport


def end(transport: paramiko.Transport) -> None:
    """Closes it; its thread and its socket are gone afterwards. Twice does no harm."""
    transport.close()
    transport.packetizer.complete_handshake()  # else its timer would wait on in a thread
    transport.sock.close()
    if transport.ident is not None:
        transport.join(_ENDING)


def _family(kind: str) -> str:
    return kind.replace("rsa-sha2-256", "ssh-rsa").replace("rsa-sha2-512", "ssh-rsa")


def _no_server(
    transport: Transport, where: str, patience: Patience, error: Exception
) -> SwarmError:
    if isinstance(error, IncompatiblePeer):
        return SwarmError(
            Code.UNSUPPORTED,
            f"cannot agree with the SSH server at {where}",
            why=f"{error}; old algorithms are switched off here",
            remedy="bring its OpenSSH up to date",
        )
    if transport.remote_version:
        why, remedy = _broken_off(transport, error), "look at its log: journalctl -u ssh"
    elif transport.first_words == _SHUT_OUT:
        why = f"it says {_SHUT_OUT!r}, as after logins from here that failed"
        remedy = "wait half a minute; if that is not enough, name this machine's address in "
        remedy += "PerSourcePenaltyExemptList of its sshd_config, and look at MaxStartups there"
    elif "timed out" in str(error) or isinstance(error.__context__, TimeoutError):
        why = f"it said nothing within {patience.banner:g} s"
        remedy = "look whether the port is sshd's, and whether that host is overloaded"
    else:
        why = "it closed the connection, or speaks another protocol"
        remedy = "look whether the port is sshd's, and at MaxStartups and fail2ban on that host"
    return SwarmError(Code.UNAVAILABLE, f"no SSH server answers at {where}", why=why, remedy=remedy)


def _broken_off(transport: Transport, error: Exception) -> str:
    said = transport.last_words or str(error) or type(error).__name__
    return f"it broke off while keys were agreed on: {said}"
