"""Events as people and programs read them: Docker's line, its JSON, or a template. Pure."""

import json
from datetime import UTC, datetime
from typing import Any

from api.times import NANOS
from api.v1 import events_pb2
from swarmctl.cli import templates
from swarmctl.cli.render import printable


class _Attributes(dict[str, str]):
    """Those that an event has; a template may ask for any, since each kind has its own."""

    def __missing__(self, key: str) -> str:
        return ""


class _Document(dict[str, Any]):
    """An event with the keys of Docker's JSON, and with those by which Go's templates call them."""

    _CALLED = {"Scope": "scope", "Time": "time", "TimeNano": "timeNano", "Index": "index"}  # noqa: RUF012

    def __missing__(self, key: str) -> Any:  # noqa: ANN401 - any field
        return self[self._CALLED[key]]


def check(form: str) -> None:
    """Refuses a template that no event could fill, before anything is asked."""
    if form not in ("", "json"):
        templates.check(form, _document(events_pb2.Event()))


def line(event: events_pb2.Event, form: str) -> str:
    """One event in the form that --format names: nothing, json, or a template."""
    if not form:
        return _plain(event)
    document = _document(event)
    return json.dumps(document) if form == "json" else templates.render(form, document)


def _plain(event: events_pb2.Event) -> str:
    told = ", ".join(f"{key}={text}" for key, text in sorted(event.attributes.items()))
    begin = f"{_moment(event)} {event.type} {event.action} {event.id}"
    return printable(f"{begin} ({told})" if told else begin)


def _document(event: events_pb2.Event) -> _Document:
    return _Document(
        Type=event.type,
        Action=event.action,
        Actor={"ID": event.id, "Attributes": _Attributes(sorted(event.attributes.items()))},
        scope="swarm",
        time=event.at.seconds,
        timeNano=event.at.seconds * NANOS + event.at.nanos,
        index=event.position.index,
    )


def _moment(event: events_pb2.Event) -> str:
    whole = datetime.fromtimestamp(event.at.seconds, UTC).replace(tzinfo=None)
    return f"{whole.isoformat()}.{event.at.nanos:09}Z"
