"""Who may ask: whoever has a key; where none is needed, who asks this machine by its own names.

A browser asks any address for any page, and puts the name by which it was found into the Host
header. Where a page's own name was made to lead here (DNS rebinding), the browser takes page and
door for one place and lets the page read all; a name that is not this machine's gives that away.
"""

from __future__ import annotations

import re

from starlette.requests import Request

from client.door.refusal import Refusal
from hone.api_keys import ApiKeys
from hone.listening import LOOPBACK

_OWN_NAME = re.compile(r"(localhost|127\.0\.0\.1|\[::1\])(:\d+)?", re.IGNORECASE)


class Admission:
    def __init__(self, keys: ApiKeys, host: str) -> None:
        """`host`: what the door listens on, as --host has it."""
        self.keys, self.by_own_name = keys, host in LOOPBACK and not keys

    def check(self, http: Request) -> None:
        if self.by_own_name:
            _check_name(http.headers.get("host", ""))
        if self.keys:
            self._check_key(http.headers.get("authorization", ""))

    def _check_key(self, authorization: str) -> None:
        kind, _, key = authorization.partition(" ")
        if not (kind.lower() == "bearer" and self.keys.admit(key.strip())):
            raise Refusal(
                401,
                "a key is needed that is known here; ask whoever runs this door",
                code="invalid_api_key",
                headers={"www-authenticate": "Bearer"},
            )


def _check_name(asked: str) -> None:
    if not _OWN_NAME.fullmatch(asked):
        raise Refusal(
            403,
            f"this door was asked as {asked[:100]!r}, and without keys answers as localhost,"
            " 127.0.0.1 and [::1] only; ask it by one of these, or run it with HONE_DOOR_KEYS",
        )
