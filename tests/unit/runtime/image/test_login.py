"""Trying a login, at registries of both schemes."""

import asyncio

import pytest

from api.errors import Code, SwarmError
from hostkit import clock
from runtime.image.auth import Credentials
from runtime.image.endpoint import RegistryOptions
from runtime.image.login import check_login
from tests.support.scripted_registry import Reply, Request, ScriptedRegistry, bearer

ANN = Credentials("ann", "s3cret")
EVE = Credentials("eve", "s3cret")


def check(domain: str, user: Credentials) -> None:
    asyncio.run(check_login(domain, user, RegistryOptions(retry_delay=0.01), clock.wall))


def basic(request: Request) -> Reply | None:
    if request.headers.get("authorization") == ANN.basic():
        return Reply(200, b"{}") if request.path == "/v2/" else None
    return Reply(401, b"", {"WWW-Authenticate": 'Basic realm="small"'})


def answers_everybody(request: Request) -> Reply | None:
    return Reply(200, b"{}") if request.path == "/v2/" else None


@pytest.mark.parametrize("scheme", ["basic", "bearer"])
def test_a_user_is_known_or_refused(scripted: ScriptedRegistry, scheme: str) -> None:
    token = bearer(scripted.address, value="t", user=ANN.basic())
    scripted.rules += [basic] if scheme == "basic" else [token, answers_everybody]
    check(scripted.address, ANN)
    with pytest.raises(SwarmError) as refused:
        check(scripted.address, EVE)
    assert refused.value.code is Code.UNAUTHENTICATED
    assert "refuses this login" in refused.value.what


def test_a_registry_that_is_away_refuses_nobody() -> None:
    with pytest.raises(SwarmError) as away:
        check("127.0.0.1:1", ANN)
    assert away.value.code is Code.UNAVAILABLE
