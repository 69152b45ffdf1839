"""HTTP with one registry: authenticated, redirected, retried. Knows requests, and no images.

Credentials go to the registry itself and to the token server that it names, never along a redirect
to another host, and never from TLS down to plain HTTP.
"""

import asyncio
import secrets
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from types import TracebackType

import httpx

from api.errors import Code, SwarmError
from hostkit.clock import Clock
from runtime.http_body import read_limited
from runtime.image import auth, faults, retry
from runtime.image.auth import Challenge, Credentials
from runtime.image.endpoint import Endpoint

_MAX_REDIRECTS = 5
_MAX_ERROR_BODY = 64 << 10
_TIMEOUT = httpx.Timeout(60.0, connect=10.0)
_UNAUTHORISED = 401
_TOKEN_MARGIN = 5.0
_CHANCE = secrets.SystemRandom().random

Body = Callable[[], AsyncIterator[bytes]]
"""Makes the body of a request anew for each attempt."""


@dataclass(frozen=True)
class Call:
    """One request: `target` is a path on the registry or a URL, `what` names its object in errors.

    `scope` is what a token must allow, as "repository:library/nginx:pull".
    """

    method: str
    target: str
    scope: str
    what: str
    headers: Mapping[str, str] = field(default_factory=dict)
    body: Body | None = None


