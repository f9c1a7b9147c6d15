"""Checks who may send requests.

With keys, a request needs one of them. Without keys, on a local address, the request must address
this machine by one of its own names (hone/own_names.py).
"""

from __future__ import annotations

from starlette.requests import Request

from client.door.refusal import Refusal
from hone.own_names import OWN_NAMES, is_own_name
from hone.who_may_ask import WhoMayAsk


class Admission:
    def __init__(self, who: WhoMayAsk) -> None:
        self.who = who

    def check(self, http: Request) -> None:
        if self.who.keys:
            self._check_key(http.headers.get("authorization", ""))
        elif self.who.by_own_name:
            _check_name(http.headers.get("host", ""))

    def _check_key(self, authorization: str) -> None:
        kind, _, key = authorization.partition(" ")
        if not (kind.lower() == "bearer" and self.who.keys.admit(key.strip())):
            raise Refusal(
                401,
                "a key is needed that is known here; ask whoever runs this door",
                code="invalid_api_key",
                headers={"www-authenticate": "Bearer"},
            )


def _check_name(asked: str) -> None:
    if not is_own_name(asked):
        raise Refusal(
            403,
            f"this door was asked as {asked[:100]!r}, and without keys answers as {OWN_NAMES}"
            " only; ask it by one of these, or run it with HONE_DOOR_KEYS",
        )
