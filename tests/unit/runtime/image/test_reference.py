"""Names of images, by the cases of the distribution project."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from api.errors import Code, SwarmError
from runtime.image.reference import Reference, parse

D = "sha256:" + "a1" * 32

NORMALISED = [
    ("nginx", "docker.io/library/nginx:latest", "nginx:latest"),
    ("nginx:1.25", "docker.io/library/nginx:1.25", "nginx:1.25"),
    ("library/nginx", "docker.io/library/nginx:latest", "nginx:latest"),
    ("docker.io/nginx", "docker.io/library/nginx:latest", "nginx:latest"),
    ("docker.io/library/nginx", "docker.io/library/nginx:latest", "nginx:latest"),
    ("index.docker.io/nginx", "docker.io/library/nginx:latest", "nginx:latest"),
    ("index.docker.io/library/nginx:a", "docker.io/library/nginx:a", "nginx:a"),
    ("team/app", "docker.io/team/app:latest", "team/app:latest"),
    ("docker.io/team/app:1", "docker.io/team/app:1", "team/app:1"),
    ("localhost/app", "localhost/app:latest", "localhost/app:latest"),
    ("localhost:5000/app:1", "localhost:5000/app:1", "localhost:5000/app:1"),
    ("localhost:5000", "docker.io/library/localhost:5000", "localhost:5000"),
    ("127.0.0.1:5000/a/b", "127.0.0.1:5000/a/b:latest", "127.0.0.1:5000/a/b:latest"),
    ("[::1]:5000/a", "[::1]:5000/a:latest", "[::1]:5000/a:latest"),
    ("quay.io/a/b/c-d__e.f", "quay.io/a/b/c-d__e.f:latest", "quay.io/a/b/c-d__e.f:latest"),
    ("Uppercase/app", "Uppercase/app:latest", "Uppercase/app:latest"),
    (f"nginx@{D}", f"docker.io/library/nginx@{D}", f"nginx@{D}"),
    (f"nginx:1@{D}", f"docker.io/library/nginx:1@{D}", f"nginx:1@{D}"),
    ("docker.io/localhost/a", "docker.io/localhost/a:latest", "docker.io/localhost/a:latest"),
    ("docker.io/foo.bar/a", "docker.io/foo.bar/a:latest", "docker.io/foo.bar/a:latest"),
    ("library/a/b", "docker.io/library/a/b:latest", "library/a/b:latest"),
    ("a--b", "docker.io/library/a--b:latest", "a--b:latest"),
    ("a" * 128, f"docker.io/library/{'a' * 128}:latest", f"{'a' * 128}:latest"),
]

REFUSED = [
    "", " ", "Nginx", "team/App", "a/", "/a", "a//b", "a:", "a:-x", "a:" + "t" * 129, "a..b",
    "a._b", "-a", "a-", "a___b", "https://a.b/c", "a b", "a@", "a@sha256:12", f"a@sha1:{'0' * 40}",
    f"a@{D.upper()}", f"a@{D}@{D}", "f" * 64, "-x.io/a", "x.io:port/a", "a:b:c", "[::1/a", "é",
    "a:é", "a" * 256, "x" * 5000, "a\n", "a:1\n", "docker.io/", "docker.io",
]  # fmt: skip


@pytest.mark.parametrize(("text", "full", "familiar"), NORMALISED)
def test_a_name_is_normalised_as_docker_does(text: str, full: str, familiar: str) -> None:
    reference = parse(text)
    assert (str(reference), reference.familiar()) == (full, familiar)


@pytest.mark.parametrize("text", [t for t in REFUSED if t != "docker.io"])
def test_what_is_no_name_is_refused(text: str) -> None:
    with pytest.raises(SwarmError) as refusal:
        parse(text)
    assert refusal.value.code is Code.INVALID
    assert refusal.value.field == "image"


def test_a_lone_domain_is_the_name_of_an_official_image() -> None:
    assert str(parse("docker.io")) == "docker.io/library/docker.io:latest"


def test_parts_are_told_apart() -> None:
    assert parse(f"r.io:1/a/b:t@{D}") == Reference("r.io:1", "a/b", "t", D)
    assert parse(f"nginx@{D}").tag == ""


@given(
    st.from_regex(
        r"(?:[a-z0-9.]{1,9}(?::[0-9]{1,4})?/)?[a-z0-9._/-]{1,20}(?::\w{1,5})?", fullmatch=True
    )
)
def test_both_forms_parse_back_to_the_same(text: str) -> None:
    try:
        reference = parse(text)
    except SwarmError:
        return
    assert parse(str(reference)) == reference
    assert parse(reference.familiar()) == reference
