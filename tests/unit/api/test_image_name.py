"""Which registry the name of an image means."""

import pytest

from api.image_name import domain_of


@pytest.mark.parametrize(
    ("image", "registry"),
    [
        ("nginx", "docker.io"),
        ("nginx:1.27", "docker.io"),
        ("team/app:1", "docker.io"),
        ("index.docker.io/team/app", "docker.io"),
        ("localhost/app", "localhost"),
        ("registry:5000/team/app:1", "registry:5000"),
        ("registry.example.com/app@sha256:" + "a" * 64, "registry.example.com"),
        ("app@sha256:" + "a" * 64, "docker.io"),
        ("[::1]:5000/app", "[::1]:5000"),
    ],
)
def test_the_registry_of_an_image(image: str, registry: str) -> None:
    assert domain_of(image) == registry