class Transport:
    """Requests to one registry, in the name of one user. An asynchronous context manager."""

    def __init__(
        self,
        endpoint: Endpoint,
        *,
        credentials: Credentials | None,
        clock: Clock,
        retry_delay: float,
        chance: retry.Chance = _CHANCE,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self.registry = endpoint.domain
        self._endpoint = endpoint
        self._credentials = credentials
        self._clock = clock
        self._retry_delay = retry_delay
        self._chance = chance
        self._sleep = sleep
        self._client: httpx.AsyncClient
        self._base: httpx.URL | None = None
        self._authorisations: dict[str, tuple[str, float]] = {}  # by scope: header, when it expires
        self._lock = asyncio.Lock()

    async def __aenter__(self) -> "Transport":
        context = await asyncio.to_thread(self._endpoint.tls)
        self._client = httpx.AsyncClient(
            verify=context,
            timeout=_TIMEOUT,
            trust_env=not self._endpoint.loopback,  # proxies of the environment, as in Go
            headers={"User-Agent": "swarmctl", "Accept-Encoding": "identity"},
        )
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self._client.aclose()

    @asynccontextmanager
    async def send(self, call: Call) -> AsyncIterator[httpx.Response]:
        """The answer to `call`, of any status that is not worth another attempt; body unread.

        Raises SwarmError if there is none, and httpx.TransportError out of reading the body.
        """
        response = await self._persist(call)
        try:
            yield response
        finally:
            await response.aclose()

    async def fail(self, response: httpx.Response, what: str) -> SwarmError:
        """The error that the answer means."""
        body = await read_limited(response, _MAX_ERROR_BODY, truncate=True)
        return faults.of_answer(response.status_code, body, what=what, registry=self.registry)

    async def pause(self, attempt: int) -> bool:
        """Waits after the failed attempt number `attempt`; False: that was the last."""
        seconds = retry.delay(attempt, None, self._chance, self._retry_delay)
        if seconds is None:
            return False
        await self._sleep(seconds)
        return True

    async def _persist(self, call: Call) -> httpx.Response:
        attempt = 0
        while True:
            attempt += 1
            try:
                response = await self._authorised(call)
            except httpx.InvalidURL as error:  # httpx itself reads the Location of a redirect
                raise self._bad_redirect(call.what, "an invalid URL") from error
            except httpx.TransportError as error:
                certain = faults.tls_cause(error) is not None
                if certain or not await self.pause(attempt):
                    raise self._unreachable(error, call.what) from error
                continue
            if not retry.is_transient(response.status_code):
                return response
            wish = retry.parse_retry_after(response.headers.get("retry-after"), self._clock())
            seconds = retry.delay(attempt, wish, self._chance, self._retry_delay)
            if seconds is None:
                return response
            await response.aclose()
            await self._sleep(seconds)

    async def _authorised(self, call: Call) -> httpx.Response:
        """Sends; when asked who we are, answers and sends once more."""
        base = await self._origin(call.what)
        refused = self._remembered(call.scope)
        response = await self._follow(base, call, refused)
        if response.status_code != _UNAUTHORISED:
            return response
        challenges = auth.parse_challenges(response.headers.get_list("www-authenticate"))
        await response.aclose()
        async with self._lock:  # parallel downloads ask for one token
            if self._remembered(call.scope) == refused:
                await self._authenticate(auth.pick(challenges), call, base)
        return await self._follow(base, call, self._remembered(call.scope))

    async def _follow(
        self, base: httpx.URL, call: Call, authorisation: str | None
    ) -> httpx.Response:
        url = base.join(call.target)
        for _ in range(_MAX_REDIRECTS + 1):
            headers = dict(call.headers)
            if authorisation and _same_origin(url, base):
                headers["Authorization"] = authorisation
            content = call.body() if call.body else None
            request = self._client.build_request(call.method, url, headers=headers, content=content)
            response = await self._client.send(request, stream=True)
            location = response.headers.get("location")
            if not (response.is_redirect and location and call.method in ("GET", "HEAD")):
                return response
            await response.aclose()
            url = self._redirected(url, location, call.what)
        raise SwarmError(
            Code.UNAVAILABLE, f"{call.what} could not be had", why="redirected again and again"
        )

    def _redirected(self, url: httpx.URL, location: str, what: str) -> httpx.URL:
        try:
            target = url.join(location)
        except httpx.InvalidURL as error:
            raise self._bad_redirect(what, location[:200]) from error
        allowed = ("https", "http") if url.scheme == "http" else ("https",)
        if target.scheme not in allowed or not target.host:
            raise self._bad_redirect(what, str(target)[:200])
        return target

    def _bad_redirect(self, what: str, location: str) -> SwarmError:
        why = f"{self.registry} redirects to {location}, which is not safe"
        return SwarmError(Code.REFUSED, f"{what} could not be had", why=why)

    def _unreachable(self, error: Exception, what: str) -> SwarmError:
        return faults.of_transport(error, what=what, registry=self.registry)

    async def _origin(self, what: str) -> httpx.URL:
        """Scheme and host. Where plain HTTP is allowed, TLS is tried first, as Docker does."""
        if self._base is None:
            schemes = self._endpoint.schemes
            try:
                urls = [httpx.URL(f"{scheme}://{self._endpoint.host}") for scheme in schemes]
            except httpx.InvalidURL as error:
                raise self._unreachable(error, what) from error
            self._base = urls[-1]
            if len(urls) > 1 and await self._speaks_tls(urls[0]):
                self._base = urls[0]
        return self._base

    async def _speaks_tls(self, url: httpx.URL) -> bool:
        try:
            request = self._client.build_request("GET", url.join("/v2/"))
            response = await self._client.send(request, stream=True)
        except httpx.TransportError:
            return False
        await response.aclose()
        return True

    # Who we are

    def _remembered(self, scope: str) -> str | None:
        header, expires = self._authorisations.get(scope, (None, 0.0))
        return header if self._clock() < expires else None

    async def _authenticate(self, challenge: Challenge | None, call: Call, base: httpx.URL) -> None:
        """Fetches or makes what to send in Authorization. SwarmError UNAUTHENTICATED if denied."""
        if challenge is None:
            raise faults.denied(call.what, self.registry, f"{self.registry} offers no known scheme")
        if challenge.scheme == "bearer":
            token = await self._fetch_token(challenge, call, base)
            lifetime = max(token.lifetime - _TOKEN_MARGIN, token.lifetime / 2)
            self._authorisations[call.scope] = (f"Bearer {token.value}", self._clock() + lifetime)
            return
        if self._credentials is None:
            raise faults.denied(call.what, self.registry, f"{self.registry} asks for a user")
        if self._remembered(call.scope) is not None:
            raise faults.denied(call.what, self.registry, "the credentials are wrong")
        self._authorisations[call.scope] = (self._credentials.basic(), float("inf"))

    async def _fetch_token(self, challenge: Challenge, call: Call, base: httpx.URL) -> auth.Token:
        realm = self._redirected(base, challenge.parameters["realm"], call.what)
        url = realm.copy_merge_params(auth.token_query(challenge, call.scope))
        headers = {"Authorization": self._credentials.basic()} if self._credentials else {}
        request = self._client.build_request("GET", url, headers=headers)
        response = await self._client.send(request, stream=True)
        try:
            if response.status_code in (401, 403):
                why = f"{realm.host} gives no token ({response.status_code})"
                raise faults.denied(call.what, self.registry, why)
            if not response.is_success:
                raise await self.fail(response, f"a token for {call.what}")
            token = auth.parse_token(await read_limited(response, auth.MAX_TOKEN))
        finally:
            await response.aclose()
        if token is None:
            raise faults.denied(call.what, self.registry, f"{realm.host} answered without a token")
        return token


def _same_origin(url: httpx.URL, base: httpx.URL) -> bool:
    return (url.scheme, url.host, url.port) == (base.scheme, base.host, base.port)
