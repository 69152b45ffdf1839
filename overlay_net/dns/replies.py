"""Answers of other name servers: is it one to our question, and how long does it hold? Pure."""

import struct
from dataclasses import dataclass

from overlay_net.dns.message import (
    FORMERR,
    HEADER,
    NOERROR,
    NXDOMAIN,
    OPCODE,
    OPT,
    QR,
    SOA,
    TC,
    MessageError,
    Query,
    Record,
    name_end,
    records,
    reply,
)

MAX_TTL = 3600
"""Seconds that an answer is kept at most, whatever it says: a wrong one is gone within the hour."""

_header = struct.Struct("!HHHHHH")
_word = struct.Struct("!I")


@dataclass(frozen=True, slots=True)
class Reply:
    """`ttl`: seconds it may be kept, 0 for not at all; `ttls`: where its records' own are."""

    data: bytes
    rcode: int
    ttl: int
    ttls: tuple[int, ...]


def question_to(query: Query, ident: int) -> bytes:
    """The query as it is passed on: another id, else byte for byte."""
    return ident.to_bytes(2, "big") + query.raw[2:]


def read(data: bytes, query: Query, ident: int) -> Reply:
    """An answer to what was passed on under `ident`. MessageError for all that is none.

    The question must be ours in full: an id alone is guessed in 65,536 tries (RFC 5452, 9.1).
    """
    if len(data) < HEADER:
        raise MessageError(None, "shorter than a header")
    found, flags, questions, answers, authorities, others = _header.unpack_from(data)
    if found != ident or not flags & QR or flags & OPCODE or questions != 1:
        raise MessageError(None, "not the answer")
    end = name_end(data, HEADER)
    if data[HEADER:end].lower() != query.name or data[end : end + 5] != query.question[-5:]:
        raise MessageError(None, "the answer to another question")
    every = list(records(data, end + 5, answers + authorities + others))
    rcode = flags & 0xF
    kept = [each for each in every if each.type != OPT]
    extended = any(each.type == OPT and each.ttl >> 24 for each in every)
    if flags & TC or extended:
        ttl = 0
    elif rcode == NOERROR and answers:
        ttl = min((each.ttl for each in kept), default=0)
    elif rcode in {NOERROR, NXDOMAIN}:
        ttl = _negative_ttl(data, every[answers : answers + authorities])
    else:
        ttl = 0
    if ttl >= 1 << 31:  # RFC 2181, 8
        ttl = 0
    return Reply(data, rcode, min(ttl, MAX_TTL), tuple(each.ttl_at for each in kept))


def answer_from(data: bytes, query: Query, limit: int) -> bytes:
    """`data` as the answer to `query`, in its id and spelling; cut to nothing if it is too long."""
    if len(data) > limit:
        return reply(query, data[3] & 0xF, flags=TC)
    behind = HEADER + len(query.question)
    return b"".join((query.raw[:2], data[2:HEADER], query.question, data[behind:]))


def aged(reply_: Reply, seconds: int) -> bytes:
    """The data, with every time to live less by so many seconds."""
    data = bytearray(reply_.data)
    for at in reply_.ttls:
        _word.pack_into(data, at, max(0, _word.unpack_from(data, at)[0] - seconds))
    return bytes(data)


def _negative_ttl(data: bytes, authority: list[Record]) -> int:
    """Of an answer that says there is nothing: RFC 2308, 5. Without an SOA it is not kept."""
    for each in authority:
        if each.type == SOA:
            if each.end - each.data < _word.size:
                raise MessageError(FORMERR, "an SOA without a minimum")
            return min(each.ttl, int(_word.unpack_from(data, each.end - _word.size)[0]))
    return 0
