"""What a driver cannot do, in words for people. Pure."""

from api.errors import Code, SwarmError


def no_fence(driver: str, why: str) -> SwarmError:
    """It cannot shut a host out."""
    return SwarmError(Code.UNSUPPORTED, f"driver {driver} cannot shut a host out", why=why)


def no_program(driver: str, program: str, package: str) -> SwarmError:
    """It needs a program that is not there."""
    return SwarmError(
        Code.UNAVAILABLE,
        f"driver {driver} does not work on this host",
        why=f"{program} is not installed",
        remedy=f"install the package {package} there",
    )
