"""Placeholders: what Go's templates make of them, and what is wrong with the others."""

import contextlib
import string
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from api.errors import Code, SwarmError
from api.templates import FUNCTIONS, MAX_TEXT, Value, Values, expand

VALUES: Values = {
    "Service": {"Name": "web", "Labels": {"tier": "front", "com.example/x": "dotted", "big": "b"}},
    "Node": {"Platform": {"OS": "linux"}},
    "Task": {"Slot": "2"},
}

FILLED = [
    ("", ""),
    ("no placeholder }} at all {", "no placeholder }} at all {"),
    ("{{.Service.Name}}", "web"),
    ("a-{{ .Service.Name }}-{{.Task.Slot}}z", "a-web-2z"),
    ("{{.Node.Platform.OS}}", "linux"),
    ("{{.Service.Labels.tier}}", "front"),
    ('{{index .Service.Labels "com.example/x"}}', "dotted"),
    ('{{index .Service "Labels" "tier"}}', "front"),
    ('{{join "." .Service.Name .Task.Slot "x"}}', "web.2.x"),
    ('{{join ", "}}', ""),
    ('{{.Service.Name | join "-" "a"}}', "a-web"),
    ('{{join "." (index .Service.Labels "tier") ((.Task.Slot))}}', "front.2"),
    ('{{"{{"}} and {{`}}`}}', "{{ and }}"),
    ('{{"a\\"b\\n\\u00e9"}}', 'a"b\né'),
    ("{{7}} {{-7}}", "7 -7"),
    ("a \n {{- .Task.Slot -}} \t b", "a2b"),
    ("a {{- 1 }} b", "a1 b"),
    ("{{\n.Task.Slot\n}}", "2"),
]

WRONG = [
    ("{{", "}} is missing"),
    ("{{ }}", "it is empty"),
    ("{{.Service.Name", "}} is missing"),
    ("{{.Service.Name }", "cannot be read at '}'"),
    ("{{.}}", "cannot be read at '.}}'"),
    ("{{.Service.Nam}}", ".Service.Nam: there is no Nam; known are: Labels, Name"),
    ("{{.Service.Name.First}}", "a text has no field First"),
    ("{{.Service.Labels.none}}", "there is no none"),
    ('{{index .Service.Labels "none"}}', "index: its map: there is no none"),
    ("{{index .Service.Labels}}", "it needs a map and a key"),
    ("{{.Service.Labels}}", "several values"),
    ("{{.Service.Name .Task.Slot}}", "'.Task.Slot' is not expected"),
    ("{{.Task.Slot | .Service.Name}}", "must be a function"),
    ("{{if .Task.Slot}}x{{end}}", "there is no function if; known are: index, join"),
    ("{{join}}", "it needs a separator"),
    ('{{join "," .Service.Labels}}', "several values"),
    ('{{join "," join}}', "'join' is not expected"),
    ("{{(.Task.Slot}}", "a parenthesis is not closed"),
    ("{{.Task.Slot)}}", "')' is not expected"),
    ("{{" + "(" * 100 + ".Task.Slot" + ")" * 100 + "}}", "nested too deeply"),
    ('{{"a\\q"}}', "not well formed"),
    ('{{"open}}', "cannot be read"),
]


@pytest.mark.parametrize(("text", "filled"), FILLED)
def test_it_is_filled_in(text: str, filled: str) -> None:
    assert expand(text, VALUES, field="env[0]") == filled


@pytest.mark.parametrize(("text", "why"), WRONG)
def test_what_is_wrong_is_said(text: str, why: str) -> None:
    with pytest.raises(SwarmError) as refused:
        expand(text, VALUES, field="env[0]")
    assert (refused.value.code, refused.value.field) == (Code.INVALID, "env[0]")
    assert why in refused.value.why


def test_functions_of_the_callers_own() -> None:
    def secret(arguments: Sequence[Value]) -> Value:
        if arguments != ["key"]:
            raise ValueError("no such secret")
        return "s3cret"

    functions = {**FUNCTIONS, "secret": secret}
    text = 'p={{secret "key" | join "" "<" }}'
    assert expand(text, VALUES, field="data", functions=functions) == "p=<s3cret"
    with pytest.raises(SwarmError, match="secret: no such secret"):
        expand('{{secret "x"}}', VALUES, field="data", functions=functions)


@pytest.mark.parametrize(
    "text",
    [
        "{{.A}}" * 3,
        '{{join .A "" "" "" ""}}',
        "{{" + " | ".join(['join "" .A'] + ['join ""'] * 40) + "}}",
    ],
)
def test_a_text_does_not_grow_without_end(text: str) -> None:
    with pytest.raises(SwarmError, match=r"more than|too much"):
        expand(text, {"A": "a" * (MAX_TEXT // 2)}, field="x")


def test_a_reader_of_its_own_sets_its_own_limit() -> None:
    assert expand("{{.A}}", {"A": "abc"}, field="x", limit=3) == "abc"
    with pytest.raises(SwarmError, match="more than 2 characters"):
        expand("{{.A}}", {"A": "abc"}, field="x", limit=2)


@given(st.text(alphabet=string.printable + "{}.|()é", max_size=80))
def test_any_text_is_filled_in_or_refused(text: str) -> None:
    with contextlib.suppress(SwarmError):
        assert isinstance(expand("{{" + text, VALUES, field="x"), str)


@given(st.text().filter(lambda text: "{{" not in text))
def test_what_holds_no_placeholder_stays_as_it_is(text: str) -> None:
    assert expand(text, VALUES, field="x") == text
