"""How Docker reads the name of an image: which registry it names, and what is left. Pure.

Follows the normalisation of the distribution project (package `reference`). Whether a name is well
formed is not told here: runtime/image/reference.py reads it strictly.
"""

DEFAULT_DOMAIN = "docker.io"
_LEGACY_DOMAIN = "index.docker.io"
_OFFICIAL = "library/"


def domain_and_path(name: str) -> tuple[str, str]:
    """Registry and repository of a name without tag and digest: `nginx` is at docker.io.

    A first part is a registry if it looks like one: with a dot, a port or a capital, or localhost.
    """
    first, slash, rest = name.partition("/")
    is_domain = "." in first or ":" in first or first == "localhost" or first != first.lower()
    domain, path = (first, rest) if slash and is_domain else (DEFAULT_DOMAIN, name)
    if domain == _LEGACY_DOMAIN:
        domain = DEFAULT_DOMAIN
    if domain == DEFAULT_DOMAIN and "/" not in path:
        path = _OFFICIAL + path
    return domain, path


def domain_of(image: str) -> str:
    """The registry that an image comes from, as host or host:port."""
    return domain_and_path(image.partition("@")[0])[0]
