"""A pooled connection to a server that repeats requests when that may help.

    ServerConnection("http://127.0.0.1:8000").ask("GET", "/v1/info")

A request is repeated if the connection fails or breaks (so a search may be made twice), and if the
server answers 429 or 503. The waits grow and are randomised, so that clients do not retry in step.
Other errors would only occur again.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from typing import Any
from urllib.parse import urlsplit

import httpx

from hone.errors import BadInput, Unreachable
from hone.own_names import LOOPBACK

KEY_VARIABLE = "HONE_API_KEY"
RETRIES = 3
_BUSY = (429, 503)
_BROKEN = (httpx.ConnectTimeout, httpx.NetworkError, httpx.RemoteProtocolError)
_WAIT = 0.2  # seconds before the first retry; doubled before each further one
_LONGEST_WAIT = 30.0  # limit on the wait that a server can ask for
_CONNECT_SECONDS = 5.0
# idle connections are closed sooner than the server closes them, so that none is used just as it is
# closed
_POOL = httpx.Limits(max_connections=100, max_keepalive_connections=20, keepalive_expiry=15.0)


class ServerConnection:
    """`retried` counts the requests that were repeated."""

    def __init__(
        self,
        url: str,
        *,
        api_key: str | None = None,
        timeout: float = 60.0,
        retries: int = RETRIES,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self.url = _checked_url(url)
        self.retried = 0
        self._retries, self._sleep = retries, sleep
        local = urlsplit(self.url).hostname in LOOPBACK
        self._http = httpx.Client(
            base_url=self.url,
            headers=_key_header(api_key),
            timeout=httpx.Timeout(timeout, connect=min(timeout, _CONNECT_SECONDS)),
            limits=_POOL,
            trust_env=not local,
        )

    def close(self) -> None:
        self._http.close()

    def ask(self, verb: str, path: str, **more: Any) -> Any:
        """Sends a request and returns the JSON of the answer. `more` is passed to httpx: params,
        content, headers."""
        answer: httpx.Response | None = None
        began, broken = time.monotonic(), Exception()
        for attempt in range(1 + self._retries):
            if attempt:
                self.retried += 1
                self._sleep(_pause(attempt, answer))
            try:
                answer = self._send(verb, path, **more)
            except _BROKEN as error:
                answer, broken = None, error
            if answer is not None and answer.status_code not in _BUSY:
                return self._content(answer)
        tries = f"{1 + self._retries} tries in {time.monotonic() - began:.1f} s"
        if answer is None:
            raise self._down(f"{str(broken) or type(broken).__name__}, {tries}")
        raise Unreachable(
            f"{self.url} answers {answer.status_code}: {_said(answer)}; gave up after {tries}"
        )

    def stranger(self) -> Unreachable:
        return Unreachable(f"{self.url} does not answer like a Hone server; check the address")

    def _send(self, verb: str, path: str, **more: Any) -> httpx.Response:
        try:
            return self._http.request(verb, path, **more)
        except (httpx.ReadTimeout, httpx.WriteTimeout, httpx.PoolTimeout):
            raise Unreachable(
                f"{self.url} did not answer in time; it may be overloaded, try again later"
            ) from None
        except (httpx.UnsupportedProtocol, httpx.ProxyError) as error:
            raise self._down(str(error)) from None

    def _content(self, answer: httpx.Response) -> Any:
        try:
            content = answer.json()
        except ValueError:
            raise self.stranger() from None
        if answer.is_success:
            return content
        if not isinstance(content, dict) or "error" not in content:
            raise self.stranger()
        if answer.status_code == 401:
            raise BadInput(f"{self.url}: {content['error']}; set it in {KEY_VARIABLE}")
        if answer.status_code in (413, 422):
            raise BadInput(f"{self.url}: {content['error']}")
        raise Unreachable(f"{self.url} answers {answer.status_code}: {content['error']}")

    def _down(self, why: str) -> Unreachable:
        port = urlsplit(self.url).port or 80
        return Unreachable(
            f"no server at {self.url} ({why}); start one with"
            f" python -m server --knowledge_base_path FOLDER --port {port}"
        )


def _pause(attempt: int, answer: httpx.Response | None) -> float:
    """Seconds to wait before this attempt, at least what a busy server asks for."""
    asked = answer.headers.get("retry-after", "") if answer is not None else ""
    least = min(_LONGEST_WAIT, float(asked)) if asked.isdecimal() else 0.0
    own = _WAIT * 2.0 ** (attempt - 1)
    return max(own * random.uniform(0.5, 1.5), least * random.uniform(1.0, 1.5))


def _said(answer: httpx.Response) -> str:
    """The server's error message, or the HTTP reason if there is none, as in a proxy's page."""
    try:
        return str(answer.json()["error"])
    except (ValueError, KeyError, TypeError):
        return answer.reason_phrase


def _key_header(api_key: str | None) -> dict[str, str]:
    if not api_key:
        return {}
    if not (api_key.isascii() and api_key.isprintable()):
        raise BadInput(
            f"{KEY_VARIABLE} holds characters that a header cannot contain; set it again"
        )
    return {"authorization": f"Bearer {api_key}"}


def _checked_url(url: str) -> str:
    try:
        parts = urlsplit(url)
        port_is_sound = parts.port is None or parts.port > 0  # raises where it is not a number
        sound = parts.scheme in ("http", "https") and bool(parts.hostname) and port_is_sound
    except ValueError:
        sound = False
    if not sound:
        raise BadInput(f"{url!r} is not a server's address; give one like http://127.0.0.1:8000")
    return url.rstrip("/")
