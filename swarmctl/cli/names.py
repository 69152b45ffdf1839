"""Names for services whose owner gave none: an adjective and a harbour word. Takes chance as an
argument.
"""

from collections.abc import Callable, Sequence

_ADJECTIVES = (
    "brave calm clever eager gentle happy keen kind lively lucky mellow merry nimble proud quick "
    "quiet ready steady sunny swift tidy warm wise witty"
)
_NOUNS = (
    "anchor barge beacon bollard buoy capstan cargo clipper crane dock ferry galley harbour hull "
    "jetty keel lantern mast pier quay rudder sail skiff tide"
)


def generate(choose: Callable[[Sequence[str]], str]) -> str:
    """A name such as merry_lantern; `choose` picks one of several, as random.choice does."""
    return f"{choose(_ADJECTIVES.split())}_{choose(_NOUNS.split())}"
