"""Signal names as Docker takes them: TERM, SIGTERM, 15, SIGRTMIN+3. Pure."""

import re
import signal

from api.errors import invalid

DEFAULT_STOP = int(signal.SIGTERM)
_REAL_TIME = re.compile(r"SIG(RTMIN\+|RTMAX-)(\d{1,2})")


def number(text: str, field: str) -> int:
    """The number of a signal; refuses what does not exist, with `field` as the culprit."""
    found = _parse(text.strip().upper())
    if not 1 <= found <= int(signal.SIGRTMAX):
        raise invalid(field, f"unknown signal {text!r}", remedy="see signal(7)")
    return found


def _parse(text: str) -> int:
    if text.isdecimal():
        return int(text)
    name = text if text.startswith("SIG") else "SIG" + text
    match = _REAL_TIME.fullmatch(name)
    if match is not None:
        offset = int(match[2])
        if match[1] == "RTMIN+":
            return int(signal.SIGRTMIN) + offset
        return int(signal.SIGRTMAX) - offset
    member = signal.Signals.__members__.get(name)
    return 0 if member is None else int(member)
