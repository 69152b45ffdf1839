"""How often the rules of a network namespace were changed, by whomever. Changes nothing.

nftables counts transactions; so whether anybody touched the rules is one question, where to read
them would be a dump. See <linux/netfilter/nf_tables.h>, NFT_MSG_GETGEN.
"""

import os
import socket
import struct

from api.errors import Code, SwarmError
from hostkit.netlink_message import NLMSG_ERROR, REQUEST, Message, answers, attributes

_NETFILTER = 12  # NETLINK_NETFILTER
_SUBSYSTEM = 10 << 8  # NFNL_SUBSYS_NFTABLES
_NEW, _ASK = _SUBSYSTEM | 15, _SUBSYSTEM | 16
_BODY = b"\0" * 4  # struct nfgenmsg: any family, version 0
_ID = 1  # NFTA_GEN_ID
_TIMEOUT = 5.0
_LONGEST = 4096


class Generations:
    """Of the namespace in which it is made; it keeps that alive until it is closed."""

    def __init__(self) -> None:
        kind = socket.SOCK_RAW | socket.SOCK_CLOEXEC
        self._socket = socket.socket(socket.AF_NETLINK, kind, _NETFILTER)
        self._socket.settimeout(_TIMEOUT)
        self._socket.bind((0, 0))
        self._sequence = 0

    def now(self) -> int:
        """The present number; SwarmError if the kernel does not say."""
        self._sequence += 1
        self._socket.send(Message(_ASK, 0, _BODY).pack(self._sequence, REQUEST))
        while True:
            for answer in answers(self._socket.recv(_LONGEST)):
                if answer.sequence != self._sequence:
                    continue
                if answer.type == NLMSG_ERROR:
                    number, words = answer.failure()
                    why = words or os.strerror(number)
                    raise SwarmError(Code.INTERNAL, "nftables does not count changes", why=why)
                if answer.type == _NEW:
                    packed = attributes(answer.body, len(_BODY)).get(_ID, b"\0" * 4)
                    return int(struct.unpack(">I", packed)[0])

    def close(self) -> None:
        """Lets go of the namespace."""
        self._socket.close()
