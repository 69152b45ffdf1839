"""What a run ends with when something that must hold does not."""


class Violation(AssertionError):
    """`invariant` is its short name; `what` says who broke it, and how. May be pickled."""

    def __init__(self, invariant: str, what: str) -> None:
        super().__init__(invariant, what)
        self.invariant = invariant
        self.what = what

    def __str__(self) -> str:
        return f"{self.invariant}: {self.what}"


def must(condition: object, invariant: str, what: str, *args: object) -> None:
    """Raises unless `condition`; `what` is formatted with % only then."""
    if not condition:
        raise Violation(invariant, what % args)
