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
                "a valid key is needed; ask the operator of this server for one",
                code="invalid_api_key",
                headers={"www-authenticate": "Bearer"},
            )


def _check_name(asked: str) -> None:
    if not is_own_name(asked):
        raise Refusal(
            403,
            f"this server was addressed as {asked[:100]!r}, but without keys it answers to"
            f" {OWN_NAMES} only; use one of these, or start it with HONE_DOOR_KEYS",
        )
