"""Templates in secrets and configs: what they may say, and what is refused before it is kept."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from api.errors import Code, SwarmError
from api.payloads import LIMIT, Content, check, filled, functions_of
from api.status import to_grpc
from api.templates import Values
from api.v1 import objects_pb2

VALUES: Values = {"Task": {"Slot": "2"}}
FUNCTIONS = functions_of(
    {"db": b"\xff\x00raw"}, {"/etc/app": b"{{.Task.Slot}}"}, ["A=1=2", "EMPTY=", "NONE"]
)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (b"", b""),
        (b"\xfe{{.Task.Slot}}\x00", b"\xfe2\x00"),
        (b'{{secret "db"}}', b"\xff\x00raw"),
        (b'{{ "db" | secret }}', b"\xff\x00raw"),
        (b'{{config "/etc/app"}}', b"{{.Task.Slot}}"),
        (b'{{env "A"}}{{env "EMPTY"}}{{env "NONE"}}{{env "other"}}', b"1=2"),
        (b'{{join "-" (env "A") .Task.Slot}}', b"1=2-2"),
    ],
)
def test_filled_in(text: bytes, expected: bytes) -> None:
    assert filled(Content(text, "golang"), VALUES, FUNCTIONS) == expected


@pytest.mark.parametrize(
    ("text", "why"),
    [
        (b'{{secret "x"}}', "secret: the task has no secret with that target; known are: db"),
        (b'{{config "db"}}', "config: the task has no config with that target"),
        (b"{{secret}}", "secret: it needs one text, the name"),
        (b'{{env "A" "B"}}', "env: it needs one text, the name"),
        (b"{{config 7}}", "config: it needs one text, the name"),
        (b"{{.Task.Name}}", "there is no Name"),
    ],
)
def test_what_there_is_not_is_an_error(text: bytes, why: str) -> None:
    with pytest.raises(SwarmError) as wrong:
        filled(Content(text, "golang"), VALUES, FUNCTIONS)
    assert (wrong.value.code, wrong.value.field) == (Code.INVALID, "data")
    assert why in wrong.value.why


@pytest.mark.parametrize("text", [b'{{ "caf\xe9\\q" }}', b'{{ index .Service.Labels "caf\xe9" }}'])
def test_an_error_that_quotes_what_is_no_text_can_be_sent_and_stored(text: bytes) -> None:
    with pytest.raises(SwarmError) as refused:
        filled(Content(text, "golang"), {"Service": {"Labels": {"a": "b"}}}, FUNCTIONS)
    assert "caf\\udce9" in refused.value.why
    to_grpc(refused.value)
    assert objects_pb2.TaskStatus(error=str(refused.value)).error == str(refused.value)


def test_many_secrets_in_one_are_too_much() -> None:
    functions = functions_of({"s": b"x" * 500_000}, {}, [])
    with pytest.raises(SwarmError, match=f"more than {LIMIT} characters"):
        filled(Content(b'{{secret "s"}}' * 3, "golang"), {}, functions)


@given(st.binary(max_size=200))
def test_without_a_driver_nothing_is_a_placeholder(data: bytes) -> None:
    check(data, "")
    assert filled(Content(data), {}, {}) == data


@given(st.binary(max_size=200).filter(lambda data: b"{{" not in data))
def test_what_is_no_placeholder_stays_byte_by_byte(data: bytes) -> None:
    check(data, "golang")
    assert filled(Content(data, "golang"), {}, {}) == data


@pytest.mark.parametrize(
    "text",
    [
        b"{{.Service.Labels.tier}} {{.Service.Name}} {{.Node.Platform.OS}}",
        b'{{index .Service.Labels "com.example/tier"}}',
        b'{{secret "any"}} {{config "any"}} {{env "ANY"}} {{secret (env "WHICH")}}',
    ],
)
def test_what_only_a_task_can_tell_passes_the_trial(text: bytes) -> None:
    check(text, "golang")


@pytest.mark.parametrize(
    ("text", "driver", "field"),
    [
        (b"{{", "golang", "data"),
        (b"{{.Service.Labels}}", "golang", "data"),
        (b"{{.Service.Nam}}", "golang", "data"),
        (b"{{secrets}}", "golang", "data"),
        (b"{{secret}}", "golang", "data"),
        (b"x", "jinja", "template_driver"),
    ],
)
def test_what_is_wrong_for_every_task_is_refused(text: bytes, driver: str, field: str) -> None:
    with pytest.raises(SwarmError) as wrong:
        check(text, driver)
    assert (wrong.value.code, wrong.value.field) == (Code.INVALID, field)
