"""What to do with a message that a container sent: answer it, pass it on, or keep silent. Pure."""

from overlay_net.dns.answer import absent
from overlay_net.dns.message import (
    ANY,
    AXFR,
    BADVERS,
    FORMERR,
    HEADER,
    IN,
    IXFR,
    MAILA,
    MAILB,
    OPT,
    REFUSED,
    MessageError,
    Query,
    failure,
    parse,
    reply,
)
from overlay_net.dns.zone import Ready, Zone

_REFUSED_TYPES = frozenset({AXFR, IXFR, MAILA, MAILB})
_CLASSES = frozenset({IN, ANY})


def quick(data: bytes, ready: Ready) -> bytes | None:
    """The answer to a plain question by UDP that was answered before; else None: see `respond`.

    This is the path of nearly all questions and takes about 2 us. It walks no labels: bytes that
    are in the table are a name.
    """
    end = data.find(0, HEADER)
    known = ready.get(data[HEADER:end].lower())
    if known is None:
        return None
    answer = known.get(data[end : end + 5])
    return None if answer is None else answer.quick(data, end)


def respond(data: bytes, zone: Zone, limit: int | None = None) -> bytes | Query | None:
    """The answer; or the question, if it is for another name server; or None: say nothing.

    `limit`: the most bytes an answer may have; None: as by UDP, what the sender takes.
    """
    try:
        query = parse(data)
    except MessageError as error:
        return None if error.rcode is None else failure(data, error.rcode)
    if query.edns is not None and query.edns.version:
        return reply(query, BADVERS, flags=0)
    if query.type == OPT:
        return failure(data, FORMERR)
    if query.type in _REFUSED_TYPES or query.klass not in _CLASSES:
        return reply(query, REFUSED, flags=0)
    answer = zone.answer(query)
    if answer is not None:
        return answer.to(query, query.udp_limit() if limit is None else limit)
    return absent(query) if zone.owns(query.name) else query
